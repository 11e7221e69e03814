"""Ten classes of drawn objects, rendered by code from a seed: the data set of chapter 04.

Nothing is downloaded. One picture is a pure function of (split, index), so train and test never share
a random stream, and anyone can draw the same pictures again. Colours are drawn at random for every part of
every object: only the shape gives the class away.
"""

import colorsys
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm.auto import tqdm

from helpers.files import replacing

Split = Literal["train", "test"]
Point = tuple[float, float]
Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]

SIZE = 224
"""Side of a picture in pixels."""
VERSION = 1
"""Raise it when a change of this file changes any pixel: kept pictures of another version are not reused."""
SUPERSAMPLE = 2
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Pen:
    """Draws in an object's own coordinates, x right and y down, the object filling about [-1, 1].

    It knows how far it drew.
    """

    canvas: ImageDraw.ImageDraw
    rng: np.random.Generator
    place: NDArray[np.float64]  # 2x3, from those coordinates to pixels
    outline: float  # pixels; 0 for none
    seen: list[NDArray[np.float64]] = field(default_factory=list)

    def between(self, low: float, high: float) -> float:
        """One uniform number."""
        return float(self.rng.uniform(low, high))

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon, with the object's outline around it."""
        self.seen.append(np.asarray(points) @ self.place[:, :2].T + self.place[:, 2])
        xy = [(float(x), float(y)) for x, y in self.seen[-1]]
        if self.outline:
            self.canvas.line([*xy, xy[0], xy[1]], fill="black", width=round(self.outline), joint="curve")
        self.canvas.polygon(xy, fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """A rectangle by its four sides."""
        self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour, height: float | None = None) -> None:
        """A disc, or an ellipse when `height` gives another vertical radius."""
        self.shape(arc(x, y, radius, height or radius, 0, 2 * math.pi), colour)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line of even width through `points`."""
        path = np.asarray(points)
        along = np.gradient(path, axis=0)
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
        left, right = path + normal * width / 2, path - normal * width / 2
        self.shape([*map(tuple, left), *map(tuple, right[::-1])], colour)

    def extent(self) -> NDArray[np.float64]:
        """x1, y1, x2, y2 around everything, in pixels, outlines included."""
        points, half = np.concatenate(self.seen), self.outline / 2
        return np.concatenate([points.min(axis=0) - half, points.max(axis=0) + half])


def arc(x: float, y: float, width: float, height: float, start: float, stop: float) -> list[Point]:
    """Points on an ellipse's edge from angle `start` to `stop` (radians, clockwise on the screen)."""
    angles = np.linspace(start, stop, max(6, round(24 * abs(stop - start) / (2 * math.pi)) + 1))
    return [(x + width * math.cos(a), y + height * math.sin(a)) for a in angles]


