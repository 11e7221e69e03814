"""What several test files need."""

import os

# Tests run side by side: more threads than cores only wait for each other. Notebook kernels inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import helpers.model.reference  # noqa: F401  declares torchvision's operators before any test imports timm
