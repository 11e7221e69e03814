"""What several test files need."""

import torch

import helpers.model  # noqa: F401  declares torchvision's operators before any test imports timm

torch.set_num_threads(1)  # tests run side by side; more threads than cores would only wait for each other
