"""`make bench`: ratios and speeds that the README and the chapters rest on, held against their bars.

What any machine counts alike, such as nodes and errors of the forecast, is held by tests. One table on
stdout, a line per figure. Two sides of a ratio are measured in turn, on one thread.
"""

import io
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnx

from helpers import files
from helpers.graph.convert import simplify, to_onnx
from helpers.graph.fold import fold
from helpers.graph.session import int8_instructions
from helpers.lab import comparison, evidence, sweep
from helpers.logs.parse_log import parse
from helpers.model import weights
from helpers.model.memory import release_memory
from helpers.model.reference import one_thread
from helpers.model.variants import INPUT_SIZE, VARIANTS
from helpers.quant import quantize
from helpers.timing import Ratio, Timing, in_turn, ratio

LOGS = sorted((files.DATA / "logs").glob("*.log"))


class NothingToMeasure(RuntimeError):
    """This machine cannot give the figure; the message says why."""


@dataclass(frozen=True)
class Case:
    """One line of the table, with a bar of one kind; reaching it exactly holds it."""

    name: str
    measure: Callable[[], Timing]
    unit: str = ""
    at_most: float = float("inf")
    at_least: float = 0.0

    @property
    def bar(self) -> str:
        """The limit in words."""
        return f"at least {self.at_least:g}" if self.at_least else f"at most {self.at_most:g}"


def cases(
    scratch: Path,
    *,
    model: str = "efficientvit_m5",
    rounds: int = 20,
    megabytes: int = 20,
    files: int = 1000,
    tasks: int = 1000,
) -> list[Case]:
    """All figures, in the order in which they are measured; what they write goes to `scratch`."""
    ours, few = VARIANTS[model].short, max(1, rounds // 4)
    graphs = cache(lambda: _graphs(model, scratch))

    def latency(above: str, below: str) -> Ratio:
        if above == "INT8" and not int8_instructions():
            raise NothingToMeasure("this CPU has no instructions for 8-bit products")
        runs = {kind: comparison.onnxruntime_pass(graphs()[kind], batch=1) for kind in (above, below)}
        return ratio(*in_turn(runs, rounds=5 * rounds).values())

    def parse_log() -> Timing:
        copies = [scratch / f"{number:04}.log" for number in range(files)]
        for copy, log in zip(copies, itertools.cycle(LOGS), strict=False):
            shutil.copyfile(log, copy)
        return _python("-m", "helpers", "parse-log", *copies, rounds=few)

    recipe = "folded / the post's recipe"
    beside = f"a sweep's time for each of {tasks} tasks of no work, two workers"
    return [
        Case(f"latency of {ours}, {recipe}", partial(latency, "folded", "recipe"), at_most=1),
        Case(f"latency of {ours}, INT8 / float", partial(latency, "INT8", "folded"), at_most=0.65),
        Case("speed of parsing logs", partial(_parsing, megabytes, rounds=few), "MB/s", at_least=20),
        Case(f"parse-log on {files} files, start-up included", parse_log, "s", at_most=5),
        Case(
            "import of the log reader, start-up included",
            partial(_python, "-c", "import helpers.logs.parse_log", rounds=rounds),
            "s",
            at_most=0.3,
        ),
        Case(f"{beside}, processes", partial(_beside, scratch, tasks, "processes"), "ms", at_most=10),
        Case(f"{beside}, Dask", partial(_beside, scratch, tasks, "dask"), "ms", at_most=20),
    ]


def main(chosen: Sequence[Case] | None = None) -> int:
    """Measures all, prints the table, and returns 1 when a bar is not held."""
    load, rows = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as scratch, one_thread():
        todo = cases(Path(scratch)) if chosen is None else chosen
        for number, case in enumerate(todo, start=1):
            print(f"[{number}/{len(todo)}] {case.name}", file=sys.stderr, flush=True)
            rows.append((case.name, *_line(case)))
            release_memory()
    print(evidence.cpu(), "one thread", f"load {load:.1f} when it began", sep=", ")
    print(evidence.versions(*evidence.MATTER))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    held, lost = (sum(row[-1] == verdict for row in rows) for verdict in ("held", "NOT HELD"))
    print(f"{held} of {held + lost} bars are held")
    return int(lost > 0)


def _line(case: Case) -> tuple[str, str, str]:
    """The median with the middle half of its rounds, the bar, and whether it is held."""
    try:
        value = case.measure()
    except NothingToMeasure as reason:
        return "-", case.bar, str(reason)
    said = f"{value.median:.4g} {case.unit}".rstrip() + f" ({value.low:.4g} to {value.high:.4g})"
    return said, case.bar, "held" if case.at_least <= value.median <= case.at_most else "NOT HELD"


def _graphs(model: str, scratch: Path) -> dict[str, Path]:
    """The simplified graph of the post's recipe, the folded one, and that in INT8, of the same weights."""
    network = weights.load(model, "random")
    generator = np.random.default_rng(0)
    noise = [generator.standard_normal((1, 3, INPUT_SIZE, INPUT_SIZE), dtype=np.float32) for _ in range(2)]
    made = {"recipe": simplify(to_onnx(network)), "folded": simplify(to_onnx(fold(network)))}
    made["INT8"] = quantize.quantize(quantize.calibrate(made["folded"], noise))
    for kind, graph in made.items():
        onnx.save(graph, scratch / f"{kind}.onnx")
    return {kind: scratch / f"{kind}.onnx" for kind in made}


def _parsing(megabytes: int, *, rounds: int) -> Timing:
    """Per second of the core: what it spends on other programs does not count."""
    text = b"\n".join(path.read_bytes() for path in LOGS) + b"\n"
    text *= 1 + megabytes * 1_000_000 // len(text)

    def read() -> None:
        for _ in parse(io.BytesIO(text), source="bench"):
            pass

    seconds = in_turn({"": read}, rounds=rounds, warmup=1, clock=time.process_time)[""]
    return Timing.of([len(text) / 1e6 / spent for spent in seconds])


def _beside(scratch: Path, count: int, engine: str) -> Timing:
    """Milliseconds, the start of the workers in it."""
    tasks = [sweep.Task(f"{n}", "helpers.lab.worker:nothing", {"number": n}) for n in range(count)]

    def measured(started: sweep.Engine) -> Timing:
        before = time.perf_counter()
        sweep.sweep(tasks, scratch / engine, engine=started)
        return Timing.of([1000 * (time.perf_counter() - before) / count])

    if engine == "processes":
        return measured(sweep.processes(2))
    try:
        from distributed import LocalCluster
    except ImportError:
        raise NothingToMeasure("Dask is not installed") from None
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        return measured(sweep.dask(cluster.scheduler_address))


def _python(*arguments: str | Path, rounds: int) -> Timing:
    """Of this interpreter in the checkout; exit status 1 is what parse-log thinks of a log."""

    def run() -> None:
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=files.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode > 1:
            raise RuntimeError(f"Python failed in the bench: {done.stderr.decode(errors='replace')[-400:]}")

    return Timing.of(in_turn({"": run}, rounds=rounds, warmup=1)[""])
