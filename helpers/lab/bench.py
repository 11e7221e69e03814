"""`make bench`: the figures that the README and the chapters rest on, measured here, held against their bars.

One table on stdout, a line per figure. Two sides of a ratio are measured in turn, on one thread.
"""

import io
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx

from helpers.board import forecast
from helpers.graph.convert import simplify, to_onnx
from helpers.graph.cost import activation_bytes
from helpers.graph.fold import fold
from helpers.graph.graph import Graph
from helpers.graph.session import int8_instructions
from helpers.lab import comparison, environment, paths
from helpers.logs.parse_log import parse
from helpers.model import weights
from helpers.model.memory import release_memory
from helpers.model.reference import timm_model
from helpers.model.variants import INPUT_SIZE, VARIANTS
from helpers.quant import quantize
from helpers.timing import Ratio, Timing, in_turn, ratio

M5 = "efficientvit_m5"
BASELINE = "MobileNetV3-Large"
LOGS = sorted((paths.DATA / "logs").glob("*.log"))
QUIET = 0.5  # the load up to which no other program takes a core from the bench for long

Call = Callable[[], object]


class NothingToMeasure(RuntimeError):
    """This machine cannot give the figure; the message says why."""


@dataclass(frozen=True)
class Bar:
    """A limit; reaching it exactly holds."""

    side: str  # "at most" or "at least"
    limit: float

    def holds(self, value: float) -> bool:
        """Whether `value` is on the right side."""
        return value <= self.limit if self.side == "at most" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.side} {self.limit:g}"


@dataclass(frozen=True)
class Case:
    """One line of the table. `bar` is None where any value will do: the answer is the machine's."""

    name: str
    measure: Callable[[], Timing | float]
    unit: str = ""
    bar: Bar | None = None


def at_most(limit: float) -> Bar:
    """The bar of what should be small."""
    return Bar("at most", limit)


