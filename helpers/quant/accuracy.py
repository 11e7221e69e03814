"""How often a graph is right: labelled pictures, and what graphs make of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from PIL import Image
from tqdm.auto import tqdm

from helpers.graph.preprocess import Pixels, Preprocessing, as_rgb, board_crop, normalize
from helpers.graph.session import session_of
from helpers.quant.params import Values

Labels = npt.NDArray[np.int64]


class ImagesError(ValueError):
    """A folder of labelled pictures that cannot be used; one sentence that says what to do."""


def labelled(folder: Path, *, classes: int | Sequence[str]) -> list[tuple[Path, int]]:
    """Pictures and labels of a folder that has one folder per class, in the order of their names.

    `classes`: the names of the model's, of which each folder has one; or how many there are, and the folders
    are all of them, in the order of their names. Raises ImagesError for another folder or number of folders,
    when numbers as names are in another order than they count, or when there is no picture.
    """
    names = class_names(folder)
    if isinstance(classes, int):
        if len(names) != classes:
            told = f"{len(names)} folders, but the model has {classes} classes"
            raise ImagesError(f"{folder}: {told}; give one folder per class")
        counted = sorted(names, key=int) if all(name.isdecimal() for name in names) else names
        if both := next((both for both in zip(names, counted, strict=True) if both[0] != both[1]), None):
            raise ImagesError(
                f"{folder}: by name {both[0]} comes where {both[1]} counts; name all as long: 000, 001"
            )
        classes = names
    labelled = zip(names, _numbers(classes, names, folder), strict=True)
    found = [(path, label) for name, label in labelled for path in _pictures(folder / name)]
    if not found:
        raise ImagesError(f"{folder}: no picture in its class folders; give JPEG or PNG files")
    return found


def listed(folder: Path, file: Path, *, classes: Sequence[str]) -> list[tuple[Path, int]]:
    """Pictures side by side, with the labels that a file has for them: a picture and its class in each line.

    The file is Kaggle's for ImageNet, or like Caffe's, with spaces. A class is one of the names `classes`, or
    where these are 1,000, as ImageNet's, its number from 0 in their order. Raises ImagesError for anything
    else: a number alone in a line, for one, may count in another order.
    """
    numbers = [str(place) for place in range(len(classes))]
    pictures = {name: path for path in _pictures(folder) for name in (path.name, path.stem)}
    lines = [line.replace(",", " ").split() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    lines = [words for words in lines if words and words[0] != "ImageId"]
    if wrong := [words for words in lines if len(words) < 2 or words[0] not in pictures]:
        raise ImagesError(f"{file}: {' '.join(wrong[0])!r} is no picture in {folder} and its class")
    given = [words[1] for words in lines]
    by_number = len(classes) == 1000 and {*given} <= {*numbers}
    labels = _numbers(numbers if by_number else classes, given, file)
    return [(pictures[words[0]], label) for words, label in zip(lines, labels, strict=True)]


def _numbers(classes: Sequence[str], names: Sequence[str], where: Path) -> list[int]:
    """The place of each name in `classes`."""
    places = {name: place for place, name in enumerate(classes)}
    if strange := sorted({*names} - places.keys()):
        told = f"{', '.join(strange[:3])}{', …' * (len(strange) > 3)}"
        raise ImagesError(f"{where}: {told}: not among the model's classes, {', '.join(classes[:3])}, …")
    return [places[name] for name in names]


def _pictures(folder: Path) -> list[Path]:
    kinds = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.suffix.lower() in kinds)


def class_names(folder: Path) -> list[str]:
    """The folders in `folder`, sorted, without hidden ones such as Jupyter's; ImagesError where none is."""
    if not folder.is_dir():
        raise ImagesError(f"{folder}: no such folder; give one with a folder of pictures per class")
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def crops(pairs: Iterable[tuple[Path, int]], preprocessing: Preprocessing) -> Iterator[tuple[Pixels, int]]:
    """Each picture as the board is fed it, uint8 [size, size, 3], with its label.

    Raises ImagesError, with the name, for a file that cannot be decoded.
    """
    for path, label in pairs:
        try:
            with Image.open(path) as image:
                crop = board_crop(as_rgb(image), preprocessing)
        except Exception as error:  # decoders raise nearly anything on damaged files
            raise ImagesError(f"{path}: not an image that can be read; take it out of the folder") from error
        yield crop, label


def samples(pairs: Iterable[tuple[Path, int]], preprocessing: Preprocessing) -> Iterator[tuple[Values, int]]:
    """The same as the network gets it: float32 [1, 3, size, size]."""
    for crop, label in crops(pairs, preprocessing):
        yield normalize(crop, preprocessing), label


def predictions(
    graphs: Mapping[str, onnx.ModelProto], pictures: Iterable[tuple[Values, int | Labels]], *, total: int
) -> tuple[dict[str, Labels], Labels]:
    """The label that each graph gives to each picture, and the true ones: int64 [n].

    `pictures`: `total` batches, float32 [batch, 3, h, w], with their labels (int64 [batch] or one number).
    """
    sessions = {name: session_of(graph, optimized=True) for name, graph in graphs.items()}
    given: dict[str, list[Labels]] = {name: [] for name in graphs}
    truth: list[int | Labels] = []
    for batch, labels in tqdm(pictures, total=total, desc="pictures", leave=False):
        truth.append(labels)
        for name, session in sessions.items():
            scores = session.run(None, {"input": batch})[0]
            given[name].append(scores.reshape(len(batch), -1).argmax(axis=1))
    return {name: np.concatenate(labels) for name, labels in given.items()}, np.hstack(truth)
