"""From PyTorch to board-ready: fold, export, calibrate, configure, compile."""
