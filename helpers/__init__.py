"""EfficientViT at the edge: the work behind the notebooks, in five rooms.

`model` (what the network is) → `deploy` (from PyTorch to board-ready) → `board` (what the board says)
→ `view` (pictures) → `lab` (reproducing it). Imports point one way; `board` needs no torch.
"""
