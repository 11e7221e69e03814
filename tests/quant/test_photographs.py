"""Pictures out of photographs that a package brings, and who calibrates for whom."""

import re
from importlib.metadata import PackageNotFoundError

import numpy as np
import onnx
import pytest
from PIL import Image

from helpers import files
from helpers.graph.preprocess import Preprocessing
from helpers.quant import photographs
from helpers.quant.photographs import PHOTOGRAPHS, as_trained, crossed, cuts

LITE0 = Preprocessing("rgb", mean=(127,) * 3, std=(128,) * 3)


def test_cuts_are_the_same_each_time():
    found, again = cuts(3), cuts(3)
    assert [*found] == [*PHOTOGRAPHS]
    for name, several in found.items():
        assert len({cut.tobytes() for cut in several}) == 3
        assert [cut.tobytes() for cut in again[name]] == [cut.tobytes() for cut in several]
        for cut in several:
            assert cut.mode == "RGB" and abs(cut.width - cut.height * 4 / 3) <= 2
            assert cut.width > 0.59 * several[0].width


def test_each_photograph_has_its_credit():
    credits = (files.DATA / "images" / "CREDITS.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \|.*\| ([^|]+) \|$", credits, re.MULTILINE))
    assert all(
        "CC0" in rows[name] or "public" in rows[name] or "no known" in rows[name] for name in PHOTOGRAPHS
    )


def test_the_middle_is_fed_as_in_training():
    picture = Image.new("RGB", (400, 300))
    kept = 300 * 224 / 256
    inner = Image.new("RGB", (round(kept) - 8, round(kept) - 8), (255, 127, 0))
    picture.paste(inner, ((400 - inner.width) // 2, (300 - inner.height) // 2))
    fed = as_trained(picture, LITE0)
    assert fed.shape == (1, 3, 224, 224) and fed.dtype == np.float32
    assert fed[0, :, 112, 112] == pytest.approx([1, 0, -127 / 128])
    assert (
        fed[0, 0, 112, :2].max() < 0 < fed[0, 0, 112, 8:216].min()
    )  # the border that was black, and no more


def test_photographs_that_calibrate_are_not_those_that_are_judged(monkeypatch: pytest.MonkeyPatch):
    asked: list[list[float]] = []
    pictures = {
        name: [np.full((1, 1), place + number / 10) for number in range(3)]
        for place, name in enumerate("abcd")
    }

    def quantizer(seen: list[np.ndarray]) -> onnx.ModelProto:
        asked.append([picture.item() for picture in seen])
        return onnx.ModelProto()

    monkeypatch.setattr(photographs, "OTHERS", 5)
    monkeypatch.setattr(photographs, "logits", lambda graph, fed: np.concatenate(fed) + 100 * len(asked))
    found = crossed(pictures, quantizer)
    assert asked == [pytest.approx([1, 3, 1.1, 3.1, 1.2]), pytest.approx([0, 2, 0.1, 2.1, 0.2])]
    assert found[:, 0].tolist() == pytest.approx(
        [100, 100.1, 100.2, 201, 201.1, 201.2, 102, 102.1, 102.2, 203, 203.1, 203.2]
    )


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(files, "distribution", missing)
    with pytest.raises(FileNotFoundError, match=r"pip install .* scikit-image") as told:
        cuts(1)
    assert "\n" not in files.in_words(told.value)
