"""The export step of every model: that of classifiers is `helpers.graph.export`'s, the detector's is here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.artifacts import Facts
from helpers.detect.boxes import AnchorGrid, pyramid
from helpers.detect.results import OUTPUTS
from helpers.graph import OPSET
from helpers.graph import export as classifiers
from helpers.graph.export import Exported
from helpers.graph.preprocess import LARGEST, BoardInput, Preprocessing
from helpers.model.source import find

MODEL = "efficientvit_m4_retinanet"
SIZE = 448  # pixels, if none are asked for: the windows tile every stage, so nothing is padded
SMALLEST = 385  # pixels: from here on the last map has the 7 × 7 tokens of a window
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
    given["image_size"] = image_size or SIZE
    check_size(given["image_size"])
    weights = find(checkpoint, name=MODEL)

    def work(scratch: Path) -> Facts:
        return _export(scratch, weights.checkpoint, **given)

    return classifiers.step(out, work, weights, {"model": model} | given)


def check_size(image_size: int) -> None:
    """Raises ValueError, with the reason, for a square input that the detector cannot be compiled for."""
    if image_size < SMALLEST:
        raise ValueError(
            f"image size {image_size} is too small: from {image_size} pixels the last stage has "
            f"{pyramid(image_size, image_size)[3][0]} tokens a side, and its attention windows are 7 wide; "
            "choose 448, 512 or 640"
        )
    if image_size % MULTIPLE or image_size > LARGEST:
        raise ValueError(
            f"image size {image_size}: choose a multiple of {MULTIPLE} up to {LARGEST}, such as 448, 512 or "
            "640, so that every map of the pyramid is twice the next"
        )


def _export(
    out: Path, checkpoint: str | Path, *, image_size: int, board_input: BoardInput, **given: Any
) -> Facts:
    from helpers.detect.weights import load

    fed = Preprocessing.of(**IMAGENET, board_input=board_input, size=image_size, crop=1)
    fed = replace(fed, fit="letterbox")
    facts = classifiers.write(out, lambda: (load(checkpoint), fed), outputs=OUTPUTS, probes=1, **given)
    return facts | {"classes": facts["classes"] // AnchorGrid().per_cell}
