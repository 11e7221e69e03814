"""Ten classes that the pocket model has never seen, drawn as its own are: pictures to fine-tune on."""

import math
from pathlib import Path
from unittest.mock import patch

from PIL import Image

from helpers.pocket import data
from helpers.pocket.data import arc

STAR = [
    (r * math.sin(tip * math.pi / 5), -r * math.cos(tip * math.pi / 5)) for tip, r in enumerate([1, 0.42] * 5)
]
LEAVES = [(0.6 * math.sin(angle), 0.6 * math.cos(angle)) for angle in range(0, 6)]
MOON = [*arc(0, 0, 0.9, 0.9, -2, 2), *reversed(arc(-0.35, 0, 0.6, 0.75, -1.8, 1.8))]
FLAG = [(-0.48, -0.95), (0.8, -0.85), (0.5, -0.45), (0.8, -0.05), (-0.48, 0.05)]
HEAD = [(0.2, -0.55), (1, 0), (0.2, 0.55)]
BALLS = ((0.55, 0.45), (-0.1, 0.33), (-0.6, 0.24))
OTHERS = {  # by the pen and three colours
    "arrow": lambda pen, a, b, _: (pen.box(-1, -0.15, 0.3, 0.15, a), pen.shape(HEAD, b)),
    "cross": lambda pen, a, *_: (pen.box(-0.25, -0.9, 0.25, 0.9, a), pen.box(-0.9, -0.25, 0.9, 0.25, a)),
    "flag": lambda pen, a, b, _: (pen.box(-0.6, -1, -0.48, 1, b), pen.shape(FLAG, a)),
    "flower": lambda pen, a, b, _: [pen.disc(x, y, 0.35, a) for x, y in LEAVES] + [pen.disc(0, 0, 0.3, b)],
    "glasses": lambda pen, a, *_: [pen.stroke(arc(x, 0, 0.4, 0.4, 0, 6.3), 0.12, a) for x in (-0.5, 0.5)],
    "hourglass": lambda pen, a, *_: pen.shape([(-0.6, -0.9), (0.6, -0.9), (-0.6, 0.9), (0.6, 0.9)], a),
    "ladder": lambda pen, a, b, _: (
        [pen.box(-0.4, y, 0.4, y + 0.1, b) for y in (-0.7, -0.3, 0.1, 0.5)]
        + [pen.box(x - 0.08, -1, x + 0.08, 1, a) for x in (-0.4, 0.4)]
    ),
    "moon": lambda pen, a, *_: pen.shape(MOON, a),
    "snowman": lambda pen, a, *_: [pen.disc(0, y, radius, a) for y, radius in BALLS],
    "star": lambda pen, a, *_: pen.shape(STAR, a),
}


def draw(folder: Path, *, each: int, classes: int = 10, first: int = 10_000) -> Path:
    """Writes `each` PNG pictures a class into a folder per class; `first` leads past the pocket model's."""
    with patch.object(data, "DRAWN", [*OTHERS.values()]):
        for index in range(first, first + 10 * each):
            if index % 10 < classes:
                home = folder / [*OTHERS][index % 10]
                home.mkdir(parents=True, exist_ok=True)
                Image.fromarray(data.render(index, split="train")[0]).save(home / f"{index}.png")
    return folder
