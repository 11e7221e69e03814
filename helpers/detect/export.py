"""The export step of every model: that of classifiers is `helpers.graph.export`'s, the detector's is here."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.artifacts import Facts
from helpers.detect.boxes import COCO_GRID
from helpers.detect.results import OUTPUTS
from helpers.graph import OPSET
from helpers.graph import export as classifiers
from helpers.graph.export import Exported
from helpers.graph.preprocess import LARGEST, BoardInput, Preprocessing
from helpers.model.source import find

if TYPE_CHECKING:
    from helpers.detect.network import Detector

MODEL = "efficientvit_m4_retinanet"
SIZE = 448  # pixels, if none are asked for, and the least: its windows tile every stage without padding
MULTIPLE = 64  # pixels: every level is then exactly half the one before, and doubles without a remainder
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # as in its training


def export(
    model: str,
    out: Path,
    *,
    checkpoint: str | Path | None = None,
    opset: int = OPSET,
    batch: int = 1,
    image_size: int | None = None,
    board_input: BoardInput = "bgr",
    keep_residuals: bool = False,
) -> Exported:
    """`helpers.graph.export.export`, which knows the detector too: ten maps, OUTPUTS, and no decoding.

    Of each level `class_STRIDE` [batch, anchors · classes, h, w] and `box_STRIDE` [batch, anchors · 4, h, w],
    for `helpers.detect.results`. Pictures are letterboxed. Raises ValueError also for a size that the
    pyramid cannot halve, and CheckpointError for a classifier's file.
    """
    given: Facts = {"opset": opset, "batch": batch, "image_size": image_size, "board_input": board_input}
    given["keep_residuals"] = keep_residuals
    if model != MODEL:
        return classifiers.export(model, out, checkpoint=checkpoint, **given)
    given["image_size"] = size = image_size or SIZE
    check_size(size)
    weights = find(checkpoint, name=MODEL)

    def make() -> "tuple[Detector, Preprocessing]":
        from helpers.detect.weights import load

        fed = Preprocessing.of(**IMAGENET, board_input=board_input, size=size, crop=1)
        return load(weights.checkpoint), replace(fed, fit="letterbox")

    network: Facts = {"outputs": OUTPUTS, "probes": 1, "anchors": COCO_GRID.per_cell}
    return classifiers.step(out, make, weights, {"model": model} | given, **network)


def check_size(image_size: int) -> None:
    """Raises ValueError, with the reason, for a square input that the detector cannot be compiled for."""
    if image_size % MULTIPLE or not SIZE <= image_size <= LARGEST:
        raise ValueError(
            f"image size {image_size}: choose a multiple of {MULTIPLE} from {SIZE} to {LARGEST}, so that "
            "every map of the pyramid is twice the next, and the last stage has the 7 × 7 tokens of a window"
        )
