"""Scenes: pure, disjoint, and boxes that hold what was drawn."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from helpers.detect.boxes import BACKGROUND
from helpers.pocket import data, scenes


def test_a_scene_depends_on_index_split_and_version_only() -> None:
    """The shipped detector knows version 1: what moves a pixel or box must raise VERSION and train again."""
    drawn = scenes.dataset(3, split="test")
    assert scenes.render(1, split="test") == drawn[1] != scenes.render(1, split="train")
    assert scenes.VERSION == 1
    assert drawn["picture"].mean(axis=(1, 2, 3)) == pytest.approx([106.45, 133.31, 130.51], abs=0.05)
    assert drawn["boxes"].sum(axis=(1, 2)) == pytest.approx([2409.5, 1357.1, 825.8], abs=0.5)


def test_every_scene_has_objects_inside_the_picture() -> None:
    for scene in scenes.dataset(30, split="train"):
        there = scene["classes"] != BACKGROUND
        left, top, right, bottom = scene["boxes"][there].T
        assert scenes.FEWEST <= there.sum() <= scenes.MOST and not scene["boxes"][~there].any()
        assert min(left.min(), top.min()) >= 0 and max(right.max(), bottom.max()) <= data.SIZE
        assert min((right - left).min(), (bottom - top).min()) > 10


def test_a_box_is_as_large_as_what_the_pen_drew() -> None:
    for label, draw in enumerate(data.DRAWN):
        image, rng = Image.new("RGB", (400, 400), "white"), np.random.default_rng(label)
        place = data.place(rng, radius=120, x=200, y=200, tilt=0.5, mirror=True)
        pen = data.Pen(ImageDraw.Draw(image), rng, place, outline=6.0 * (label % 2))
        draw(pen, (200, 0, 0), (0, 200, 0), (0, 0, 200))
        rows, columns = np.nonzero((np.asarray(image) != 255).any(axis=2))
        assert pen.extent() == pytest.approx(
            [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], abs=2
        )
