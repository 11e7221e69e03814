"""Photographs that come with scikit-image, for answers of a network that was trained on photographs.

All are free to use; data/images/CREDITS.md says whose they are. scikit-image's other pictures are left out:
they are drawings, too small, or of unclear licence.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice

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
KEPT = 224 / 256  # of the short side, by the centre crop of the training


def cuts(count: int, *, seed: int = 0) -> dict[str, list[Image.Image]]:
    """`count` pictures in RGB, 4 : 3, of each photograph: its middle, and places and sizes that `seed` draws.

    Raises FileNotFoundError without scikit-image.
    """
    found: dict[str, list[Image.Image]] = {}
    for place, name in enumerate(PHOTOGRAPHS):
        draw = np.random.default_rng([seed, place])
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


def fed(count: int, preprocessing: Preprocessing, *, seed: int = 0) -> dict[str, list[Values]]:
    """`cuts`, each `as_trained`."""
    found = cuts(count, seed=seed)
    return {name: [as_trained(cut, preprocessing) for cut in several] for name, several in found.items()}


def as_trained(picture: Image.Image, preprocessing: Preprocessing) -> Values:
    """A picture as the training fed it, float32 [1, 3, size, size]: bicubic, its middle cut out, RGB."""
    size = (preprocessing.size, preprocessing.size)
    fitted = ImageOps.fit(picture, size, Image.Resampling.BICUBIC, bleed=(1 - KEPT) / 2)
    return normalize(np.asarray(fitted), preprocessing)


def crossed(
    pictures: Mapping[str, Sequence[Values]],
    quantizer: Callable[[list[Values]], onnx.ModelProto],
    *,
    calibrating: int = OTHERS,
) -> npt.NDArray[np.float32]:
    """What a graph in INT8 says to each picture when other photographs calibrated it: [n, classes].

    `pictures` of each photograph, as many of all; every second photograph calibrates for the others, with
    `calibrating` pictures, as many of each as may be.
    """
    halves, found = (list(pictures)[::2], list(pictures)[1::2]), dict[str, npt.NDArray[np.float32]]()
    for judged, others in (halves, halves[::-1]):
        in_turn = chain.from_iterable(zip(*(pictures[name] for name in others), strict=True))
        graph = quantizer([*islice(in_turn, calibrating)])
        release_memory()
        said = logits(graph, [picture for name in judged for picture in pictures[name]])
        release_memory()
        found |= zip(judged, np.split(said, len(judged)), strict=True)
    return np.concatenate([found[name] for name in pictures])
