"""What a sweep is of: parts of accuracies, rows of the chain, chapters; all refused before one starts."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from helpers.artifacts import Facts
from helpers.files import packaged
from helpers.lab import notebooks
from helpers.lab.judge import PRECISIONS
from helpers.lab.sweep import Task
from helpers.model import lite0
from helpers.model.source import POCKET, RANDOM, find
from helpers.model.variants import VARIANTS, variant
from helpers.quant.accuracy import ImagesError, labelled, listed
from helpers.quant.photographs import CROPS, PHOTOGRAPHS, halves

PART = 250  # pictures of a task
CALIBRATING = 32
DRAWN = 2000  # test drawings, those of chapter 04's accuracy
LITE0 = "lite0"
JUDGE, CHAIN, CHAPTER = "helpers.lab.judge:part", "helpers.chain:row", "helpers.lab.runner:row"
WAITS = "waits for trained weights (`weights timm`, or --checkpoint) and labelled photographs (--images)"


def accuracies(
    models: Sequence[str] = ("all",),
    *,
    precisions: Sequence[str] = PRECISIONS,
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
    if limit < 0:
        raise ValueError(f"--limit {limit}: give 1 or more")
    images = Path(images) if images else None
    everything = [*VARIANTS, LITE0] if images else [POCKET, LITE0]
    parts = []
    for model in everything if "all" in models else dict.fromkeys(models):
        weights = _weights(model, checkpoint)
        if weights is None or (images is None and model in VARIANTS):
            if "all" in models:
                continue
            raise ValueError(f"{model} {WAITS}")
        told: Facts = {"model": model, "weights": weights.name, "precisions": [*precisions]}
        of_model: list[Task] = []
        for found in _sets(model, weights, images, labels, limit):
            for start in range(0, len(found["pictures"]), PART):
                part = {name: found[name][start : start + PART] for name in ("pictures", "labels")}
                name = f"{model}, {weights.name}, {found['set']}, {len(of_model) + 1:03d}"
                files = [*part["pictures"], *found["calibrating"]] if images else []
                inputs = {"checkpoint": weights} | {file: Path(images or "", file) for file in files}
                of_model.append(Task(name, JUDGE, told | found | part, inputs=inputs))
        parts.append(of_model)
    return [task for together in itertools.zip_longest(*parts) for task in together if task]


def timings(pictures: int = 16) -> list[Task]:
    """The time of the six on a few drawings, with random weights: never an accuracy."""
    told = _drawn(pictures, 1) | {"weights": RANDOM, "labels": [], "precisions": ["float", "int8"]}
    return [
        Task(f"{model}, {told['set']} for the time", JUDGE, {"model": model} | told) for model in VARIANTS
    ]


def _weights(model: str, checkpoint: str | Path | None) -> Path | None:
    """The file of a model's weights; None where they would be random, or are not here yet."""
    if model == LITE0:
        return packaged(lite0.PACKAGE, lite0.FILE)
    return find(checkpoint, name=model if model == POCKET else variant(model).name).file


def _sets(model: str, weights: Path, images: Path | None, labels: Path | None, limit: int) -> list[Facts]:
    """What `judge.part` gets: pictures by the names that it knows, with those that calibrate for them."""
    if images:
        classes = class_names(model, weights)
        found = listed(images, labels, classes=classes) if labels else labelled(images, classes=classes)
        if len(found) < 2 * CALIBRATING:
            raise ImagesError(f"{images}: {len(found)} pictures; give {2 * CALIBRATING}, as some calibrate")
        pairs = [(path.relative_to(images).as_posix(), label) for path, label in found]
        calibrating = _spread(pairs, CALIBRATING)
        others = [pair for pair in pairs if pair not in calibrating]
        names, answers = zip(*_spread(others, limit or len(others)), strict=True)
        told: Facts = {"set": f"{len(names)} of {images.resolve().name}", "pictures": [*names]}
        return [told | {"labels": [*answers], "calibrating": [name for name, _ in calibrating]}]
    if model == LITE0:
        crops = {name: [f"photograph/{name}/{crop}" for crop in range(CROPS)] for name in PHOTOGRAPHS}
        told = {"set": f"{CROPS * len(crops)} crops of photographs", "labels": []}
        return [
            told | {"pictures": [crop for name in judged for crop in crops[name]], "calibrating": others}
            for judged, others in halves(crops)
        ]
    count = min(limit or DRAWN, DRAWN)
    return [_drawn(count, CALIBRATING) | {"labels": [place % 10 for place in range(count)]}]


def _drawn(count: int, calibrating: int) -> Facts:
    told = {"set": f"{count} drawings", "pictures": [f"drawn/test/{place}" for place in range(count)]}
    return told | {"calibrating": [f"drawn/train/{place}" for place in range(calibrating)]}


def _spread(pairs: list[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    """So many of them, or all, with as many between any two."""
    return [pairs[place * len(pairs) // count] for place in range(count)] if count < len(pairs) else pairs


def class_names(model: str, weights: Path) -> list[str]:
    """The classes in the order of a model's outputs: its checkpoint's names, else ImageNet's WordNet ids.

    Raises ImagesError for another number of classes without names: then nothing says which is which.
    """
    from safetensors import safe_open

    from helpers.model import checkpoint, layout
    from helpers.model.reference import ImageNetInfo

    if weights.suffix == ".safetensors":
        with safe_open(weights, framework="np") as file:
            if said := (file.metadata() or {}).get("classes"):
                return [str(name) for name in json.loads(said)]
    if model != LITE0 and (count := layout.classes(checkpoint.read(weights))) != 1000:
        raise ImagesError(f"{weights.name} has {count} classes without names: fine-tune it with `finetune`")
    return list(ImageNetInfo("imagenet-1k").label_names())


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
                CHAIN,
                {"model": model, "npu_mode": mode, "batch": size, "host": board} | given,
                inputs={"checkpoint": weights.file} if weights.file else {},
                alone=board,
            )
        )
    return tasks


def chapters(chapter: str = "", grid: Mapping[str, Sequence[str]] | None = None) -> list[Task]:
    """A chapter with every combination of values, as typed; `all` of `model` are the six.

    Raises ValueError for another chapter, and what `check_parameters` does.
    """
    from helpers.lab.parameters import FILES, check_parameters, from_words

    notebook, tasks, grid = notebooks.find(chapter), [], grid or {}
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
                CHAPTER,
                {"parameters": parameters, "weights": find().words},
                inputs={"notebook": notebook} | notebooks.data() | files,
                code=notebooks.imported(notebook),
            )
        )
    return tasks
