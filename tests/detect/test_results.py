"""From maps to boxes against mmdet's rules in torch, and pictures on their canvas."""

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.detect import results
from helpers.detect.boxes import AnchorGrid
from helpers.graph.preprocess import Preprocessing, board_crop, letterbox, placed

GRID = AnchorGrid(strides=(8, 16))
CLASSES = 3


def scrambled(*shapes: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    classes = [draw.normal(-2, 2, (1, 9 * CLASSES, *shape)).astype(np.float32) for shape in shapes]
    return classes + [draw.normal(0, 0.8, (1, 36, *shape)).astype(np.float32) for shape in shapes]


def by_mmdet(maps: list[np.ndarray], picture: tuple[int, int], inside: tuple[int, int]) -> list[tuple]:
    """The rules one by one: sigmoid, threshold, best 1000 of a level, decode, clip, scale, NMS by class."""
    boxes, scores, labels = [], [], []
    for level, stride in enumerate(GRID.strides):
        _, _, height, width = maps[level].shape
        chances = torch.tensor(maps[level][0]).permute(1, 2, 0).reshape(-1, CLASSES).sigmoid()
        deltas = torch.tensor(maps[level + 2][0]).permute(1, 2, 0).reshape(-1, 4)
        anchors = []
        for y in range(height):
            for x in range(width):
                for ratio in (0.5, 1, 2):
                    for octave in range(3):
                        side = stride * 4 * 2 ** (octave / 3)
                        anchors.append((x * stride, y * stride, side / ratio**0.5, side * ratio**0.5))
        x, y, w, h = torch.tensor(anchors).T
        dx, dy, dw, dh = deltas.T
        limit = abs(np.log(16 / 1000))
        w2, h2 = w * dw.clamp(-limit, limit).exp() / 2, h * dh.clamp(-limit, limit).exp() / 2
        corners = [x + w * dx - w2, y + h * dy - h2, x + w * dx + w2, y + h * dy + h2]
        decoded = torch.stack([c.clamp(0, inside[1 - i % 2]) for i, c in enumerate(corners)], dim=1)
        places = (chances > 0.05).nonzero()
        best = chances[chances > 0.05].sort(descending=True, stable=True)
        places = places[best.indices[:1000]]
        boxes.append(decoded[places[:, 0]])
        scores.append(best.values[:1000])
        labels.append(places[:, 1])
    scale = torch.tensor([inside[1] / picture[1], inside[0] / picture[0]] * 2)
    box, score, label = torch.cat(boxes) / scale, torch.cat(scores), torch.cat(labels)
    kept: list[int] = []
    for i in score.argsort(descending=True, stable=True).tolist():
        for j in kept:
            low, high = torch.maximum(box[i, :2], box[j, :2]), torch.minimum(box[i, 2:], box[j, 2:])
            shared = (high - low).clamp(min=0).prod()
            area = (box[i, 2:] - box[i, :2]).prod() + (box[j, 2:] - box[j, :2]).prod()
            if label[i] == label[j] and shared / (area - shared) > 0.5:
                break
        else:
            kept.append(i)
        if len(kept) == 100:
            break
    return [(label[i].item(), score[i].item(), box[i].tolist()) for i in kept]


@pytest.mark.parametrize("seed", [0, 1])
def test_boxes_are_those_of_mmdets_rules(seed: int):
    maps = scrambled((9, 12), (5, 6), seed=seed)  # 2,900 candidates on the first level, 800 on the second
    picture, inside = (180, 220), (72, 88)
    found = results.detections(maps, picture, inside, grid=GRID)
    expected = by_mmdet(maps, picture, inside)
    assert len(found) == len(expected) == 100
    for one, (label, score, box) in zip(found, expected, strict=True):
        assert one.class_id == label
        assert one.score == pytest.approx(score, abs=1e-5)
        assert one.box == pytest.approx(box, abs=1e-2)


def test_a_level_has_a_thousand_candidates_also_of_equal_ones():
    for shape, count in (((16, 16), 1000), ((2, 2), 108)):  # of 6,912 equal ones, and of 108
        maps = (np.zeros_like(each) for each in scrambled(shape))
        found = results._candidates(8, *maps, grid=GRID, within=(999, 999))
        assert [len(part) for part in found] == [count] * 3


def test_nothing_above_the_threshold_is_no_object():
    maps = [np.full_like(each, -9) for each in scrambled((4, 4), (2, 2))]
    assert results.detections(maps, (32, 32), (32, 32), grid=GRID) == []


def test_a_picture_stands_whole_in_the_corner_and_the_mean_fills_the_rest():
    pixels = np.full((50, 100, 3), 200, np.uint8)
    fed = Preprocessing("bgr", (103.53, 116.28, 123.675), (58.395, 57.12, 57.375), 448, 448, "letterbox")
    canvas = letterbox(pixels, 448, (123.675, 116.28, 103.53))
    assert placed(pixels.shape[:2], 448) == (224, 448)
    assert (canvas[:224] == 200).all()
    assert (canvas[224:] == (124, 116, 104)).all()
    assert (board_crop(Image.fromarray(pixels), fed) == canvas[..., ::-1]).all()  # in the board's order


def test_a_picture_of_one_row_is_refused():
    with pytest.raises(ValueError, match="5,000 × 1 pixels"):
        letterbox(np.zeros((1, 5000, 3), np.uint8), 448, (0, 0, 0))
