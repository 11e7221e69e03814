"""EfficientViT at the edge: the work behind the notebooks, in rooms by artifact (CONTRIBUTING has the list).

The files beside the rooms are the hall, open to all of them; `chain` is the steps in a row.
"""

import os

# PyTorch's threads sleep while they wait for each other. By default they spin, and beside one busy process
# every small operator then costs a time slice. OpenMP reads it once: when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
