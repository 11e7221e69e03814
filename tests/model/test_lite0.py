"""The trained network out of the wheel: its file, and what it sees."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.files import PHOTO, packaged
from helpers.graph.preprocess import Preprocessing
from helpers.model import lite0
from helpers.model.reference import class_name
from helpers.model.source import CheckpointError
from helpers.quant.photographs import as_trained

network = functools.cache(lite0.load)


def test_it_knows_a_cat_and_takes_the_pixels_of_its_training():
    preprocessing = Preprocessing.trained(network(), "rgb")
    assert (preprocessing.mean, preprocessing.std) == ((127,) * 3, (128,) * 3)
    with torch.inference_mode():
        scores = (
            network()(torch.from_numpy(as_trained(Image.open(PHOTO), preprocessing)))[0].softmax(0).numpy()
        )
    assert sum(scores[number] for number in np.argsort(-scores)[:3] if "cat" in class_name(int(number))) > 0.7


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = tmp_path / "other.pth"
    other.write_bytes(packaged(lite0.PACKAGE, lite0.FILE).read_bytes()[:-1] + b"?")
    monkeypatch.setattr(lite0, "packaged", lambda *_: other)
    with pytest.raises(CheckpointError, match="install it again"):
        lite0.load()


def test_the_global_random_state_stays():
    before = torch.random.get_rng_state()
    lite0.load()
    assert torch.equal(torch.random.get_rng_state(), before)
