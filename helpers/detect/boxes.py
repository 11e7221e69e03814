"""Boxes in numpy alone, for the board's processor as for training: anchors, coder, overlap, suppression.

A box is x1, y1, x2, y2 in pixels of the network's input. The rules are those of mmdet 2.x, with which the
authors trained and measured (open-mmlab/mmdetection: anchor_generator.py, delta_xywh_bbox_coder.py,
max_iou_assigner.py). torchvision's RetinaNet rounds its anchors and clamps on one side only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Size = tuple[int, int]  # height, width

BACKGROUND, IGNORED = -1, -2  # what `assign` says of an anchor without an object
POSITIVE, NEGATIVE = 0.5, 0.4  # overlaps from which an anchor has an object, below which it has none
LARGEST_LOG = abs(math.log(16 / 1000))  # of a side over its anchor's: 4.135, both ways


@dataclass(frozen=True)
class AnchorGrid:
    """The boxes that a detector starts from: some per cell of each map, all shapes of `ratios` by `octaves`.

    On a map of stride s a square anchor is `scale`·s pixels wide, and 2^(k/`octaves`) times that; `ratios`
    are height over width, at the same area.
    """

    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    scale: float = 4
    octaves: int = 3
    ratios: tuple[float, ...] = (0.5, 1, 2)

    @property
    def outputs(self) -> list[str]:
        """The names of a detector's maps, as `detections` takes them: class_8, …, then box_8, …"""
        return [f"{kind}_{stride}" for kind in ("class", "box") for stride in self.strides]

    @property
    def per_cell(self) -> int:
        """Anchors of one cell: 9."""
        return self.octaves * len(self.ratios)

    def cell(self, stride: int) -> Floats:
        """The anchors of a map's first cell, ratio by ratio, the small ones first: [per_cell, 4].

        Their centre is the cell's upper left corner, not its middle.
        """
        sides = stride * self.scale * 2 ** (np.arange(self.octaves) / self.octaves)
        roots = np.sqrt(np.asarray(self.ratios))[:, None]
        half = np.stack([(sides / roots).ravel(), (sides * roots).ravel()], axis=1) / 2
        return np.concatenate([-half, half], axis=1).astype(np.float32)

    def level(self, stride: int, shape: Size) -> Floats:
        """All anchors of one map, row by row, cell by cell: [height · width · per_cell, 4]."""
        y, x = (np.arange(size, dtype=np.float32) * stride for size in shape)
        corners = np.stack([*np.meshgrid(x, y)] * 2, axis=-1)  # [height, width, 4]
        return (corners[:, :, None] + self.cell(stride)).reshape(-1, 4)

    def all(self, shapes: Sequence[Size]) -> Floats:
        """The anchors of all maps, the finest first; `shapes` are the maps' heights and widths."""
        levels = zip(self.strides, shapes, strict=True)
        return np.concatenate([self.level(stride, shape) for stride, shape in levels])


COCO_GRID = AnchorGrid()  # the authors'


def encode(anchors: Floats, boxes: Floats) -> Floats:
    """What the network must say to turn `anchors` into `boxes`, both [n, 4]: dx, dy, log w, log h ratios."""
    (centre, size), (to, wanted) = _centre_size(anchors), _centre_size(boxes)
    return np.concatenate([(to - centre) / size, np.log(wanted / size)], axis=1)


def decode(anchors: Floats, deltas: Floats, within: Size | None = None) -> Floats:
    """The inverse of `encode`; sides grow or shrink 62.5 times at most. Corners are clipped to `within`."""
    centre, size = _centre_size(anchors)
    middle = centre + deltas[:, :2] * size
    half = size * np.exp(np.clip(deltas[:, 2:], -LARGEST_LOG, LARGEST_LOG)) / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    if within:
        height, width = within
        boxes = np.clip(boxes, 0, np.asarray([width, height, width, height], boxes.dtype))
    return boxes


def _centre_size(boxes: Floats) -> tuple[Floats, Floats]:
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2), boxes[:, 2:] - boxes[:, :2]


def overlaps(one: Floats, other: Floats) -> Floats:
    """Intersection over union of every pair: [n, 4] and [m, 4] -> [n, m]."""
    corner = np.maximum(one[:, None, :2], other[None, :, :2])
    opposite = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(opposite - corner, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1e-6), np.float32)


def suppress(
    boxes: Floats, scores: Floats, classes: Integers, *, overlap: float = 0.5, most: int = 100
) -> Integers:
    """Class-wise non-maximum suppression: places of the boxes that stay, best first, at most `most`.

    A box goes if a better one of its class overlaps it by more than `overlap`. The loop ends with the last
    box that counts, so thousands of candidates cost what `most` rounds do.
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        same = np.flatnonzero(classes[left] == classes[best])
        near = overlaps(boxes[best][None], boxes[left[same]])[0] > overlap
        left = np.delete(left, same[near])
    return np.asarray(kept, np.int64)


def assign(anchors: Floats, boxes: Floats) -> Integers:
    """The place in `boxes` [m, 4] that each of `anchors` [n, 4] learns, or BACKGROUND, or IGNORED: [n].

    It learns the object that it overlaps most, from POSITIVE on; and an object's best anchors learn it
    whatever they overlap, so that none is without.
    """
    if not len(boxes):
        return np.full(len(anchors), BACKGROUND)
    table = overlaps(anchors, boxes)
    most = table.max(axis=1)
    found = np.where(most >= POSITIVE, table.argmax(axis=1), np.where(most < NEGATIVE, BACKGROUND, IGNORED))
    for place, best in enumerate(table.max(axis=0)):
        if best > 0:
            found[table[:, place] == best] = place
    return found


def targets(anchors: Floats, boxes: Floats, classes: Integers) -> tuple[Integers, Floats]:
    """What one picture teaches: per anchor its class, BACKGROUND or IGNORED [n], and deltas [n, 4].

    `boxes` [m, 4] and `classes` [m] are its objects. Deltas are 0 where there is no class.
    """
    found = assign(anchors, boxes)
    labels, deltas = found.copy(), np.zeros_like(anchors)
    positive = found >= 0
    labels[positive] = classes[found[positive]]
    deltas[positive] = encode(anchors[positive], boxes[found[positive]])
    return labels, deltas
