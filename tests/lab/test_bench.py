"""The table on cases made up here; and each case of the bench on something small, whatever its value."""

import json
import re
from pathlib import Path

import pytest

from helpers.lab import bench
from helpers.lab.bench import Bar, Case, at_most
from helpers.timing import Timing


def figure(value: float, *, bar: Bar | None) -> Case:
    return Case("speed", lambda: Timing(value, value, value, 20), "ms", bar)


@pytest.mark.parametrize(
    ("value", "bar", "verdict"),
    [
        (1, at_most(1), "held"),
        (1.01, at_most(1), "NOT HELD"),
        (1, Bar("at least", 1), "held"),
        (0.99, Bar("at least", 1), "NOT HELD"),
        (2, None, "no bar"),
    ],
)
def test_a_value_is_held_against_its_bar_and_one_that_fails_sets_the_status(
    value: float, bar: Bar | None, verdict: str, capsys: pytest.CaptureFixture[str]
):
    status = bench.main([figure(value, bar=bar)])
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("speed"))
    assert re.split(r" {2,}", row)[-1] == verdict
    assert status == (verdict == "NOT HELD")


def test_what_cannot_be_measured_here_is_no_failure_and_says_why(capsys: pytest.CaptureFixture[str]):
    def absent() -> float:
        raise bench.NothingToMeasure("no such instructions")

    assert bench.main([Case("INT8", absent, bar=at_most(1)), figure(1, bar=at_most(1))]) == 0
    printed = capsys.readouterr().out
    assert "no such instructions" in printed
    assert "1 of 1 bars" in printed


def test_notebooks_are_those_of_the_last_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench.paths, "BUILD", tmp_path)
    slowest = next(case for case in bench.cases(tmp_path) if case.name == "slowest notebook")
    with pytest.raises(bench.NothingToMeasure, match="make tutorial"):
        slowest.measure()
    rows = [{"name": "01", "seconds": 31.0}, {"name": "02", "seconds": 12.0}]
    (tmp_path / "results.json").write_text(json.dumps({"notebooks": rows}))
    assert slowest.measure() == 31


def test_every_case_gives_a_figure(tmp_path: Path):
    small = bench.cases(tmp_path, model="efficientvit_m0", rounds=1, megabytes=1, files=2)
    assert sum(case.bar is not None for case in small) == 11
    for case in small:
        try:
            value = case.measure()
        except bench.NothingToMeasure:
            continue
        assert (value.median if isinstance(value, Timing) else value) > 0, case.name


def test_a_python_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="no-such-command"):
        bench._python("-m", "helpers", "no-such-command")()
