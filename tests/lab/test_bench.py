"""The report on cases made up here; and each case of the bench on something small, whatever its figures."""

import json
import re
from pathlib import Path

import pytest

from helpers.lab import bench, bench_logs, bench_networks
from helpers.lab.bench_entry import Bar, Entry, Side, entry, growth, missing, pair
from helpers.timing import Timing

AT_MOST_1 = Bar(side="at most", limit=1)


def figure(value: float, *, low: float | None = None, high: float | None = None, bar: Bar | None = AT_MOST_1):
    spread = Timing(value, value if low is None else low, value if high is None else high, 20)
    return entry("speed", spread, unit="", rounds=20, bar=bar)


@pytest.mark.parametrize(
    ("side", "value", "holds"),
    [
        ("at most", 0.99, True),
        ("at most", 1, True),
        ("at most", 1.01, False),
        ("at least", 1.01, True),
        ("at least", 1, True),
        ("at least", 0.99, False),
    ],
)
def test_a_bar_has_a_right_side(side: str, value: float, holds: bool):
    assert figure(value, bar=Bar(side=side, limit=1)).held is holds


def test_no_verdict_without_a_bar_or_where_it_does_not_apply():
    free = figure(2, bar=None)
    excused = entry("speed", 2, unit="", rounds=1, bar=AT_MOST_1, excuse="no such instructions")
    absent = missing("speed", unit="", bar=AT_MOST_1, reason="nothing was run")
    assert [(one.held, one.reason) for one in (free, excused, absent)] == [
        (None, "no bar"),
        (None, "no such instructions"),
        (None, "nothing was run"),
    ]


def test_a_pair_is_a_ratio_with_both_sides():
    one = pair("a / b", {"a": [1.0, 2.0, 3.0], "b": [2.0, 4.0, 6.0], "c": [9.0] * 3}, "a", "b")
    assert (one.value, one.low, one.high, one.unit, one.rounds) == (0.5, 0.5, 0.5, "", 3)
    assert one.sides == {
        "a": Side(median=2, low=1.5, high=2.5, unit="s"),
        "b": Side(median=4, low=3, high=5, unit="s"),
    }


def test_growth_is_held_against_the_first_size():
    found = growth("reading", {"1": [1.0, 1.0], "10": [2.0, 2.0], "100": [30.0, 30.0]}, warmup=1)
    assert [(one.name, one.value) for one in found] == [
        ("reading, 10 / 1", 2),
        ("reading, 100 / 1", 30),
    ]


@pytest.mark.parametrize(
    ("now", "before", "differs"),
    [
        (figure(1.0, low=0.9, high=1.1), figure(1.2, low=1.15, high=1.3), True),
        (figure(1.2, low=1.15, high=1.3), figure(1.0, low=0.9, high=1.1), True),
        (figure(1.0, low=0.9, high=1.1), figure(1.2, low=0.95, high=1.3), False),  # inside the former range
        (
            figure(1.0, low=0.9, high=1.25),
            figure(1.2, low=1.15, high=1.3),
            False,
        ),  # the former is inside ours
        (figure(565), figure(565), False),
        (figure(565), figure(564), True),
        (missing("speed", unit="", bar=AT_MOST_1, reason=""), figure(1), False),
        (figure(1), missing("speed", unit="", bar=AT_MOST_1, reason=""), False),
    ],
)
def test_two_runs_differ_when_each_median_is_outside_the_others_range(
    now: Entry, before: Entry, differs: bool
):
    assert bench.moved(now, before) is differs


