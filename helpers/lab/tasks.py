"""What a sweep is of: parts of accuracies, rows of the chain, chapters; all refused before one starts."""

import csv
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from helpers.files import DATA, packaged
from helpers.lab import notebooks
from helpers.lab.sweep import Task
from helpers.model.source import HUB, POCKET, RANDOM, find
from helpers.model.variants import VARIANTS, variant
from helpers.quant.accuracy import ImagesError

PART = 250  # pictures of a task
CALIBRATING = 32
DRAWN = 2000  # test drawings, those of chapter 04's accuracy
LITE0 = "lite0"
_READ = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_PACKAGES = ("torch", "timm", "onnx", "onnxruntime", "onnxsim", "numpy", "pillow")


def accuracies(
    models: Sequence[str] = ("all",),
    *,
    precisions: Sequence[str] = ("float", "int8", "mixed"),
    images: Path | str | None = None,
    labels: Path | None = None,
    checkpoint: str | Path | None = None,
    limit: int = 0,
) -> list[Task]:
    """Parts of PART pictures for each model, of all in turn, so that workers need not wait for one's graphs.

    Without `images` the pocket model judges drawings, and Lite0 photographs that a package brings: "all" are
    these two. With `images` they are Lite0 and those of the six that have trained weights; CALIBRATING of the
    pictures, spread over all, only calibrate. `limit`: pictures to judge, spread over all. Raises ImagesError
    where pictures or labels cannot be used, ValueError for a model that cannot be judged, CheckpointError.
    """
    images = Path(images) if images else None
    everything = [*VARIANTS, LITE0] if images else [POCKET, LITE0]
    chosen = [
        *dict.fromkeys(name for model in models for name in (everything if model == "all" else [model]))
    ]
    parts = []
    for model in chosen:
        weights = _weights(model, checkpoint)
        if weights is None and "all" in models:
            continue
        if weights is None or (images is None and model in VARIANTS):
            raise ValueError(f"{model} waits for {missing(model)}")
        of_model: list[Task] = []
        for title, names, answers, calibrating in _pictures(model, weights, images, labels, limit):
            for start in range(0, len(names), PART):
                judged = names[start : start + PART]
                files = {name: images / name for name in (*judged, *calibrating)} if images else {}
                of_model.append(
                    Task(
                        f"{model}, {weights.name}, {title}, {len(of_model) + 1:03d}",
                        "helpers.lab.judge:part",
                        {
                            "model": model,
                            "weights": weights.name,
                            "set": title,
                            "pictures": judged,
                            "labels": answers and answers[start : start + PART],
                            "calibrating": calibrating,
                            "precisions": [*precisions],
                        },
                        inputs={"checkpoint": weights} | files,
                        packages=_PACKAGES,
                    )
                )
        parts.append(of_model)
    return [task for together in itertools.zip_longest(*parts) for task in together if task]


def timings(pictures: int = 16) -> list[Task]:
    """The time of the six on a few drawings, with random weights, for `tables.plan`: never an accuracy."""
    drawn, seen = ([f"drawn/{split}/{place}" for place in range(pictures)] for split in ("test", "train"))
    told = {"weights": RANDOM, "set": f"{pictures} drawings for the time", "pictures": drawn, "labels": None}
    told |= {"calibrating": seen, "precisions": ["float", "int8", "mixed"]}
    return [
        Task(f"{model}, {told['set']}", "helpers.lab.judge:part", {"model": model} | told, packages=_PACKAGES)
        for model in VARIANTS
    ]


def missing(model: str) -> str:
    """What the accuracy of one of the six waits for, in words."""
    needs = [] if _weights(model, None) else ["trained weights (`weights timm`, or --checkpoint)"]
    return " and ".join([*needs, "labelled photographs (--images)"])


def _weights(model: str, checkpoint: str | Path | None) -> Path | None:
    """The file of a model's weights; None where they would be random. The hub's are fetched."""
    if model == LITE0:
        from helpers.model import lite0

        return packaged(lite0.PACKAGE, lite0.FILE)
    source = find(checkpoint, name=model if model == POCKET else variant(model).name)
    if source.checkpoint == HUB and source.file is None:
        from helpers.model.weights import load

        load(model, HUB)
        source = find(HUB, name=model)
    return source.file


