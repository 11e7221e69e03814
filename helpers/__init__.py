"""EfficientViT at the edge: the work behind the notebooks, in five rooms.

`model` (what the network is), `deploy` (from PyTorch to board-ready), `board` (what the board says, without
torch), `view` (pictures) and `lab` (reproducing it). `deploy` may import `model`, `lab` all, the others none.

The files beside them are the hall, open to every room.
"""
