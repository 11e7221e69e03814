"""Labelled pictures, and what graphs make of them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from small_graphs import graph, node

from helpers.graph.convert import simplify, to_onnx
from helpers.graph.fold import fold
from helpers.graph.preprocess import Preprocessing
from helpers.model import weights
from helpers.pocket import data
from helpers.quant import accuracy, quantize, simulate
from helpers.quant.accuracy import ImagesError, evaluate, labelled, predictions, samples

PREPROCESSING = Preprocessing.of(mean=(0, 0, 0), std=(1, 1, 1), board_input="rgb", size=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, one red picture and two blue ones, and a file that is no picture."""
    for name, colour in {"b/1.png": "red", "a/2.png": "blue", "a/1.jpg": "blue"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 16), colour).save(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    return tmp_path


def brightest_channel() -> onnx.ModelProto:
    """A classifier of three classes: the mean of each channel."""
    return graph(node("GlobalAveragePool"), shape=[1, 3, 8, 8], out=[1, 3, 1, 1])


def test_folders_are_classes_in_alphabetical_order(folder: Path):
    assert [(path.name, label) for path, label in labelled(folder, classes=2)] == [
        ("1.jpg", 0),
        ("2.png", 0),
        ("1.png", 1),
    ]


def test_what_each_graph_says(folder: Path):
    pairs = labelled(folder, classes=2)
    found, truth = predictions({"mean": brightest_channel()}, samples(pairs, PREPROCESSING), total=3)
    assert list(found["mean"]) == [2, 2, 0]
    assert list(truth) == [0, 0, 1]


def test_folders_that_do_not_fit_are_refused(folder: Path, tmp_path: Path):
    with pytest.raises(ImagesError, match=r"2 folders.* 1000 classes"):
        labelled(folder, classes=1000)
    with pytest.raises(ImagesError, match="none"):
        labelled(tmp_path / "none", classes=2)
    for number in range(11):
        (tmp_path / "a" / "numbers" / str(number)).mkdir(parents=True)
    with pytest.raises(ImagesError, match="10 comes where 2 counts"):
        labelled(tmp_path / "a" / "numbers", classes=11)
    for path in folder.rglob("*.*g"):
        path.unlink()
    with pytest.raises(ImagesError, match="no picture"):
        labelled(folder, classes=2)


def test_a_broken_picture_is_named(folder: Path):
    (folder / "a" / "1.jpg").write_bytes(b"cut off")
    with pytest.raises(ImagesError, match=r"1\.jpg"):
        list(samples(labelled(folder, classes=2), PREPROCESSING))


def test_each_picture_either_calibrates_or_is_judged(monkeypatch: pytest.MonkeyPatch):
    """64 pictures, the fewest that are taken; here each is only its number."""
    used: dict[str, list[int]] = {}

    def choose(_: object, pictures: list[int]):
        used["choosing"] = pictures
        return 1.0, {}

    def predicted(graphs: dict[str, object], pictures: list[tuple[int, int]], *, total: int):
        used["judged"] = [picture for picture, _ in pictures]
        assert total == len(used["judged"])
        return {name: np.zeros(total) for name in graphs}, np.arange(total) % 4

    monkeypatch.setattr(accuracy, "samples", lambda pairs, _: [(int(path.stem), 0) for path, _ in pairs])
    monkeypatch.setattr(quantize, "calibrate", lambda _, pictures: used.update(calibrating=pictures))
    monkeypatch.setattr(quantize, "quantize", lambda *_, **__: None)
    monkeypatch.setattr(simulate, "choose", choose)
    monkeypatch.setattr(accuracy, "predictions", predicted)
    pairs = [(Path(f"{number}.png"), 0) for number in range(64)]
    assert evaluate(brightest_channel(), pairs, PREPROCESSING) == {"float": 0.25, "INT8": 0.25, "mixed": 0.25}
    assert sorted(used["calibrating"] + used["judged"]) == list(range(64))
    assert len(used["calibrating"]) == 32 and {0, 63} <= set(used["calibrating"])
    assert used["choosing"] == used["calibrating"][:8]


def test_a_trained_model_is_judged_in_three_ways(tmp_path: Path):
    """The pocket model on drawn pictures, kept as files in one folder per class."""
    for index in range(80):
        pixels, label = data.render(index, split="test")
        place = tmp_path / "pictures" / f"{label}" / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place)
    pairs = labelled(tmp_path / "pictures", classes=10)
    model = fold(weights.load("pocket"))
    made = simplify(to_onnx(model))
    found = evaluate(made, pairs, Preprocessing.trained(model, "rgb"))
    assert list(found) == ["float", "INT8", "mixed"]
    assert all(0.75 < share <= 1 for share in found.values())
    with pytest.raises(ImagesError, match="64"):
        evaluate(made, pairs[:63], PREPROCESSING)