Pictures = tuple[
    str, list[str], list[int] | None, list[str]
]  # what they are, names, labels; names to calibrate


def _pictures(
    model: str, weights: Path, images: Path | None, labels: Path | None, limit: int
) -> list[Pictures]:
    """Pictures to judge by the names that `judge.picture` knows, with those that calibrate for them."""

    def spread(count: int, of: int) -> list[int]:
        return [place * of // count for place in range(count)] if count < of else [*range(of)]

    if images:
        found = labelled(images, class_names(model, weights), labels)
        if len(found) < 2 * CALIBRATING:
            raise ImagesError(f"{images}: {len(found)} pictures; give {2 * CALIBRATING}, as some calibrate")
        apart = spread(CALIBRATING, len(found))
        judged = [pair for place, pair in enumerate(found) if place not in set(apart)]
        judged = [judged[place] for place in spread(limit or len(judged), len(judged))]
        title, calibrating = f"{len(judged)} of {images.resolve().name}", [found[place][0] for place in apart]
        return [(title, [name for name, _ in judged], [label for _, label in judged], calibrating)]
    if model == LITE0:
        from helpers.lab.judge import CROPS
        from helpers.quant.photographs import PHOTOGRAPHS

        halves = [
            [f"photograph/{name}/{crop}" for crop in range(CROPS) for name in PHOTOGRAPHS[half::2]]
            for half in (0, 1)
        ]
        count = len(spread(limit or DRAWN, len(halves[0])))
        title = f"{2 * count} crops of photographs"
        return [(title, half[:count], None, other[:16]) for half, other in (halves, halves[::-1])]
    count = min(limit or DRAWN, DRAWN)
    names = [f"drawn/test/{place}" for place in range(count)]
    seen = [f"drawn/train/{place}" for place in range(CALIBRATING)]
    return [(f"{count} drawings", names, [place % 10 for place in range(count)], seen)]


def class_names(model: str, weights: Path) -> list[str]:
    """The classes in the order of a model's outputs: its checkpoint's names, else ImageNet's WordNet ids.

    Raises ImagesError for another number of classes without names: then nothing says which is which.
    """
    if weights.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(weights, framework="np") as file:
            if said := (file.metadata() or {}).get("classes"):
                return [str(name) for name in json.loads(said)]
    from helpers.model import checkpoint, layout
    from helpers.model.reference import ImageNetInfo

    if model != LITE0 and (count := layout.classes(checkpoint.read(weights))) != 1000:
        raise ImagesError(
            f"{weights.name} has {count} classes and does not name them, so no folder has a number: "
            "give a checkpoint that `finetune` wrote"
        )
    return list(ImageNetInfo("imagenet-1k").label_names())


def labelled(folder: Path, classes: Sequence[str], labels: Path | None = None) -> list[tuple[str, int]]:
    """Pictures, by their path in `folder`, with their labels: of a folder per class, or of a file of labels.

    A folder's name is one of `classes`; not all need be there. A line of the file is a picture and its class,
    apart by a space or a comma, or a class alone, in the order of the pictures' names; what follows is not
    read. Numbers are no classes: ImageNet's own are in another order than any network's. Raises ImagesError.
    """
    number = {name: place for place, name in enumerate(classes)}
    if not folder.is_dir():
        raise ImagesError(f"{folder}: no such folder; give one with a folder of pictures per class")
    if labels:
        lines = [*filter(None, csv.reader(re.sub(r"[ \t]+", ",", labels.read_text().strip()).splitlines()))]
        lines = lines[lines[0][0] == "ImageId" :]  # a heading
        flat = _files(folder)
        if {*map(len, lines)} == {1} and len(lines) == len(flat):
            lines = [[path.name, *line] for path, line in zip(flat, lines, strict=True)]
        by_name = {name: path for path in flat for name in (path.name, path.stem)}
        if wrong := [line for line in lines if line[0] not in by_name or len(line) < 2]:
            raise ImagesError(f"{labels}: {' '.join(wrong[0])} is no picture in {folder} and its class")
        pairs = [(by_name[line[0]], line[1]) for line in lines]
    else:
        folders = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
        if not folders:
            raise ImagesError(f"{folder}: no folder in it; give one per class, or --labels")
        pairs = [(path, inner.name) for inner in folders for path in _files(inner)]
        pairs += [(inner, inner.name) for inner in folders if inner.name not in number]  # refused below
    if strange := sorted({name for _, name in pairs} - number.keys()):
        told = f"{', '.join(strange[:3])}{f' and {len(strange) - 3} more' * (len(strange) > 3)}"
        raise ImagesError(
            f"{labels or folder}: {told}: no classes of the model, and anything else is ambiguous; "
            f"its classes are {', '.join(classes[:3])}, …"
        )
    if not pairs:
        raise ImagesError(f"{folder}: no picture in it; give JPEG or PNG files")
    return [(path.relative_to(folder).as_posix(), number[name]) for path, name in pairs]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.suffix.lower() in _READ)


