"""`make bench`: the ratios that the chapters rest on, measured on this machine and held against their bars.

Writes `build/bench.json` and prints it as a table, with what has moved since the run before. Pairs are
measured in turn in this one process, on one thread.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from helpers.files import replacing
from helpers.graph.export import int8_instructions
from helpers.lab import bench_logs, bench_networks, contest, environment
from helpers.lab.bench_entry import Entry
from helpers.lab.paths import BUILD, shown

Case = Callable[[], list[Entry]]

QUIET = 0.5  # the load up to which no other program takes a core from the bench for long

CASES: dict[str, Case] = {
    "log parsing": bench_logs.throughput,
    "parse-log": bench_logs.files,
    "import": bench_logs.importing,
    "forecast": bench_logs.forecasts,
    "the paper's rival": bench_networks.rival,  # before what else fills and frees memory
    "graphs, opset 11": bench_networks.graphs,
    "ONNX Runtime, one image": bench_networks.latency,
    "growth of the export": bench_networks.export_growth,
    "growth of the rehearsal": bench_networks.rehearsal_growth,
    "notebooks, last make tutorial": bench_logs.tutorial,
}


class Machine(BaseModel):
    """What the figures hold for. `load`: processes that ran or waited in the minute before."""

    model_config = ConfigDict(extra="forbid")

    cpu: str
    int8_instructions: str
    threads: int
    versions: str
    load: float


class Report(BaseModel):
    """`build/bench.json`. `peak_mb`: the largest resident memory of the bench itself."""

    model_config = ConfigDict(extra="forbid")

    began: str
    seconds: float
    peak_mb: float
    machine: Machine
    entries: list[Entry]


def main(cases: Mapping[str, Case] = CASES, path: Path = BUILD / "bench.json") -> int:
    """Measures, writes and prints; the exit status is 1 when a bar is not held."""
    before = read(path)
    report = measure(cases)
    with replacing(path) as temporary:
        temporary.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(table(report, before))
    print(f"\n{closing(report, before)}\nWith rounds, warm-up and both sides of each: {shown(path)}")
    return int(any(one.held is False for one in report.entries))


def read(path: Path) -> Report | None:
    """The report of the run before; None where there is none that can be read."""
    try:
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def measure(cases: Mapping[str, Case]) -> Report:
    """Runs the cases one after the other, with a line on stderr for each."""
    machine = Machine(
        cpu=environment.cpu(),
        int8_instructions=int8_instructions(),
        threads=1,
        versions=environment.versions("torch", "timm", "onnx", "onnxruntime", "onnxsim"),
        load=os.getloadavg()[0],
    )
    began, started = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    entries: list[Entry] = []
    with contest.one_thread():
        for number, (group, case) in enumerate(cases.items(), start=1):
            spent = time.perf_counter() - started
            print(f"[{number}/{len(cases)}] {spent:4.0f} s  {group}", file=sys.stderr, flush=True)
            entries += [one.model_copy(update={"group": group}) for one in case()]
    return Report(
        began=began,
        seconds=time.perf_counter() - started,
        peak_mb=_peak_mb(),
        machine=machine,
        entries=entries,
    )


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss, getrusage(2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def moved(now: Entry, before: Entry) -> bool:
    """Whether two runs differ by more than the spread of both: each median is outside the other's range."""
    if now.value is None or before.value is None:
        return False
    return _outside(now.value, before) and _outside(before.value, now)


def _outside(value: float, of: Entry) -> bool:
    return of.low is not None and of.high is not None and not of.low <= value <= of.high


def changes(report: Report, before: Report | None) -> dict[str, Entry]:
    """The former figure of each that moved, by name; none where the run before was on another machine."""
    if before is None or before.machine.cpu != report.machine.cpu:
        return {}
    former = {one.name: one for one in before.entries}
    return {
        one.name: former[one.name]
        for one in report.entries
        if one.name in former and moved(one, former[one.name])
    }


def table(report: Report, before: Report | None) -> str:
    """The report for a terminal: a line per figure, under the case that measured it."""
    former = changes(report, before)
    rows = {one.name: _cells(one, former.get(one.name)) for one in report.entries}
    widths = [max(map(len, column)) for column in zip(*rows.values(), strict=True)]
    lines, group = [], ""
    for one in report.entries:
        if one.group != group:
            group = one.group
            lines += ["", group]
        cells = [cell.ljust(width) for cell, width in zip(rows[one.name], widths, strict=True)]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    machine = report.machine
    head = (
        f"{machine.cpu}, {machine.threads} thread, load {machine.load:.1f} when it began\n{machine.versions}"
    )
    return "\n".join([head, *lines])


def _cells(one: Entry, former: Entry | None) -> list[str]:
    held = {True: "held", False: "NOT HELD", None: one.reason}[one.held]
    sides = ", ".join(f"{name} {_figure(side.median, side.unit)}" for name, side in one.sides.items())
    return [
        one.name,
        _spread(one),
        f"{one.bar.side} {one.bar.limit:g} {one.unit}".rstrip() if one.bar else "",
        held if one.bar else "",
        f"was {_spread(former)}" if former else "",
        sides if len(one.sides) < 5 else "",
    ]


def _spread(one: Entry) -> str:
    if one.value is None or one.low is None or one.high is None:
        return "-"
    if one.low == one.high:
        return _figure(one.value, one.unit)
    factor, unit, digits = _scale(one.value, one.unit)
    value, low, high = (f"{factor * end:,.{digits}f}" for end in (one.value, one.low, one.high))
    return f"{value} {unit}".rstrip() + f" ({low} to {high})"


def _figure(value: float, unit: str) -> str:
    factor, unit, digits = _scale(value, unit)
    return f"{factor * value:,.{digits}f} {unit}".rstrip()


def _scale(value: float, unit: str) -> tuple[float, str, int]:
    """The factor and unit in which a figure is read, and how many digits after the point."""
    if unit == "s" and value < 1:
        return 1e3, "ms", 1
    if unit in ("", "nodes", "bytes"):
        return 1, unit, 0 if unit else 3
    return 1, unit, 2 if value < 10 else 1


def closing(report: Report, before: Report | None) -> str:
    """What holds of the whole: bars that are not held, and how it compares with the run before."""
    failed = [one.name for one in report.entries if one.held is False]
    judged = sum(one.held is not None for one in report.entries)
    lines = [f"{judged - len(failed)} of {judged} bars are held, in {report.seconds:.0f} s"]
    if report.machine.load > QUIET:
        lines.append(f"the machine was busy (load {report.machine.load:.1f}): run it again on a quiet one")
    lines += [f"not held: {name}" for name in failed]
    if before is None:
        lines.append("no run before this one to compare with")
    elif before.machine.cpu != report.machine.cpu:
        lines.append(f"not compared with the run of {before.began}: it was on {before.machine.cpu}")
    else:
        count = len(changes(report, before))
        lines.append(f"differ from the run of {before.began} by more than both spreads: {count}")
        if before.machine.versions != report.machine.versions:
            lines.append(f"which had {before.machine.versions}")
    return "\n".join(lines)
