"""What the board says: logs read without torch, numpy or pandas."""
