"""Scenes with known boxes, for detection: several of `data`'s objects in a picture, cut off and occluded.

A scene is a pure function of (split, index), like a picture of `data`, and shares no random stream with any.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from helpers.detect.boxes import BACKGROUND
from helpers.pocket import data
from helpers.pocket.data import CLASSES, DRAWN, SIZE, SPLITS, SUPERSAMPLE, Pen, Split

VERSION = 1
"""Raise it when a change of this file or of `data` changes any pixel or box."""
FEWEST, MOST = 2, 5
RADIUS = 0.15, 0.28  # of the picture's side: objects are some 50 to 130 pixels wide
APART = 0.65  # of the sum of two radii: what lies behind is hidden in part
SCENE = np.dtype(
    [
        ("picture", np.uint8, (SIZE, SIZE, 3)),
        ("boxes", np.float32, (MOST, 4)),  # x1, y1, x2, y2 in pixels, hidden parts included
        ("classes", np.int64, (MOST,)),  # places in CLASSES, then BACKGROUND for no object
    ]
)
Scenes = NDArray[np.void]


def render(index: int, *, split: Split) -> Any:
    """Draws scene `index` of a split: one SCENE."""
    rng = np.random.default_rng([1, SPLITS.index(split), index])
    side = SIZE * SUPERSAMPLE
    image, ground = data.background(rng)
    canvas = ImageDraw.Draw(image)
    scene = np.zeros((), SCENE)
    scene["classes"] = BACKGROUND
    outline = float(rng.choice([0, 0.009, 0.009])) * side
    for number, (x, y, radius) in enumerate(_places(rng, int(rng.integers(FEWEST, MOST + 1)))):
        label, tilt = int(rng.integers(len(CLASSES))), rng.uniform(-0.7, 0.7)
        place = data.place(rng, radius=radius, x=x, y=y, tilt=tilt, mirror=bool(rng.integers(2)))
        pen = Pen(canvas, rng, place, outline)
        DRAWN[label](pen, *data.colours(rng, 3, apart_from=ground))
        scene["boxes"][number] = np.clip(pen.extent(), 0, side) / SUPERSAMPLE
        scene["classes"][number] = label
    for colour in data.colours(rng, int(rng.integers(1, 4))):
        data.clutter(canvas, rng, side, colour, rng.uniform(0.02, 0.05))
    scene["picture"] = image.reduce(SUPERSAMPLE)
    return scene


def _places(rng: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """x, y and radius of up to `count` objects in supersampled pixels; fewer where there is no room."""
    found: list[tuple[float, float, float]] = []
    side = SIZE * SUPERSAMPLE
    for _ in range(20 * count):
        radius = side * math.exp(rng.uniform(*np.log(RADIUS)))
        x, y = rng.uniform(0.75 * radius, side - 0.75 * radius, 2)
        if all(math.dist((x, y), other[:2]) > APART * (radius + other[2]) for other in found):
            found.append((x, y, radius))
        if len(found) == count:
            break
    return found


def dataset(count: int, *, split: Split, folder: Path | None = None) -> Scenes:
    """The first `count` scenes of a split, one SCENE each; `folder` is that of `data.drawn`."""
    name = f"scenes-v{VERSION}-{split}-{count}"
    return data.drawn(
        name, lambda index: render(index, split=split), shape=(count,), dtype=SCENE, folder=folder
    )
