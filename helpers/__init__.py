"""EfficientViT at the edge: the work behind the notebooks, in five rooms.

`model` (what the network is) → `deploy` (from PyTorch to board-ready) → `board` (what the board says)
→ `view` (pictures) → `lab` (reproducing it). Imports point one way; `board` needs no torch.

The files beside them are the hall, open to every room: `finding`, `process`, `published`.
"""
