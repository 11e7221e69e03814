"""One part of a sweep of accuracies: what a network says to some pictures, in float and rounded."""

import hashlib
import resource
import time
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from pydantic import TypeAdapter

from helpers import artifacts
from helpers.artifacts import Facts
from helpers.graph import session
from helpers.graph.export import export
from helpers.graph.preprocess import Preprocessing, in_board_order, normalize
from helpers.lab.worker import PACKAGES
from helpers.model import lite0
from helpers.model.memory import release_memory
from helpers.model.source import RANDOM
from helpers.pocket.data import render
from helpers.quant import photographs, quantize, simulate
from helpers.quant.accuracy import samples
from helpers.quant.params import Values

PRECISIONS = ("float", "int8", "mixed")


def part(
    out: Path,
    inputs: Mapping[str, Path],
    *,
    model: str,
    pictures: Sequence[str],
    labels: Sequence[int],
    calibrating: Sequence[str],
    precisions: Sequence[str],
    **_: Any,
) -> Facts:
    """Counts and sums over `pictures` by precision, which add up over parts, and the core's seconds.

    A picture is a drawing ("drawn/SPLIT/INDEX"), a crop of a photograph ("photograph/NAME/INDEX") or a name
    in `inputs`; each is decoded here, and fed alone, as on the board. `calibrating` ones choose ranges and
    the kinds with 16 bits; all parts with the same share the graphs that one of them makes. Raises
    ImagesError for a picture that cannot be read, and what making the graphs raises.
    """
    made = _graphs(out.parents[1] / "graphs", inputs, model, calibrating, mixed="mixed" in precisions)
    preprocessing = TypeAdapter(Preprocessing).validate_python(made.facts["preprocessing"])
    logits: dict[str, list[Values]] = {name: [] for name in dict.fromkeys(["float", *precisions])}
    sessions = {name: _session(made.folder, name) for name in logits}
    seconds = dict.fromkeys(["decoding", *logits], 0.0)
    for name in pictures:
        started = time.process_time()
        fed = picture(name, inputs, preprocessing)
        seconds["decoding"] += time.process_time() - started
        for precision, said in logits.items():
            started = time.process_time()
            said.extend(sessions[precision].run(None, {"input": fed})[0].astype(np.float64))
            seconds[precision] += time.process_time() - started
    release_memory()
    exact, answers = np.stack(logits["float"]), np.array(labels, np.int64)
    counts = {name: _counts(np.stack(logits[name]), exact, answers) for name in precisions}
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"pictures": len(pictures), "counts": counts, "seconds": seconds, "peak_mb": peak_mb}


def _counts(said: Values, exact: Values, labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Of logits [n, classes]: pictures by answer, those with `labels` if there are any, and SQNR's sums."""
    best, best_exact = said.argmax(1), exact.argmax(1)
    sums: dict[str, Any] = {"agree": (best == best_exact).sum(), "error": ((said - exact) ** 2).sum()}
    sums |= {"values": exact.sum(), "squares": (exact**2).sum(), "logits": exact.size}
    if len(labels):
        right, right_exact = best == labels, best_exact == labels
        above = (said > said[np.arange(len(said)), labels, None]).sum(1)
        sums |= {"right": right.sum(), "right5": (above < 5).sum()}
        sums |= {"only_float": (right_exact & ~right).sum(), "only_this": (right & ~right_exact).sum()}
    return {name: np.asarray(value).item() for name, value in sums.items()}


def picture(name: str, inputs: Mapping[str, Path], preprocessing: Preprocessing) -> Values:
    """As the board would feed it, float32 [1, 3, size, size]; a photograph as Lite0's training did."""
    if name in inputs:
        return next(samples([(inputs[name], 0)], preprocessing))[0]
    kind, group, index = name.split("/")
    if kind == "photograph":
        return photographs.as_trained(_cuts(photographs.CROPS)[group][int(index)], preprocessing)
    drawn, _ = render(int(index), split="train" if group == "train" else "test")
    return normalize(in_board_order(drawn, preprocessing), preprocessing)


_cuts = cache(photographs.cuts)


def _graphs(
    parent: Path, inputs: Mapping[str, Path], model: str, calibrating: Sequence[str], *, mixed: bool
) -> artifacts.Made:
    """The graphs of PRECISIONS, named by what they are made from; unless `mixed`, none has 16 bits."""
    files = [artifacts.file_hash(inputs[name]) for name in ("checkpoint", *calibrating) if name in inputs]
    key = hashlib.sha256(repr((model, calibrating, mixed, files)).encode()).hexdigest()
    folder = parent / f"{model}-{key[:12]}"

    def work(scratch: Path) -> Facts:
        if model == "lite0":
            from helpers.graph.convert import simplify, to_onnx  # graphs that are kept need no torch

            network = lite0.load()
            graph, preprocessing = simplify(to_onnx(network)), Preprocessing.trained(network, "rgb")
        else:
            exported = export(model, folder / "export", checkpoint=inputs.get("checkpoint", RANDOM))
            graph, preprocessing = onnx.load(exported.simplified), exported.preprocessing
        seen = [picture(name, inputs, preprocessing) for name in calibrating]
        calibration = quantize.calibrate(graph, seen)
        kinds = simulate.choose(calibration, seen[:8]) if mixed else []
        onnx.save(graph, scratch / "float.onnx")
        for precision, nodes in (("int8", ()), ("mixed", simulate.reached(graph, *kinds))):
            onnx.save(quantize.quantize(calibration, int16_nodes=nodes), scratch / f"{precision}.onnx")
        return {"preprocessing": vars(preprocessing), "int16": kinds}

    made = artifacts.step(
        "graphs",
        folder,
        work,
        files=[f"{precision}.onnx" for precision in PRECISIONS],
        arguments={"key": key},
        packages=PACKAGES,
    )
    release_memory()
    return made


@lru_cache(maxsize=len(PRECISIONS))
def _session(folder: Path, precision: str) -> Any:
    """Of a graph in `folder`, kept for the worker's next part."""
    return session.cpu_session(str(folder / f"{precision}.onnx"))
