"""What the bench measures of the log parsers and the forecast, and takes from the last `make tutorial`."""

import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import psutil

from helpers.board import forecast
from helpers.lab import notebooks
from helpers.lab.bench_entry import WARMUP, Bar, Entry, Side, entry, growth, missing
from helpers.lab.paths import BUILD, DATA, ROOT
from helpers.logs.parse_log import parse
from helpers.timing import Timing, in_turn

FIXTURES = tuple(sorted((DATA / "logs").glob("*.log")))
THROUGHPUT = Bar(side="at least", limit=20)  # MB/s
MEMORY = Bar(side="at most", limit=10)  # MB that a text of any length may add
THOUSAND_FILES = Bar(side="at most", limit=5)  # seconds, start-up included
IMPORT = Bar(side="at most", limit=0.3)  # seconds, the interpreter's start included
FORECAST = {"NPU1": 2.5, "NPU3": 2.0}  # % of error on average, each model left out of the fit
NOTEBOOK = {
    "seconds": (Bar(side="at most", limit=300), "s"),
    "peak_mb": (Bar(side="at most", limit=1000), "MB"),
}


class Endless:
    """A byte stream of `size` bytes: one text over and over, never whole in memory.

    Notes the seconds of a core that the process had spent when each of `portions` equal parts was used up,
    and its memory at each read.
    """

    def __init__(self, text: bytes, *, size: int, portions: int) -> None:
        self.moments: list[float] = []
        self.memory: list[int] = []  # bytes
        self._text, self._size, self._portion = text, size, size // portions
        self._given = 0
        self._process = psutil.Process()

    def read(self, size: int) -> bytes:
        """The next bytes; like a file's, they end in the middle of a line."""
        while self._given >= len(self.moments) * self._portion:
            self.moments.append(time.process_time())
        self.memory.append(self._process.memory_info().rss)
        start = self._given % len(self._text)
        block = self._text[start : start + min(size, self._size - self._given)]
        self._given += len(block)
        return block


def throughput(size: int = 100_000_000, portions: int = 20) -> list[Entry]:
    """`size` bytes of recorded logs, one after the other, through the parsers; speed on one core and memory.

    A second is one of the core's: what it spends on other programs does not count.
    """
    text = b"\n".join(path.read_bytes() for path in FIXTURES) + b"\n"
    block = text * (1 + 4_000_000 // len(text))
    _parse(Endless(block, size=size // portions, portions=1))  # the warm-up
    stream = Endless(block, size=size, portions=portions)
    _parse(stream)
    before, most = stream.memory[0], max(stream.memory)
    seconds = [after - at for at, after in itertools.pairwise(stream.moments)]
    rates = Timing.of([size / portions / 1e6 / spent for spent in seconds])
    name = f"{size / 1e6:g} MB of log text"
    return [
        entry(
            f"speed of parsing {name} on one core",
            rates,
            unit="MB/s",
            rounds=portions,
            warmup=1,
            sides={
                "text per round": Side.of(size / portions / 1e6, "MB"),
                "time per round": Side.of(Timing.of(seconds), "s"),
            },
            bar=THROUGHPUT,
        ),
        entry(
            f"memory that {name} adds",
            (most - before) / 1e6,
            unit="MB",
            rounds=1,
            warmup=1,
            sides={
                "before": Side.of(before / 1e6, "MB"),
                "at its most": Side.of(most / 1e6, "MB"),
            },
            bar=MEMORY,
        ),
    ]


def _parse(stream: Endless) -> None:
    for _ in parse(cast(BinaryIO, stream), source="bench"):
        pass


def files(numbers: Sequence[int] = (1, 10, 100, 1_000), rounds: int = 20) -> list[Entry]:
    """`parse-log` on so many files, as a shell would call it."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch, f"{number:04}.log") for number in range(max(numbers))]
        for path, fixture in zip(paths, itertools.cycle(FIXTURES), strict=False):
            shutil.copyfile(fixture, path)
        seconds = in_turn(
            {str(number): _python("-m", "helpers", "parse-log", *paths[:number]) for number in numbers},
            rounds=rounds,
            warmup=WARMUP,
        )
    most = str(max(numbers))
    whole = entry(
        f"parse-log on {most} files, start-up included",
        Timing.of(seconds[most]),
        unit="s",
        rounds=rounds,
        warmup=WARMUP,
        sides={"one file": Side.of(Timing.of(seconds[str(min(numbers))]), "s")},
        bar=THOUSAND_FILES,
    )
    return [whole, *growth("parse-log, files", seconds, warmup=WARMUP)]


def importing(rounds: int = 20) -> list[Entry]:
    """A Python that imports the parsers, against one that does nothing."""
    runs = {"import": _python("-c", "import helpers.logs.parse_log"), "nothing": _python("-c", "pass")}
    seconds = in_turn(runs, rounds=rounds, warmup=WARMUP)
    return [
        entry(
            "import of the parsers, Python's start included",
            Timing.of(seconds["import"]),
            unit="s",
            rounds=rounds,
            warmup=WARMUP,
            sides={name: Side.of(Timing.of(spent), "s") for name, spent in seconds.items()},
            bar=IMPORT,
        )
    ]


def _python(*arguments: str | Path) -> Callable[[], object]:
    """A run of this interpreter in the checkout; exit status 1 is what parse-log thinks of a log."""

    def run() -> None:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if done.returncode > 1:
            raise RuntimeError(f"Python failed in the bench: {done.stderr.decode(errors='replace')[-400:]}")

    return run


def forecasts() -> list[Entry]:
    """Mean error of the forecast, each measured model left out of the fit in turn."""
    found = []
    for npu, left_out in forecast.leave_one_out().items():
        errors = {one.model: 100 * abs(one.error) for one in left_out}
        middle = Timing.of(list(errors.values()))
        mean = Timing(statistics.fmean(errors.values()), middle.low, middle.high, len(errors))
        sides = {}
        for one in left_out:
            sides[f"{one.model} measured"] = Side.of(one.measured, "images/s")
            sides[f"{one.model} forecast"] = Side.of(one.forecast.fps, "images/s")
        name = f"mean leave-one-out error of the forecast, {npu}"
        bar = Bar(side="at most", limit=FORECAST[npu])
        found.append(entry(name, mean, unit="%", rounds=len(errors), sides=sides, bar=bar))
    return found


def tutorial(results: Path = BUILD / "results.json") -> list[Entry]:
    """Seconds and peak memory of every notebook, as the last `make tutorial` recorded them."""
    recorded = _recorded(results)
    found = []
    for chapter in notebooks.chapters():
        for what, (bar, unit) in NOTEBOOK.items():
            name = f"{chapter.stem}, {'time' if unit == 's' else 'peak memory'}"
            value = recorded.get(chapter.stem, {}).get(what)
            if isinstance(value, int | float):
                found.append(entry(name, float(value), unit=unit, rounds=1, bar=bar))
            else:
                found.append(missing(name, unit=unit, bar=bar, reason="run make tutorial first"))
    return found


def _recorded(results: Path) -> dict[str, dict[str, Any]]:
    """The runner's rows by notebook; none where there is no such file, or it is not whole."""
    try:
        said = json.loads(results.read_text(encoding="utf-8"))
        return {row["name"]: row for row in said["notebooks"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
