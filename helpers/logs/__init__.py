"""What tools print, read with the standard library only."""
