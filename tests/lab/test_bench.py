"""The table on cases made up here; and each case of the bench on something small, whatever its value."""

import re
from pathlib import Path

import pytest

from helpers.lab import bench
from helpers.lab.bench import Case
from helpers.timing import Timing


def figure(value: float, **bar: float) -> Case:
    return Case("speed", lambda: Timing(value, value, value, 20), "ms", **bar)


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        (figure(1, at_most=1), "held"),
        (figure(1.01, at_most=1), "NOT HELD"),
        (figure(1, at_least=1), "held"),
        (figure(0.99, at_least=1), "NOT HELD"),
    ],
)
def test_a_bar_that_is_not_held_sets_the_status(case: Case, verdict: str, capsys: pytest.CaptureFixture[str]):
    status = bench.main([case])
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("speed"))
    assert re.split(r" {2,}", row)[-1] == verdict
    assert status == (verdict == "NOT HELD")


def test_what_cannot_be_measured_here_is_no_failure_and_says_why(capsys: pytest.CaptureFixture[str]):
    def absent() -> Timing:
        raise bench.NothingToMeasure("no such instructions")

    assert bench.main([Case("INT8", absent, at_most=1), figure(1, at_most=1)]) == 0
    printed = capsys.readouterr().out
    assert "no such instructions" in printed
    assert "1 of 1 bars" in printed


def test_every_case_gives_a_figure(tmp_path: Path):
    small = bench.cases(tmp_path, model="efficientvit_m0", rounds=1, megabytes=1, files=2, tasks=2)
    assert len(small) == 7
    for case in small:
        try:
            value = case.measure()
        except bench.NothingToMeasure:
            continue
        assert value.median > 0, case.name


def test_a_python_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="no-such-command"):
        bench._python("-m", "helpers", "no-such-command", rounds=1)
