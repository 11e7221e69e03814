"""Photographs that come with scikit-image, for answers of a network that was trained on photographs.

All are free to use; data/images/CREDITS.md says whose they are. scikit-image's other pictures are left out:
they are drawings, too small, or of unclear licence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnx
from PIL import Image, ImageOps

from helpers.files import packaged
from helpers.graph.preprocess import Preprocessing, as_rgb, normalize
from helpers.model.memory import release_memory
from helpers.quant.params import Values
from helpers.quant.simulate import logits

PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png"),
    *("coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "retina.jpg"),
    *("rocket.jpg", "text.png"),
)  # fmt: skip
CROPS = 5  # of each
OTHERS = 16  # of the other photographs, that calibrate
SHAPE = np.array([4, 3])  # width to height
Picture = TypeVar("Picture")


def cuts(count: int) -> dict[str, list[Image.Image]]:
    """`count` pictures in RGB, 4 : 3, of each photograph: its middle, and places and sizes that are drawn.

    Raises FileNotFoundError without scikit-image.
    """
    found: dict[str, list[Image.Image]] = {}
    for place, name in enumerate(PHOTOGRAPHS):
        draw = np.random.default_rng([0, place])
        with Image.open(packaged("scikit-image", f"skimage/data/{name}")) as file:
            photograph = as_rgb(file)
        whole = np.array(photograph.size)
        places = [(1.0, 0.5, 0.5), *draw.uniform([0.6, 0, 0], 1, (count - 1, 3))][:count]
        found[name] = []
        for share, *corner in places:
            size = share * min(whole / SHAPE) * SHAPE
            start = corner * (whole - size)
            found[name].append(photograph.crop(tuple(np.rint([*start, *(start + size)]).astype(int))))
    return found


def fed(count: int, preprocessing: Preprocessing) -> dict[str, list[Values]]:
    """`cuts`, each `as_trained`."""
    return {name: [as_trained(cut, preprocessing) for cut in each] for name, each in cuts(count).items()}


def as_trained(picture: Image.Image, preprocessing: Preprocessing) -> Values:
    """A picture as the training fed it, float32 [1, 3, size, size]: bicubic, its middle cut out, RGB."""
    size = (preprocessing.size, preprocessing.size)
    cut_off = 1 - preprocessing.size / preprocessing.short_side
    fitted = ImageOps.fit(picture, size, Image.Resampling.BICUBIC, bleed=cut_off / 2)
    return normalize(np.asarray(fitted), preprocessing)


def halves(pictures: Mapping[str, Sequence[Picture]]) -> Iterator[tuple[list[str], list[Picture]]]:
    """Every second photograph, and then the others: their names, and what calibrates for them.

    That is OTHERS of the other half's pictures, as many of each photograph as may be; all have as many.
    """
    names = list(pictures)
    for judged, others in ((names[::2], names[1::2]), (names[1::2], names[::2])):
        in_turn = chain.from_iterable(zip(*(pictures[name] for name in others), strict=True))
        yield judged, [*islice(in_turn, OTHERS)]


def crossed(
    pictures: Mapping[str, Sequence[Values]],
    quantizer: Callable[[list[Values]], onnx.ModelProto],
) -> npt.NDArray[np.float32]:
    """What a graph in INT8 says to each picture when other photographs calibrated it: [n, classes]."""
    found = dict[str, npt.NDArray[np.float32]]()
    for judged, others in halves(pictures):
        graph = quantizer(others)
        release_memory()
        said = logits(graph, [picture for name in judged for picture in pictures[name]])
        found |= zip(judged, np.split(said, len(judged)), strict=True)
    return np.concatenate([found[name] for name in pictures])
