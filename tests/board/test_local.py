"""pyaxengine on the board itself, played by a stand-in module."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.board import local
from helpers.board.local import run_local
from helpers.board.ssh import BoardError
from helpers.logs.records import Latency, Score

PIXELS = np.zeros((1, 4, 4, 3), np.uint8)


def engine(monkeypatch: pytest.MonkeyPatch, *, inputs: int = 1, error: Exception | None = None) -> list[Any]:
    """Puts an `axengine` in place whose model scores [0.5, 9, -1, 3, 2, 8, 1]; returns what it is fed.

    By the clock that run_local then sees, the runs take 90, 80, 1, 2 and 6 s.
    """
    fed: list[Any] = []
    took = iter([90.0, 80.0, 1.0, 2.0, 6.0])
    clock = [0.0]
    monkeypatch.setattr(local, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    class InferenceSession:
        def __init__(self, path: str) -> None:
            self.path = path

        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(name=f"pixels{index}") for index in range(inputs)]

        def run(self, names: None, feed: dict[str, Any]) -> list[Any]:
            fed.append(feed)
            clock[0] += next(took)
            if error is not None:
                raise error
            return [np.array([[0.5, 9, -1, 3, 2, 8, 1]], np.float32)]

    monkeypatch.setitem(sys.modules, "axengine", SimpleNamespace(InferenceSession=InferenceSession))
    return fed


def test_runs_are_timed_after_the_warm_up_and_scores_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    fed = engine(monkeypatch)
    record, outputs = run_local(Path("m5.axmodel"), PIXELS, repeats=3, warmup=2, progress=False)
    assert len(fed) == 5 and fed[0]["pixels0"] is PIXELS
    assert record.ok and (record.repeats, record.warmup, record.model) == (3, 2, "m5.axmodel")
    assert record.top_k == [Score(1, 9), Score(5, 8), Score(3, 3), Score(4, 2), Score(6, 1)]
    assert record.latency_ms == Latency(avg=3000, min=1000, max=6000, median=2000)
    assert outputs[0].shape == (1, 7)


def test_without_pyaxengine_the_sentence_tells_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "axengine", None)
    with pytest.raises(BoardError, match=r"install the axengine wheel .* use helpers"):
        run_local(Path("m5.axmodel"), PIXELS)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RuntimeError("Failed to run model."), "NPU could not run it"),
        (
            AssertionError("model inputs(x) expect shape (1,) and dtype u8, however gets"),
            "exactly the model's",
        ),
    ],
)
def test_the_engine_s_errors_come_with_advice(
    error: Exception, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(monkeypatch, error=error)
    with pytest.raises(BoardError, match=advice):
        run_local(Path("m5.axmodel"), PIXELS, progress=False)


def test_what_cannot_be_fed_or_timed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, inputs=2)
    with pytest.raises(BoardError, match="has 2 inputs"):
        run_local(Path("m5.axmodel"), PIXELS)
    with pytest.raises(ValueError, match="at least one run"):
        run_local(Path("m5.axmodel"), PIXELS, repeats=0)
