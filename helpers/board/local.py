"""Runs a model on the board that this Python runs on, with pyaxengine (AXERA-TECH/pyaxengine)."""

import importlib
import statistics
import time
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from helpers.board.ssh import BoardError
from helpers.logs.failures import advise
from helpers.logs.records import BoardRun, Latency, Score

_TOP = 5


def run_local(
    axmodel: Path, pixels: Any, *, repeats: int = 100, warmup: int = 5, progress: bool = True
) -> tuple[BoardRun, list[Any]]:
    """Feeds `pixels` to the model's only input, and times the runs on this board's NPU.

    Returns the record and the model's outputs, in the order of the session, batch first.

    `pixels`: an array of exactly the model's shape and type, for the models of this tutorial uint8
    [1, 224, 224, 3] in the order of colours that they were exported for. The times are wall-clock
    milliseconds of `session.run`, Python included, so they are longer than those of the C++ sample. The top
    five are of the first picture and the first output.

    Raises BoardError when pyaxengine is not installed, finds no NPU library, or cannot load or run the model,
    such as one with two inputs; ValueError for no repeats.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError("at least one run is timed: give repeats of 1 or more, and warmup of 0 or more")
    try:
        axengine = importlib.import_module("axengine")
    except ImportError as error:
        raise BoardError(
            f"pyaxengine cannot be used here ({error}): on the board, install the axengine wheel of "
            "AXERA-TECH/pyaxengine; anywhere else, use helpers.board.run"
        ) from error
    milliseconds: list[float] = []
    try:
        session = axengine.InferenceSession(str(axmodel))
        names = [entry.name for entry in session.get_inputs()]
        if len(names) != 1:
            raise ValueError(f"it has {len(names)} inputs, and run_local feeds models with one")
        for index in tqdm(range(warmup + repeats), desc=axmodel.name, unit="run", disable=not progress):
            started = time.perf_counter()
            outputs = session.run(None, {names[0]: pixels})
            if index >= warmup:
                milliseconds.append((time.perf_counter() - started) * 1e3)
    except (RuntimeError, AssertionError, ValueError, OSError) as error:
        text = f"pyaxengine could not run {axmodel.name}: {error}"
        raise BoardError(" → ".join(filter(None, (text, advise(text, "run"))))) from error
    scores = outputs[0][0].reshape(-1).tolist()
    best = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:_TOP]
    record = BoardRun(
        source="run_local",
        program="axengine",
        ok=True,
        model=str(axmodel),
        repeats=repeats,
        warmup=warmup,
        latency_ms=Latency(
            avg=statistics.fmean(milliseconds),
            min=min(milliseconds),
            max=max(milliseconds),
            median=statistics.median(milliseconds),
        ),
        top_k=[Score(class_id=index, score=scores[index]) for index in best],
    )
    return record, list(outputs)
