"""Whether a browser can answer: controls and frames are for a reader at a Jupyter server."""

import os


def can_answer() -> bool:
    """Whether a Jupyter server started this kernel; in a papermill run or a saved page nobody answers."""
    return "JPY_SESSION_NAME" in os.environ  # set by a Jupyter server, and by nothing else