def speeds(
    models: Sequence[str] = ("all",),
    *,
    npu_mode: Sequence[str] = ("NPU1", "NPU3"),
    batch: Sequence[int] = (1, 8),
    host: Sequence[str] = (),
    checkpoint: str | Path | None = None,
    images: Path | str = "",
) -> list[Task]:
    """The chain for each model, mode and batch: to the compiler, then for each board, one at a time.

    Raises UnknownModel, ConfigError for another mode, ValueError for a batch below 1, BoardError for what is
    no board's name, and CheckpointError.
    """
    from helpers.board.ssh import Board
    from helpers.pulsar2.config import validate

    for mode in npu_mode:
        validate({"npu_mode": mode})
    for name in host:
        Board.at(name)
    if min(batch) < 1:
        raise ValueError(f"--batch {min(batch)}: give 1 or more")
    chosen = [*VARIANTS] if "all" in models else [variant(model).name for model in models]
    tasks = []
    for board, size, mode, model in itertools.product(("", *host), batch, npu_mode, chosen):
        weights = find(checkpoint, name=model)
        given = {"checkpoint": str(weights.checkpoint), "images": images and str(Path(images).resolve())}
        tasks.append(
            Task(
                f"{model}, {mode}, batch {size}, {board or 'compiler'}",
                "helpers.chain:row",
                {"model": model, "npu_mode": mode, "batch": size, "host": board} | given,
                inputs={"checkpoint": weights.file} if weights.file else {},
                packages=_PACKAGES,
                alone=board,
            )
        )
    return tasks


def chapters(chapter: str, grid: Mapping[str, Sequence[str]]) -> list[Task]:
    """A chapter with every combination of values, as typed; `all` of `model` are the six.

    Raises UnknownNotebook, and what `check_parameters` does.
    """
    from helpers.lab.parameters import FILES, check_parameters, from_words

    notebook, tasks = notebooks.find(chapter), []
    data = {path.relative_to(DATA).as_posix(): path for path in sorted(DATA.rglob("*")) if path.is_file()}
    values = [[*VARIANTS] if (name, *words) == ("model", "all") else words for name, words in grid.items()]
    for words in itertools.product(*values):
        typed = dict(zip(grid, words, strict=True))
        parameters = from_words(notebook, typed)
        check_parameters(notebook, parameters)
        named = {name: Path(parameters[name]) for name in parameters.keys() & {"checkpoint", *FILES}}
        files = {name: path for name, path in named.items() if path.is_file()}
        tasks.append(
            Task(
                ", ".join([notebook.stem, *(f"{name} {word}" for name, word in typed.items())]),
                "helpers.lab.runner:row",
                {"parameters": parameters, "weights": find().words},
                inputs={"notebook": notebook} | data | files,
                packages=_PACKAGES,
                code=notebooks.imported(notebook),
            )
        )
    return tasks
