"""Anchors, coder, overlap, suppression and targets against values worked out by hand, and torchvision's."""

import contextlib
import math

import numpy as np
import pytest
import torch
from torchvision.models.detection import _utils, anchor_utils
from torchvision.ops import boxes as torchvision_boxes

from helpers.detect import boxes
from helpers.detect.boxes import BACKGROUND, IGNORED, AnchorGrid, decode, encode, overlaps

GRID = AnchorGrid()


def drawn(count: int, *, seed: int = 0, within: float = 100) -> boxes.Floats:
    corners = np.random.default_rng(seed).uniform(0, within, (count, 2, 2)).astype(np.float32)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1)


def test_the_anchors_of_a_cell_are_ratios_outside_and_octaves_inside():
    # by hand: 8 · 4 = 32 pixels; a ratio of 1/2 is twice as wide as high: 32·√2 = 45.25 and 32/√2 = 22.63
    sides = [(45.2548, 22.6274), (57.0175, 28.5088), (71.8376, 35.9188)]
    sides += [(32, 32), (40.3175, 40.3175), (50.7968, 50.7968)]
    sides += [(height, width) for width, height in sides[:3]]
    by_hand = [[-width / 2, -height / 2, width / 2, height / 2] for width, height in sides]
    np.testing.assert_allclose(GRID.cell(8), by_hand, atol=1e-4)
    np.testing.assert_allclose(GRID.cell(128), 16 * GRID.cell(8))


def test_anchors_stand_on_the_corners_of_cells_row_by_row():
    found = GRID.level(16, (2, 3))
    cells = [(0, 0), (16, 0), (32, 0), (0, 16), (16, 16), (32, 16)]  # x, y
    middles = (found[:, :2] + found[:, 2:]) / 2
    np.testing.assert_allclose(middles, np.repeat(cells, GRID.per_cell, axis=0), atol=1e-5)


@pytest.mark.parametrize(("finest", "count"), [(56, 37_629), (64, 49_104), (80, 76_725)])
def test_five_maps_have_the_published_number_of_anchors(finest: int, count: int):
    sides = [finest, finest // 2, finest // 4, finest // 8, -(-finest // 16)]
    assert len(GRID.all([(side, side) for side in sides])) == count


def test_anchors_are_torchvisions_where_it_does_not_round():
    whole = AnchorGrid(strides=(8, 16), scale=4, octaves=1, ratios=(1,))
    theirs = anchor_utils.AnchorGenerator(((32,), (64,)), ((1.0,),) * 2)
    shapes = [(4, 6), (2, 3)]
    grids = theirs.grid_anchors([list(shape) for shape in shapes], [[torch.tensor(s)] * 2 for s in (8, 16)])
    np.testing.assert_array_equal(whole.all(shapes), torch.cat(grids).numpy())


def test_the_coder_by_hand():
    anchor = np.float32([[10, 20, 30, 60]])  # 20 × 40 around (20, 40)
    box = np.float32([[20, 20, 60, 60]])  # 40 × 40 around (40, 40)
    np.testing.assert_allclose(encode(anchor, box), [[1, 0, math.log(2), 0]], atol=1e-6)
    np.testing.assert_allclose(decode(anchor, np.float32([[1, 0, math.log(2), 0]])), box, atol=1e-5)


def test_decoding_undoes_encoding_and_both_are_torchvisions():
    anchors, wanted = drawn(50), drawn(50, seed=1)
    deltas = encode(anchors, wanted)
    np.testing.assert_allclose(decode(anchors, deltas), wanted, atol=1e-3)
    coder = _utils.BoxCoder((1.0, 1.0, 1.0, 1.0))
    theirs = coder.encode_single(torch.tensor(wanted), torch.tensor(anchors))
    np.testing.assert_allclose(deltas, theirs.numpy(), atol=1e-5)
    theirs = coder.decode_single(theirs, torch.tensor(anchors))
    np.testing.assert_allclose(decode(anchors, deltas), theirs.numpy(), atol=1e-3)


@pytest.mark.parametrize(("log", "side"), [(9, 1000), (-9, 0.256)])  # 16 · 62.5 and 16 / 62.5
def test_sides_are_clamped_both_ways(log: float, side: float):
    (box,) = decode(np.float32([[0, 0, 16, 16]]), np.float32([[0, 0, log, log]]))
    assert box[2] - box[0] == pytest.approx(side, rel=1e-4)
    assert box[3] - box[1] == pytest.approx(side, rel=1e-4)


def test_corners_are_clipped_to_the_picture():
    box = decode(np.float32([[-10, -10, 300, 300]]), np.zeros((1, 4), np.float32), (100, 200))
    np.testing.assert_array_equal(box, [[0, 0, 200, 100]])


def test_overlaps_by_hand_and_torchvisions():
    pair = np.float32([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(overlaps(pair[:1], pair), [[1, 1 / 3, 0]], atol=1e-6)
    one, other = drawn(30), drawn(40, seed=1)
    theirs = torchvision_boxes.box_iou(torch.tensor(one), torch.tensor(other)).numpy()
    np.testing.assert_allclose(overlaps(one, other), theirs, atol=1e-5)


def test_suppression_is_by_class_and_keeps_the_best_first():
    found = np.float32([[0, 0, 10, 10], [0, 1, 10, 11], [0, 0, 10, 10], [50, 50, 60, 60]])
    scores, classes = np.float32([0.5, 0.9, 0.7, 0.6]), np.array([1, 1, 2, 1])
    assert boxes.suppress(found, scores, classes).tolist() == [1, 2, 3]  # 0 lies under 1, of its class
    assert boxes.suppress(found, scores, classes, most=2).tolist() == [1, 2]


def test_suppression_is_torchvisions():
    draw = np.random.default_rng(7)
    found, scores, classes = drawn(60, seed=7), draw.random(60, dtype=np.float32), draw.integers(0, 2, 60)
    # of torchvision 0.29.1's batched_nms; its operator loads only where torch has its CUDA libraries as well
    theirs = [33, 26, 39, 52, 0, 12, 3, 11, 44, 56, 15, 20, 54, 34, 17, 35, 5, 24, 57, 1, 37, 45, 4]
    theirs += [31, 59, 32, 29, 14, 28, 48, 58, 38, 9, 10, 7, 41, 16, 46, 8, 47, 13]
    with contextlib.suppress(NotImplementedError, RuntimeError):
        tensors = map(torch.tensor, (found, scores, classes))
        assert theirs == torchvision_boxes.batched_nms(*tensors, 0.3).tolist()
    assert boxes.suppress(found, scores, classes, overlap=0.3).tolist() == theirs


def test_an_anchor_learns_what_it_overlaps_most_and_no_object_is_without():
    anchors = np.float32([[0, 0, 10, 10], [0, 0, 10, 4.5], [0, 0, 10, 3], [50, 50, 60, 60], [90, 90, 91, 91]])
    objects = np.float32([[0, 0, 10, 10], [50, 50, 90, 90]])  # the second one's best overlap is 1/16
    assert boxes.assign(anchors, objects).tolist() == [0, IGNORED, BACKGROUND, 1, BACKGROUND]
    labels, deltas = boxes.targets(anchors, objects, np.array([7, 3]))
    assert labels.tolist() == [7, IGNORED, BACKGROUND, 3, BACKGROUND]
    np.testing.assert_allclose(decode(anchors[[3]], deltas[[3]]), objects[[1]], atol=1e-3)
    assert not deltas[[1, 2, 4]].any()
    nothing = np.zeros((0, 4), np.float32)
    assert set(boxes.targets(anchors, nothing, np.zeros(0, int))[0]) == {BACKGROUND}
