"""From the ten maps of a detector to boxes in the picture, on the processor of a board or here.

Numpy alone: on a board, pyaxengine gives the maps. The rules are those of mmdet 2.x, with which the authors
measured: the best CANDIDATES pairs of anchor and class per level, boxes clipped to the picture, suppression
by class.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from helpers.detect.boxes import COCO_GRID, AnchorGrid, Floats, Integers, Size, decode, suppress

SCORE = 0.05  # from which a candidate counts; average precision needs the low ones as well
CANDIDATES = 1000  # per level
OUTPUTS = COCO_GRID.outputs


class Found(NamedTuple):
    """One object: `box` is left, top, right, bottom in pixels of the picture."""

    class_id: int
    score: float
    box: list[float]


def detections(
    maps: Sequence[Floats], picture: Size, inside: Size, *, grid: AnchorGrid = COCO_GRID
) -> list[Found]:
    """The objects in one picture, best first.

    `maps` are the network's outputs in their order: logits [1, anchors · classes, h, w] of every level, then
    deltas [1, anchors · 4, h, w]. `picture` is its height and width, `inside` those that it has on the canvas
    (`letterbox`).
    """
    levels = len(grid.strides)
    found = [
        _candidates(*level, grid=grid, within=inside)
        for level in zip(grid.strides, maps[:levels], maps[levels:], strict=True)
    ]
    boxes, logits, classes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    boxes *= np.asarray([picture[1] / inside[1], picture[0] / inside[0]] * 2, np.float32)
    scores = 1 / (1 + np.exp(-logits))
    kept = suppress(boxes, scores, classes)
    return [Found(int(classes[place]), float(scores[place]), boxes[place].tolist()) for place in kept]


def _candidates(
    stride: int, class_map: Floats, box_map: Floats, *, grid: AnchorGrid, within: Size
) -> tuple[Floats, Floats, Integers]:
    """The best boxes of one level [k, 4], their logits and classes.

    Logits are compared, not scores: of millions only the few that are left would need an exponential.
    """
    shape = class_map.shape[2:]
    flat = class_map.reshape(-1)
    at = np.flatnonzero(flat > math.log(SCORE / (1 - SCORE)))
    logits = flat[at]
    channel, cell = np.divmod(at, shape[0] * shape[1])
    anchor, classes = np.divmod(channel, class_map.shape[1] // grid.per_cell)
    in_order = np.lexsort((classes, anchor, cell, -logits))  # of equal ones the first, as mmdet counts
    best = in_order[:CANDIDATES]
    anchor, cell = anchor[best], cell[best]
    deltas = box_map.reshape(grid.per_cell, 4, -1)[anchor, :, cell]
    anchors = grid.level(stride, shape).reshape(-1, grid.per_cell, 4)[cell, anchor]
    return decode(anchors, deltas, within), logits[best], classes[best]
