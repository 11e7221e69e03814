"""Labelled pictures, and what graphs make of them."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from small_graphs import graph, node

from helpers.graph.preprocess import Preprocessing
from helpers.quant.accuracy import ImagesError, labelled, listed, predictions, samples

PREPROCESSING = Preprocessing.of(mean=(0, 0, 0), std=(1, 1, 1), board_input="rgb", size=8)
CLASSES = ["n01440764", "n01443537", "n01484850"]
THOUSAND = [*CLASSES, *(f"n9{place:07d}" for place in range(997))]


def pictures(folder: Path, *names: str) -> Path:
    """Red PNG and blue JPEG files; a name without an ending is a folder."""
    for path in (folder / name for name in names):
        (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
        if path.suffix:
            Image.new("RGB", (20, 16), "red" if path.suffix == ".png" else "blue").save(path)
    return folder


def told(pairs: Sequence[tuple[Path, int]]) -> list[tuple[str, int]]:
    return [(path.name, label) for path, label in pairs]


def test_a_folder_is_the_class_of_its_name_or_of_its_place(tmp_path: Path):
    folder = pictures(tmp_path, "n01484850/b.jpg", "n01440764/a.png", "n01440764/c.png", ".hidden/c.png")
    (folder / "n01440764" / "notes.txt").write_text("no picture")
    assert told(labelled(folder, classes=CLASSES)) == [("a.png", 0), ("c.png", 0), ("b.jpg", 2)]
    assert told(labelled(folder, classes=2)) == [("a.png", 0), ("c.png", 0), ("b.jpg", 1)]


@pytest.mark.parametrize(
    ("names", "classes", "named"),
    [
        (["0/a.png", "1/a.png", "2/a.png"], CLASSES, "0, 1, 2"),
        (["n01440764/a.png", "n99999999/a.png"], CLASSES, "n99999999"),
        (["a.png"], CLASSES, "no picture"),
        (["a", "b"], 2, "no picture"),
        (["a/1.png", "b/2.png"], 1000, r"2 folders.* 1000 classes"),
        ([str(number) for number in range(11)], 11, "10 comes where 2 counts"),
        ([], 2, "no such folder"),
    ],
)
def test_folders_that_do_not_fit_are_refused(
    names: list[str], classes: int | list[str], named: str, tmp_path: Path
):
    with pytest.raises(ImagesError, match=named):
        labelled(pictures(tmp_path / "wrong", *names), classes=classes)


@pytest.mark.parametrize(
    ("lines", "classes", "found"),
    [
        ("a.png n01484850\nb.png n01440764\n", CLASSES, [2, 0]),
        ("ImageId,PredictionString\na,n01484850 1 2 3 4\nb,n01440764 5 6 7 8\n", CLASSES, [2, 0]),
        ("a.png 999\nb.png 0\n", THOUSAND, [999, 0]),
        ("a.png 1000\nb.png 1\n", THOUSAND, "1000"),
        ("a.png 2\nb.png n01440764\n", THOUSAND, "2"),
        ("a.png 2\n", CLASSES, "2"),
        ("a.png n99999999\n", CLASSES, "n99999999"),
        ("c.png n01440764\n", CLASSES, "c.png"),
        ("490\n361\n", THOUSAND, "490"),
        ("\ufeffa.png n01484850\r\nb.png n01440764\r\n", CLASSES, [2, 0]),
    ],
)
def test_a_file_of_labels_says_the_classes_of_pictures_side_by_side(
    lines: str, classes: list[str], found: list[int] | str, tmp_path: Path
):
    (file := tmp_path / "labels").write_text(lines)
    folder = pictures(tmp_path / "val", "a.png", "b.png")
    if isinstance(found, str):
        with pytest.raises(ImagesError, match=f"labels.*{found}"):
            listed(folder, file, classes=classes)
    else:
        assert told(listed(folder, file, classes=classes)) == [("a.png", found[0]), ("b.png", found[1])]


def test_what_each_graph_says(tmp_path: Path):
    """A classifier of three classes: the mean of each channel."""
    pairs = labelled(pictures(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.png"), classes=2)
    channels = graph(node("GlobalAveragePool"), shape=[1, 3, 8, 8], out=[1, 3, 1, 1])
    found, truth = predictions({"mean": channels}, samples(pairs, PREPROCESSING), total=3)
    assert list(found["mean"]) == [2, 2, 0]
    assert list(truth) == [0, 0, 1]


def test_a_broken_picture_is_named(tmp_path: Path):
    (pictures(tmp_path, "a/1.jpg") / "a" / "1.jpg").write_bytes(b"cut off")
    with pytest.raises(ImagesError, match=r"1\.jpg"):
        list(samples(labelled(tmp_path, classes=1), PREPROCESSING))