def run(path: Path, *entries: Entry, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit status and what was printed by a bench of one case."""
    status = bench.main({"the case": lambda: list(entries)}, path)
    return status, capsys.readouterr().out


def test_the_report_is_written_whole_and_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "build" / "bench.json"
    absent = missing("absent", unit="s", bar=AT_MOST_1, reason="run it first")
    status, printed = run(path, figure(0.5, low=0.4, high=0.6), absent, capsys=capsys)
    assert status == 0
    said = json.loads(path.read_text())
    assert said["machine"]["threads"] == 1
    assert said["entries"][0] == {
        "group": "the case",
        "name": "speed",
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
        "unit": "",
        "rounds": 20,
        "warmup": 0,
        "sides": {},
        "bar": {"side": "at most", "limit": 1.0},
        "held": True,
        "reason": "",
    }
    again = bench.read(path)
    assert again is not None
    assert again.model_dump(mode="json") == said
    line = next(line for line in printed.splitlines() if "speed" in line)
    assert re.split(r" {2,}", line.strip()) == ["speed", "0.500 (0.400 to 0.600)", "at most 1", "held"]
    assert "absent" in printed
    assert "run it first" in printed
    assert "1 of 1 bars are held" in printed
    assert "no run before this one" in printed


def test_a_bar_that_is_not_held_is_told_and_sets_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    status, printed = run(tmp_path / "bench.json", figure(1.5), capsys=capsys)
    assert status == 1
    assert "NOT HELD" in printed
    assert "0 of 1 bars are held" in printed
    assert "not held: speed" in printed


def test_a_second_run_says_what_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "bench.json"
    steady = figure(7, bar=None).model_copy(update={"name": "steady"})
    run(path, figure(0.5, low=0.4, high=0.6), steady, capsys=capsys)
    _, printed = run(path, figure(0.8, low=0.7, high=0.9), steady, capsys=capsys)
    assert "was 0.500 (0.400 to 0.600)" in printed
    assert printed.count("was 0.") == 1
    assert "by more than both spreads: 1" in printed
    _, printed = run(path, figure(0.85, low=0.7, high=0.9), steady, capsys=capsys)
    assert "was 0." not in printed
    assert "by more than both spreads: 0" in printed


@pytest.mark.parametrize(("load", "warned"), [(0.1, False), (3.8, True)])
def test_a_busy_machine_is_told(
    load: float,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (load, 0.0, 0.0))
    _, printed = run(tmp_path / "bench.json", figure(0.5), capsys=capsys)
    assert ("the machine was busy" in printed) is warned


def test_another_machine_is_no_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "bench.json"
    run(path, figure(0.5), capsys=capsys)
    report = bench.read(path)
    assert report is not None
    report.machine.cpu = "a slower one"
    path.write_text(report.model_dump_json())
    _, printed = run(path, figure(0.8), capsys=capsys)
    assert "it was on a slower one" in printed
    assert "was 0.5" not in printed


@pytest.mark.parametrize(
    ("unit", "value", "reads"),
    [
        ("s", 0.00812, "8.1 ms (4.1 to 16.2)"),
        ("s", 3.0, "3.00 s (1.50 to 6.00)"),
        ("MB/s", 20.0, "20.0 MB/s (10.0 to 40.0)"),
        ("", 0.5, "0.500 (0.250 to 1.000)"),
    ],
)
def test_a_figure_and_its_spread_are_read_in_one_unit(
    unit: str, value: float, reads: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    one = entry("speed", Timing(value, value / 2, 2 * value, 3), unit=unit, rounds=3)
    _, printed = run(tmp_path / "bench.json", one, capsys=capsys)
    assert reads in printed


@pytest.mark.parametrize("text", ["", "{", "[]", '{"began": 1}', "\x00\xff"])
def test_a_former_report_that_cannot_be_read_is_none(tmp_path: Path, text: str):
    path = tmp_path / "bench.json"
    path.write_text(text)
    assert bench.read(path) is None
    assert bench.read(tmp_path / "absent.json") is None


def test_graphs_counts_and_judges_m5_only():
    small, large = (
        {one.name: one for one in bench_networks.graphs([f"efficientvit_{name}"])} for name in ("m0", "m5")
    )
    assert all(one.bar is None for one in small.values())
    assert small["nodes of M0, folded / recipe"].sides["recipe"].median == 542
    assert large["nodes of M5, folded"].held
    assert large["nodes of M5, folded / recipe"].sides["recipe"].median == 636  # the post's export
    assert large["bytes written of M5, folded / recipe"].held
    assert large["bytes written of M5, folded / recipe"].value == pytest.approx(0.917, abs=1e-3)


def test_latency_measures_both_pairs_and_judges_int8_where_the_cpu_can(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench_networks.export, "int8_instructions", lambda: "")
    folds, int8 = bench_networks.latency("efficientvit_m0", rounds=2)
    assert list(folds.sides) == ["folded", "recipe"]
    assert list(int8.sides) == ["INT8", "folded"]
    assert all(one.rounds == 2 and one.bar for one in (folds, int8))
    assert folds.held is not None
    assert int8.held is None
    assert "8-bit" in int8.reason


def test_the_rival_is_met_in_both_runtimes():
    found = bench_networks.rival("efficientvit_m0", rounds=2, batches=(1, 2))
    names = [one.name.removeprefix("latency of MobileNetV3-Large / ") for one in found]
    assert [name for name in names if "memory kept" not in name] == [  # that one where there is glibc
        "M0, PyTorch, batch 2",
        "M0, ONNX Runtime, batch 1",
        "M0 folded, ONNX Runtime, batch 1",
        "M0, ONNX Runtime, batch 2",
        "M0 folded, ONNX Runtime, batch 2",
    ]
    for one in found:
        theirs, ours = one.sides.values()
        assert one.value is not None
        assert one.value * ours.low <= theirs.high * 1.001


def test_the_growth_of_export_and_rehearsal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench_networks.rehearsal, "choose", lambda *_, **__: (0.0, []))  # most of the time
    (export,) = bench_networks.export_growth(["efficientvit_m0", "efficientvit_m1"], rounds=2)
    assert list(export.sides) == ["M1", "M0"]
    rehearsal = bench_networks.rehearsal_growth(["efficientvit_m0"], images=(1, 2), rounds=2)
    assert [one.name for one in rehearsal] == ["calibration and rounding of M0, 2 images / 1 image"]


def test_an_endless_stream_is_the_text_over_and_over():
    stream = bench_logs.Endless(b"abcde", size=12, portions=3)
    given = b"".join(iter(lambda: stream.read(4), b""))
    assert given == b"abcdeabcdeab"
    assert len(stream.moments) == 3 + 1  # the beginning, and the end of each portion


def test_throughput_reads_all_of_the_text():
    speed, memory = bench_logs.throughput(size=1_000_000, portions=2)
    assert (speed.unit, memory.unit, speed.rounds) == ("MB/s", "MB", 2)
    assert memory.sides["at its most"].median >= memory.sides["before"].median
    assert speed.sides["text per round"].median == 0.5


def test_files_and_imports_run_a_python_of_their_own():
    whole, grown = bench_logs.files(numbers=(1, 3), rounds=2)
    assert whole.bar is bench_logs.THOUSAND_FILES
    assert list(grown.sides) == ["3", "1"]
    (imported,) = bench_logs.importing(rounds=2)
    assert list(imported.sides) == ["import", "nothing"]


def test_a_python_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="no-such-command"):
        bench_logs._python("-m", "helpers", "no-such-command")()


def test_the_forecast_holds_its_bars():
    found = bench_logs.forecasts()
    assert [one.bar.limit for one in found if one.bar] == [2.5, 2.0]
    assert all(one.held for one in found)


def test_notebooks_come_from_the_last_tutorial(tmp_path: Path):
    chapters = [path.stem for path in bench_logs.notebooks.chapters()]
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"notebooks": [{"name": chapters[0], "seconds": 301.0, "peak_mb": 800}]}))
    time, memory, *others = bench_logs.tutorial(results)
    assert (time.value, time.held, memory.value, memory.held) == (301, False, 800, True)
    assert len(others) == 2 * (len(chapters) - 1)
    assert {one.reason for one in others} == {"run make tutorial first"}
    results.write_text("[]")
    assert all(one.value is None for one in bench_logs.tutorial(results))