def _house(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    wide, eaves = pen.between(0.6, 0.8), pen.between(-0.25, 0.0)
    side = pen.rng.choice([-1, 1])
    pen.box(side * 0.45 - 0.11, -0.85, side * 0.45 + 0.11, eaves, third)
    pen.box(-wide, eaves, wide, 0.9, main)
    pen.shape([(-wide - 0.2, eaves), (0, -0.95), (wide + 0.2, eaves)], second)
    pen.box(-side * 0.35 - 0.16, 0.35, -side * 0.35 + 0.16, 0.9, third)
    pen.box(side * 0.3 - 0.17, 0.2, side * 0.3 + 0.17, 0.52, third)


def _tree(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    pen.box(-0.13, 0.5, 0.13, 1.0, second)
    tiers = int(pen.rng.integers(3, 5))
    for tier in range(tiers):
        bottom = 0.65 - tier * 1.1 / tiers
        wide = 0.75 - tier * 0.4 / (tiers - 1)
        pen.shape([(-wide, bottom), (0, bottom - 0.8), (wide, bottom)], third if tier % 2 else main)


def _car(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    roof, front = pen.between(-0.6, -0.45), pen.between(0.35, 0.55)
    pen.shape([(-0.7, 0.0), (-0.45, roof), (front - 0.1, roof), (front + 0.2, 0.0)], third)
    pen.box(-0.05, roof + 0.06, 0.05, 0.0, main)
    pen.shape([(-1.0, 0.0), (0.75, -0.02), (1.0, 0.15), (1.0, 0.45), (-1.0, 0.45)], main)
    for x in (-0.55, 0.55):
        pen.disc(x, 0.45, 0.25, second)
        pen.disc(x, 0.45, 0.1, third)


def _sailboat(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    pen.box(-0.05, -0.95, 0.04, 0.5, third)
    pen.shape([(0.1, -0.9), (0.1, 0.32), (pen.between(0.65, 0.9), 0.32)], main)
    pen.shape([(-0.12, -0.65), (-0.12, 0.32), (pen.between(-0.75, -0.55), 0.32)], main)
    pen.shape([(-0.95, 0.45), (0.95, 0.45), (0.6, 0.9), (-0.65, 0.9)], second)


def _fish(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    tall = pen.between(0.42, 0.58)
    pen.shape([(-0.5, 0.0), (-1.0, -0.5), (-0.85, 0.0), (-1.0, 0.5)], second)
    pen.shape([(-0.25, -tall * 0.7), (0.05, -tall - 0.28), (0.3, -tall * 0.8)], second)
    pen.disc(0.15, 0.0, 0.8, main, tall)
    pen.shape([(0.1, 0.05), (-0.25, 0.3), (0.05, 0.35)], second)
    pen.disc(0.6, -0.13, 0.1, third)


def _cat(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    ear = pen.between(0.75, 1.0)
    for side in (-1, 1):
        pen.shape([(side * 0.8, 0.05), (side * 0.72, -ear), (side * 0.1, -0.45)], main)
        pen.shape([(side * 0.68, -0.2), (side * 0.65, -ear + 0.25), (side * 0.32, -0.42)], second)
    pen.disc(0, 0.2, 0.82, main, 0.7)
    for side in (-1, 1):
        pen.disc(side * 0.33, 0.08, 0.13, third, 0.18)
        for droop in (-0.08, 0.12):
            pen.stroke([(side * 0.4, 0.45), (side * 1.05, 0.4 + droop)], 0.05, second)
    pen.shape([(-0.13, 0.33), (0.13, 0.33), (0, 0.5)], second)


def _mug(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    wide, taper = pen.between(0.5, 0.62), pen.between(0.0, 0.12)
    pen.stroke(arc(wide - 0.05, 0.1, 0.42, 0.4, -math.pi / 2, math.pi / 2), 0.17, main)
    foot = arc(0, 0.75, wide - taper, 0.15, 0, math.pi)
    pen.shape([(-wide, -0.6), (wide, -0.6), *foot], main)
    band = wide - taper * 0.5
    pen.box(-band, 0.0, band, 0.28, second)
    pen.disc(0, -0.6, wide, third, 0.17)


def _key(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    bow = pen.between(0.26, 0.34)
    pen.box(-0.4, -0.09, 1.0, 0.09, main)
    for x in np.linspace(0.9, 0.9 - pen.between(0.4, 0.6), int(pen.rng.integers(2, 4))):
        pen.box(x - 0.08, 0.05, x + 0.08, pen.between(0.3, 0.42), main)
    pen.stroke(arc(-0.6, 0, bow, bow, 0, 2 * math.pi), 0.2, main)
    pen.box(-0.22, -0.14, -0.1, 0.14, second)


def _umbrella(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    rim, panels = pen.between(-0.15, 0.0), int(pen.rng.integers(3, 6))
    hook = arc(-0.17, 0.75, 0.17, 0.2, 0, math.pi)
    pen.stroke([(0.0, -0.95), (0.0, 0.0), (0.0, 0.6), *hook], 0.1, third)
    edges = np.linspace(-0.95, 0.95, panels + 1)
    for number, (left, right) in enumerate(pairwise(edges)):
        top = arc(0, rim, 0.95, 0.8, math.pi + math.acos(-left / 0.95), math.pi + math.acos(-right / 0.95))
        scallop = arc((left + right) / 2, rim, (right - left) / 2, 0.14, 0, -math.pi)
        pen.shape([*top, *scallop], second if number % 2 else main)


def _mushroom(pen: Pen, main: Colour, second: Colour, third: Colour) -> None:
    stem, rim = pen.between(0.18, 0.28), pen.between(-0.05, 0.12)
    pen.shape([(-stem, rim), (stem, rim), (stem + 0.12, 0.85), (0, 0.95), (-stem - 0.12, 0.85)], second)
    pen.shape([*arc(0, rim, 0.9, 0.9, math.pi, 2 * math.pi), *arc(0, rim, 0.9, 0.16, 0, math.pi)], main)
    for x, y in ((-0.45, -0.25), (0.05, -0.5), (0.48, -0.2)):
        pen.disc(x, y + rim, pen.between(0.11, 0.17), third)


DRAWN = (_house, _tree, _car, _sailboat, _fish, _cat, _mug, _key, _umbrella, _mushroom)
CLASSES = tuple(draw.__name__.removeprefix("_") for draw in DRAWN)
"""Class names; a label is a position in this tuple."""


def colours(rng: np.random.Generator, count: int, apart_from: Colour | None = None) -> list[Colour]:
    """Random colours that a person can tell apart from each other and from `apart_from`."""
    chosen: list[Colour] = [] if apart_from is None else [apart_from]
    wanted = len(chosen) + count
    while len(chosen) < wanted:
        hue, saturation, value = rng.uniform(0, 1), rng.uniform(0.15, 0.8), rng.uniform(0.35, 1.0)
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
        if all(math.dist((red, green, blue), other) > 90 for other in chosen):
            chosen.append((red, green, blue))
    return chosen[-count:]


def place(
    rng: np.random.Generator, *, radius: float, x: float, y: float, tilt: float, mirror: bool
) -> NDArray[np.float64]:
    """2x3 matrix from an object's coordinates to supersampled pixels."""
    stretch = np.diag(
        [radius * rng.uniform(0.85, 1.15) * (-1 if mirror else 1), radius * rng.uniform(0.85, 1.15)]
    )
    turn = np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
    return np.column_stack([turn @ stretch, [x, y]])


def clutter(
    canvas: ImageDraw.ImageDraw, rng: np.random.Generator, side: int, colour: Colour, size: float
) -> None:
    """One small disc, ring, bar, triangle or square: parts of the objects, but no object."""
    x, y = rng.uniform(0, side, 2)
    where = place(rng, radius=size * side, x=x, y=y, tilt=rng.uniform(0, 2 * math.pi), mirror=False)
    pen = Pen(canvas, rng, where, outline=0)
    match rng.integers(5):
        case 0:
            pen.disc(0, 0, 0.8, colour)
        case 1:
            pen.stroke(arc(0, 0, 0.8, 0.8, 0, 2 * math.pi), 0.25, colour)
        case 2:
            pen.box(-1.3, -0.12, 1.3, 0.12, colour)
        case 3:
            pen.shape([(-0.9, 0.7), (0.9, 0.7), (pen.between(-0.9, 0.9), -0.9)], colour)
        case _:
            pen.box(-0.7, -0.7, 0.7, 0.7, colour)


def background(rng: np.random.Generator) -> tuple[Image.Image, Colour]:
    """What is behind everything, supersampled: two colours that run into each other, and clutter.

    Returns the picture and its first colour.
    """
    side = SIZE * SUPERSAMPLE
    ground, far = colours(rng, 2)
    ramp = np.linspace(0, 1, side)[:, None, None] * rng.uniform(0.2, 0.6)
    sky = Image.fromarray((np.array(ground) * (1 - ramp) + np.array(far) * ramp).astype(np.uint8))
    image = sky.resize((side, side), Image.Resampling.NEAREST).rotate(90 * int(rng.integers(4)))
    canvas = ImageDraw.Draw(image)
    for colour in colours(rng, int(rng.integers(4, 9))):
        clutter(canvas, rng, side, colour, rng.uniform(0.03, 0.1))
    return image, ground


def render(index: int, *, split: Split) -> tuple[Pixels, int]:
    """Draws picture `index` of a split.

    Returns the picture, uint8 RGB [224, 224, 3], and its label, a position in CLASSES. Labels go round in
    turn, so any multiple of ten pictures is balanced.
    """
    rng = np.random.default_rng([0, SPLITS.index(split), index])
    label = index % len(CLASSES)
    side = SIZE * SUPERSAMPLE
    image, ground = background(rng)
    canvas = ImageDraw.Draw(image)
    radius = side * rng.uniform(0.22, 0.38)
    x, y = rng.uniform(radius, side - radius, 2)
    where = place(rng, radius=radius, x=x, y=y, tilt=rng.uniform(-0.7, 0.7), mirror=bool(rng.integers(2)))
    pen = Pen(canvas, rng, where, outline=float(rng.choice([0, 0.018, 0.018])) * side)
    main, second, third = colours(rng, 3, apart_from=ground)
    DRAWN[label](pen, main, second, third)
    for colour in colours(rng, int(rng.integers(1, 4))):
        clutter(canvas, rng, side, colour, rng.uniform(0.02, 0.05))
    return np.asarray(image.reduce(SUPERSAMPLE)), label


def dataset(count: int, *, split: Split, folder: Path | None = None) -> tuple[Pixels, NDArray[np.int64]]:
    """The first `count` pictures of a split.

    Returns pictures uint8 [count, 224, 224, 3] and labels int64 [count]. `folder` is that of `drawn`.
    """
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    name, shape = f"pocket-v{VERSION}-{split}-{count}", (count, SIZE, SIZE, 3)
    pictures = drawn(
        name, lambda index: render(index, split=split)[0], shape=shape, dtype=np.uint8, folder=folder
    )
    return pictures, labels


def drawn(
    name: str,
    draw: Callable[[int], Any],
    *,
    shape: tuple[int, ...],
    dtype: np.dtype[Any] | type[np.uint8],
    folder: Path | None,
) -> NDArray[Any]:
    """What `draw` makes of 0, 1, … in one array of `shape`.

    With `folder` it is kept there in one file, read through the page cache instead of held in memory, and
    reused by the next call.
    """
    kept = folder and folder / f"{name}.npy"
    if kept and kept.exists():
        return np.load(kept, mmap_mode="r")  # type: ignore[no-any-return]
    with replacing(kept) if kept else nullcontext() as part:
        if part:
            found: NDArray[Any] = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
        else:
            found = np.empty(shape, dtype)
        for index in tqdm(range(len(found)), desc=f"drawing {name}", leave=False):
            found[index] = draw(index)
    return found
