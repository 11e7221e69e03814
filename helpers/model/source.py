"""Where weights come from: what `checkpoint` may be, and what it is when nothing is said. Needs no torch."""

import os
from pathlib import Path

from helpers.published import DATA

ENVIRONMENT_VARIABLE = "EFFICIENTVIT_CHECKPOINT"
RANDOM, HUB, POCKET = "random", "timm", "pocket"
WORDS = (RANDOM, HUB, POCKET)
POCKET_WEIGHTS = DATA / "weights" / "pocket.safetensors"


def source(checkpoint: str | Path | None, name: str | None) -> str | Path:
    """One of WORDS, or a path: `checkpoint`, else what fits `name` or the environment names, else random."""
    default = POCKET if name == POCKET else os.environ.get(ENVIRONMENT_VARIABLE) or RANDOM
    chosen = checkpoint or default
    return chosen if isinstance(chosen, str) and chosen in WORDS else Path(chosen).expanduser()
