"""Runs a model on the board that this Python runs on, with pyaxengine (AXERA-TECH/pyaxengine)."""

import contextlib
import importlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from helpers.board.ssh import BoardError
from helpers.logs.failures import advise
from helpers.logs.records import BoardRun, Latency, Score

_TOP = 5


@dataclass(frozen=True)
class LocalRun:
    """The record, and what the model gave: `outputs` in the order of the session, batch first."""

    record: BoardRun
    outputs: list[Any]


def run_local(
    axmodel: Path, pixels: Any, *, repeats: int = 100, warmup: int = 5, progress: bool = True
) -> LocalRun:
    """Feeds `pixels` to the model's only input, and times the runs on this board's NPU.

    `pixels`: an array of exactly the model's shape and type, for the models of this tutorial uint8
    [1, 224, 224, 3] in the order of colours that they were exported for. The times are wall-clock
    milliseconds of `session.run`, Python included, so they are longer than those of the C++ sample. The top
    five are of the first picture and the first output.

    Raises BoardError when pyaxengine is not installed, finds no NPU library, or cannot load or run the model;
    ValueError for a model with more than one input, and for no repeats.
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
    with _in_words(axmodel):
        session = axengine.InferenceSession(str(axmodel))
        inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ValueError(f"{axmodel.name} has {len(inputs)} inputs: run_local feeds models with one")
    feed = {inputs[0].name: pixels}
    milliseconds: list[float] = []
    with _in_words(axmodel):
        for index in tqdm(range(warmup + repeats), desc=axmodel.name, unit="run", disable=not progress):
            started = time.perf_counter()
            outputs = session.run(None, feed)
            if index >= warmup:
                milliseconds.append((time.perf_counter() - started) * 1e3)
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
        top_k=_top(outputs[0][0].reshape(-1).tolist()),
    )
    return LocalRun(record, list(outputs))


@contextlib.contextmanager
def _in_words(axmodel: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, AssertionError, ValueError, OSError) as error:
        text = f"pyaxengine could not run {axmodel.name}: {error}"
        raise BoardError(" → ".join(filter(None, (text, advise(text, "run"))))) from error


def _top(scores: list[float]) -> list[Score]:
    best = sorted(range(len(scores)), key=lambda index: -scores[index])[:_TOP]
    return [Score(class_id=index, score=scores[index]) for index in best]