def cases(
    scratch: Path, *, model: str = M5, rounds: int = 20, megabytes: int = 20, files: int = 1000
) -> list[Case]:
    """All figures, in the order in which they are measured; what they write goes to `scratch`.

    PyTorch comes first: how often the system must map pages anew depends on what the process did before.
    """
    ours, few = VARIANTS[model].short, max(1, rounds // 4)
    both = {BASELINE: comparison.BASELINE, ours: model}
    graphs = cache(lambda: _graphs(model, scratch))

    def lead_in_pytorch() -> Ratio:
        runs = {title: comparison.pytorch_pass(timm_model(name), batch=16) for title, name in both.items()}
        return _over(BASELINE, ours, runs, rounds=rounds)

    def lead_with_memory_kept() -> Ratio:
        with comparison.memory_kept() as can:
            if not can:
                raise NothingToMeasure("this C library has no mallopt")
            return lead_in_pytorch()

    def lead_in_onnxruntime(batch: int) -> Ratio:
        runs = {}
        for title, name in both.items():
            network = timm_model(name)
            file = scratch / f"{title}.onnx"
            traced = to_onnx(fold(network) if title == ours else network, opset=11, any_batch=True)
            onnx.save(traced, file)
            runs[title] = comparison.onnxruntime_pass(file, batch=batch)
        return _over(BASELINE, ours, runs, rounds=rounds)

    def latency(above: str, below: str) -> Ratio:
        if above == "INT8" and not int8_instructions():
            raise NothingToMeasure("this CPU has no instructions for 8-bit products")
        runs = {kind: comparison.onnxruntime_pass(graphs()[kind], batch=1) for kind in (above, below)}
        return _over(above, below, runs, rounds=5 * rounds)

    def nodes(kind: str) -> int:
        return Graph(onnx.load(graphs()[kind])).operators.total()

    def written(kind: str) -> int:
        return activation_bytes(onnx.load(graphs()[kind]))

    return [
        Case(f"latency of {BASELINE} / {ours}, PyTorch, batch 16", lead_in_pytorch),
        Case(f"latency of {BASELINE} / {ours}, PyTorch, memory kept", lead_with_memory_kept),
        Case(
            f"latency of {BASELINE} / {ours} folded, ONNX Runtime, batch 16", lambda: lead_in_onnxruntime(16)
        ),
        Case(f"latency of {BASELINE} / {ours} folded, ONNX Runtime, batch 1", lambda: lead_in_onnxruntime(1)),
        Case(f"nodes of {ours}, folded", lambda: nodes("folded"), bar=at_most(565)),
        Case(f"nodes of {ours}, folded / the post's recipe", lambda: nodes("folded") / nodes("recipe")),
        Case(
            f"bytes written by {ours}, folded / the post's recipe",
            lambda: written("folded") / written("recipe"),
            bar=at_most(0.92),
        ),
        Case(
            f"latency of {ours}, folded / the post's recipe",
            lambda: latency("folded", "recipe"),
            bar=at_most(1),
        ),
        Case(f"latency of {ours}, INT8 / float", lambda: latency("INT8", "folded"), bar=at_most(0.65)),
        Case("speed of parsing logs", lambda: _parsing(megabytes, rounds=few), "MB/s", Bar("at least", 20)),
        Case(
            f"parse-log on {files} files, start-up included",
            lambda: _alone(_parse_log(scratch, files), rounds=few),
            "s",
            at_most(5),
        ),
        Case(
            "import of the log reader, start-up included",
            lambda: _alone(_python("-c", "import helpers.logs.parse_log"), rounds=rounds),
            "s",
            at_most(0.3),
        ),
        *(
            Case(
                f"error of the forecast for a model left out, {npu}",
                _forecast_error(npu),
                "%",
                at_most(limit),
            )
            for npu, limit in {"NPU1": 2.5, "NPU3": 2.0}.items()
        ),
        Case("slowest notebook", lambda: _largest("seconds"), "s", at_most(300)),
        Case("largest peak memory of a notebook", lambda: _largest("peak_mb"), "MB", at_most(1000)),
    ]


def main(chosen: Sequence[Case] | None = None) -> int:
    """Measures all, prints the table, and returns 1 when a bar is not held."""
    load, rows, failed, judged = os.getloadavg()[0], [], [], 0
    with tempfile.TemporaryDirectory() as scratch, comparison.one_thread():
        todo = cases(Path(scratch)) if chosen is None else chosen
        for number, case in enumerate(todo, start=1):
            print(f"[{number}/{len(todo)}] {case.name}", file=sys.stderr, flush=True)
            verdict = "no bar"
            try:
                value = case.measure()
            except NothingToMeasure as reason:
                rows.append((case.name, "-", str(case.bar or ""), str(reason)))
                continue
            finally:
                release_memory()
            if case.bar:
                held = case.bar.holds(value.median if isinstance(value, Timing) else value)
                verdict, judged = "held" if held else "NOT HELD", judged + 1
                failed += [] if held else [case.name]
            rows.append((case.name, _figure(value, case.unit), str(case.bar or ""), verdict))
    print(environment.cpu(), "one thread", f"load {load:.1f} when it began", sep=", ")
    print(environment.versions("torch", "timm", "onnx", "onnxruntime", "onnxsim"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"{judged - len(failed)} of {judged} bars are held")
    if load > QUIET:
        print("the machine was busy: run it again on a quiet one")
    return int(bool(failed))


def _figure(value: Timing | float, unit: str) -> str:
    """The value, with the middle half of its rounds where it has some."""
    if not isinstance(value, Timing):
        return f"{value:.4g} {unit}".rstrip()
    return f"{value.median:.4g} {unit}".rstrip() + f" ({value.low:.4g} to {value.high:.4g})"


def _over(above: str, below: str, runs: Mapping[str, Call], *, rounds: int) -> Ratio:
    seconds = in_turn(runs, rounds=rounds)
    return ratio(seconds[above], seconds[below])


def _alone(run: Call, *, rounds: int) -> Timing:
    return Timing.of(in_turn({"": run}, rounds=rounds, warmup=1)[""])


def _graphs(model: str, scratch: Path) -> dict[str, Path]:
    """The simplified graph of the post's recipe, the folded one, and that in INT8, of the same weights."""
    network = weights.load(model, "random")
    generator = np.random.default_rng(0)
    noise = [generator.standard_normal((1, 3, INPUT_SIZE, INPUT_SIZE), dtype=np.float32) for _ in range(2)]
    made = {"recipe": simplify(to_onnx(network))}
    made["folded"] = simplify(to_onnx(fold(network)))
    made["INT8"] = quantize.quantize(quantize.calibrate(made["folded"], noise))
    files = {kind: scratch / f"{kind}.onnx" for kind in made}
    for kind, graph in made.items():
        onnx.save(graph, files[kind])
    return files


def _parsing(megabytes: int, *, rounds: int) -> Timing:
    """Per second of the core: what it spends on other programs does not count."""
    text = b"\n".join(path.read_bytes() for path in LOGS) + b"\n"
    text *= 1 + megabytes * 1_000_000 // len(text)

    def read() -> None:
        for _ in parse(io.BytesIO(text), source="bench"):
            pass

    seconds = in_turn({"": read}, rounds=rounds, warmup=1, clock=time.process_time)[""]
    return Timing.of([len(text) / 1e6 / spent for spent in seconds])


def _parse_log(scratch: Path, files: int) -> Call:
    copies = [scratch / f"{number:04}.log" for number in range(files)]
    for copy, log in zip(copies, itertools.cycle(LOGS), strict=False):
        shutil.copyfile(log, copy)
    return _python("-m", "helpers", "parse-log", *copies)


def _python(*arguments: str | Path) -> Call:
    """A run of this interpreter in the checkout; exit status 1 is what parse-log thinks of a log."""

    def run() -> None:
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=paths.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode > 1:
            raise RuntimeError(f"Python failed in the bench: {done.stderr.decode(errors='replace')[-400:]}")

    return run


def _forecast_error(npu: str) -> Callable[[], float]:
    return lambda: 100 * statistics.fmean(abs(one.error) for one in forecast.leave_one_out()[npu])


def _largest(what: str) -> float:
    """The largest figure of all chapters in what the last `make tutorial` recorded."""
    try:
        notebooks = json.loads((paths.BUILD / "results.json").read_text(encoding="utf-8"))["notebooks"]
    except FileNotFoundError:
        raise NothingToMeasure("run make tutorial first") from None
    return float(max(row[what] for row in notebooks))
