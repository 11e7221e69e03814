"""How often a compiled model is right on the board: labelled pictures, fed by pyaxengine."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from helpers.artifacts import Facts
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


def accuracy(
    board: Board,
    axmodel: Path,
    images: Path,
    *,
    out: Path,
    board_input: BoardInput = "bgr",
) -> Facts:
    """Top-1 and top-5 of a compiled model on the board, over a folder that has one folder per class.

    Classes are the folders in the order of their names. Pictures are cut here as the board's program cuts
    them and go over as bytes, PORTION of them at a time. The order of their colours is that of the graph
    beside the axmodel, else `board_input`. Writes `images.jsonl` into `out`, a line for each picture.

    `top5` is None below six classes; `float_top1`, by ONNX Runtime on the same pictures, and the `agreement`
    of both are None without the graph of one image that the model was compiled from.

    Raises BoardError with what pyaxengine said, ImagesError, and ValueError for a model that takes no
    pictures.
    """
    fed, given = ends(axmodel)
    if len(fed) != 4 or fed[1] != fed[2] or fed[3] != 3:
        raise ValueError(f"{axmodel}: no compiled model of square pictures, its input is {list(fed)}")
    beside = axmodel.with_name(FLOAT)
    graph = load(beside) if beside.is_file() else None
    said = read_metadata(graph) if graph else None
    preprocessing = said or Preprocessing(board_input, (0, 0, 0), (1, 1, 1), int(fed[1]))
    classes = int(given[-1])
    pairs = labelled(images, classes=classes)
    out.mkdir(parents=True, exist_ok=True)
    found, log = list[list[int]](), out / "images.log"
    with tqdm(total=len(pairs), desc=f"pictures on {board.name}", unit="picture") as bar:

        def show(line: bytes) -> None:
            bar.update(line.startswith(_ANSWER.encode()))

        again = False
        while len(found) < len(pairs):
            some = pairs[len(found) : len(found) + PORTION]
            try:
                cuts = (crop for crop, _ in crops(some, preprocessing))
                text = on_engine(board, axmodel, SENT, pictures=cuts, log=log, on_line=show)
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

    def judged(holds: Callable[[int, list[int], int | None], bool]) -> Facts:
        each = zip(pairs, found, exact, strict=True)
        return share([holds(label, top, one) for (_, label), top, one in each])

    return {
        "kind": "board_accuracy",
        "engine": "NPU",
        "device": board.name,
        "pictures": len(pairs),
        "top1": judged(lambda label, top, _: top[0] == label),
        "top5": judged(lambda label, top, _: label in top) if classes > scores.TOP else None,
        "float_top1": judged(lambda label, _, one: one == label) if exact[0] is not None else None,
        "agreement": judged(lambda _, top, one: top[0] == one) if exact[0] is not None else None,
    }


def share(hits: Sequence[bool]) -> Facts:
    """How many of them hold, 0 to 1, and the 95 % interval (Wilson's)."""
    value = sum(hits) / len(hits)
    low, high = interval(value, len(hits))
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}
