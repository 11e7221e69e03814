"""What an artifact was made from: it is used again only while all of that is the same."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from helpers.graph.fold import Fold
from helpers.graph.preprocess import BoardInput


@dataclass(frozen=True)
class MadeFrom:
    """What an export was made from; from the same comes the same graph."""

    model: str
    weights: str
    opset: int
    batch: int
    board_input: BoardInput
    folds: tuple[Fold, ...]
    versions: dict[str, str]
    code: str


@cache
def code_hash() -> str:
    """The SHA-256 of this room's files, in hexadecimal: a fold that was edited makes its graphs anew."""
    content = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        content.update(path.read_bytes())
    return content.hexdigest()
