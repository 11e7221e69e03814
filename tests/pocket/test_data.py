"""The drawn objects: pure, disjoint, balanced, and told apart by shape alone."""

from pathlib import Path

import numpy as np
import pytest

from helpers.pocket import data
from helpers.pocket.data import CLASSES, dataset, render


def test_a_picture_depends_on_its_index_and_split_only() -> None:
    first, label = render(7, split="train")
    render(8, split="train")
    again, _ = render(7, split="train")
    assert first.shape == (224, 224, 3) and first.dtype == np.uint8
    assert label == 7
    assert np.array_equal(first, again)


def test_splits_and_indices_share_no_picture() -> None:
    seen = {render(index, split=split)[0].tobytes() for split in data.SPLITS for index in range(0, 30, 10)}
    assert len(seen) == 2 * 3


def test_pixels_are_those_of_this_version() -> None:
    """The shipped weights know version 1: a change that moves pixels must raise VERSION and train again."""
    means = [round(float(render(index, split="test")[0].mean()), 2) for index in range(3)]
    assert data.VERSION == 1
    assert means == pytest.approx([139.90, 131.40, 177.52], abs=0.05)


def test_classes_are_balanced_and_drawn_over_the_background() -> None:
    _, labels = dataset(40, split="test")
    assert np.bincount(labels).tolist() == [4] * len(CLASSES) == [4] * 10


def test_colour_does_not_give_the_class_away() -> None:
    """Guessing the class with the nearest mean colour histogram is within five standard errors of chance."""
    pictures, labels = dataset(600, split="train")
    red, green, blue = np.moveaxis(pictures.astype(np.int64) // 32, 3, 0).reshape(3, 600, -1)
    colours = (red * 8 + green) * 8 + blue
    histograms = np.stack([np.bincount(picture, minlength=512) for picture in colours]) / colours.shape[1]
    known, asked = slice(0, 400), slice(400, 600)
    centres = [histograms[known][labels[known] == label].mean(axis=0) for label in range(len(CLASSES))]
    guesses = np.linalg.norm(histograms[asked][:, None] - np.stack(centres), axis=2).argmin(axis=1)
    assert (guesses == labels[asked]).mean() < 0.1 + 5 * (0.1 * 0.9 / 200) ** 0.5


def test_kept_pictures_are_read_back_and_an_interrupted_drawing_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, labels = dataset(10, split="train", folder=tmp_path)

    def break_off_at_fifteen(index: int, *, split: data.Split) -> object:
        if index == 15:
            raise KeyboardInterrupt
        return render(index, split=split)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(data, "render", break_off_at_fifteen)
        dataset(20, split="train", folder=tmp_path)
    kept, kept_labels = dataset(10, split="train", folder=tmp_path)
    longer, _ = dataset(20, split="train", folder=tmp_path)
    assert isinstance(kept, np.memmap)
    assert np.array_equal(drawn, kept) and np.array_equal(labels, kept_labels)
    assert np.array_equal(longer[:10], kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "pocket-v1-train-10.npy",
        "pocket-v1-train-20.npy",
    ]
