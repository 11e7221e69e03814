"""How often a compiled model is right on the board: labelled pictures, fed by pyaxengine."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm.auto import tqdm

from helpers.board import scores
from helpers.board.run import ends, engine_failed, on_engine
from helpers.board.ssh import Board, BoardError
from helpers.graph.graph import Graph, load
from helpers.graph.preprocess import BoardInput, Preprocessing, read_metadata
from helpers.paired import interval
from helpers.quant.accuracy import crops, labelled, predictions, samples

PORTION = 256  # pictures that go over at a time: 39 MB, which our memory and the board's /tmp can hold
SENT = {"scores.py": Path(scores.__file__)}
FLOAT = "model-sim.onnx"  # beside the axmodel: what it was compiled from
_ANSWER = '{"top"'


@dataclass(frozen=True)
class Share:
    """A share of the pictures, 0 to 1, and its 95 % interval (Wilson's)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: Sequence[bool]) -> "Share":
        """How many of them hold."""
        share = sum(hits) / len(hits)
        return cls(*(round(value, 4) for value in (share, *interval(share, len(hits)))))


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """What a model makes of labelled pictures on the NPU of `device`.

    `top5` is None below six classes. `float_top1`, by ONNX Runtime on the same pictures, and the `agreement`
    of both are None without the graph of one image that the model was compiled from.
    """

    kind: Literal["board_accuracy"] = "board_accuracy"
    engine: str
    device: str
    pictures: int
    top1: Share
    top5: Share | None
    float_top1: Share | None
    agreement: Share | None


def accuracy(
    board: Board,
    axmodel: Path,
    images: Path,
    *,
    out: Path,
    board_input: BoardInput = "bgr",
    timeout: float = 600,
    progress: bool = True,
) -> Accuracy:
    """Top-1 and top-5 of a compiled model on the board, over a folder that has one folder per class.

    Classes are the folders in the order of their names. Pictures are cut here as the board's program cuts
    them and go over as bytes, PORTION of them within `timeout` seconds. The order of their colours is that of
    the graph beside the axmodel, else `board_input`. Writes `images.jsonl` into `out`, a line for each
    picture. Raises BoardError with what pyaxengine said, ImagesError, and ValueError for a model that takes
    no pictures or is another than the graph.
    """
    fed, given = ends(axmodel)
    if len(fed) != 4 or fed[1] != fed[2] or fed[3] != 3:
        raise ValueError(f"{axmodel}: no compiled model of square pictures, its input is {list(fed)}")
    beside = axmodel.with_name(FLOAT)
    graph = load(beside) if beside.is_file() else None
    said = read_metadata(graph) if graph else None
    preprocessing = said or Preprocessing(board_input, (0, 0, 0), (1, 1, 1), int(fed[1]))
    if preprocessing.size != fed[1]:
        raise ValueError(
            f"{beside} takes {preprocessing.size} pixels, {axmodel.name} {fed[1]}: not its graph"
        )
    classes = int(given[-1])
    pairs = labelled(images, classes=classes)
    out.mkdir(parents=True, exist_ok=True)
    found, log = list[list[int]](), out / "images.log"
    with tqdm(
        total=len(pairs), desc=f"pictures on {board.name}", unit="picture", disable=not progress
    ) as bar:

        def show(line: bytes) -> None:
            bar.update(line.startswith(_ANSWER.encode()))

        again = False
        while len(found) < len(pairs):
            some = pairs[len(found) : len(found) + PORTION]
            try:
                cuts = (crop for crop, _ in crops(some, preprocessing))
                text = on_engine(board, axmodel, SENT, pictures=cuts, log=log, seconds=timeout, on_line=show)
                answers = [json.loads(line)["top"] for line in text.splitlines() if line.startswith(_ANSWER)]
                if len(answers) != len(some):
                    raise engine_failed(board, f"answered {len(answers)} of {len(some)} pictures", log)
                found, again = found + answers, True
            except BoardError:
                if not again:
                    raise
                again = False  # a good model, too, fails once in some hundred runs (onnxsim/onnxsim)
                bar.n = len(found)
    exact: list[int | None] = [None] * len(pairs)
    if graph and said and Graph(graph).static_shape(graph.graph.input[0].name)[0] == 1:
        by, _ = predictions({FLOAT: graph}, samples(pairs, preprocessing), total=len(pairs))
        exact = by[FLOAT].tolist()
    with (out / "images.jsonl").open("w", encoding="utf-8") as file:
        for (path, label), top, one in zip(pairs, found, exact, strict=True):
            row = {"picture": path.relative_to(images).as_posix(), "label": label, "top": top, "float": one}
            file.write(json.dumps(row) + "\n")

    def share(holds: Callable[[int, list[int], int | None], bool]) -> Share:
        each = zip(pairs, found, exact, strict=True)
        return Share.of([holds(label, top, one) for (_, label), top, one in each])

    return Accuracy(
        engine="NPU",
        device=board.name,
        pictures=len(pairs),
        top1=share(lambda label, top, _: top[0] == label),
        top5=share(lambda label, top, _: label in top) if classes > scores.TOP else None,
        float_top1=share(lambda label, _, one: one == label) if exact[0] is not None else None,
        agreement=share(lambda _, top, one: top[0] == one) if exact[0] is not None else None,
    )
