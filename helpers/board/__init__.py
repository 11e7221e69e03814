"""Runs on the AX650N: over ssh, or on the board itself; and the forecast."""
