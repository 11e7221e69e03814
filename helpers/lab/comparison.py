"""Networks side by side on this CPU, one thread each: what chapter 09 and the bench need to be fair."""

import json
import os
import resource
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from helpers.model.memory import release_memory
from helpers.model.variants import INPUT_SIZE

CONVOLUTION = "convolution"
LAYOUT = "layout change and copy"
OTHER = "the rest"
_OF_KIND = {
    CONVOLUTION: "Conv FusedConv NhwcFusedConv",
    LAYOUT: "ReorderInput ReorderOutput Reshape Transpose Split Slice Concat Flatten Pad",
}
_KIND = {operator: kind for kind, operators in _OF_KIND.items() for operator in operators.split()}
KINDS = (*_OF_KIND, OTHER)

BASELINE = "mobilenetv3_large_100"  # the name in timm of the paper's MobileNetV3-Large
PROFILED_RUNS = 4


def page_faults(run: Callable[[], object]) -> int:
    """How often one call waits for the system to map a page of memory, once the heap has its size.

    glibc's heap grows a second time in the second or third call: a freed piece is too small for the same
    request once it is aligned anew.
    """
    for _ in range(4):
        run()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def repackings(run: Callable[[], object]) -> tuple[int, float]:
    """How often oneDNN gives a tensor another layout in one call, and the seconds that takes, by its own log.

    Nothing where PyTorch was built without oneDNN.
    """
    if not torch.backends.mkldnn.is_available():
        return 0, 0.0
    with tempfile.TemporaryFile() as log:
        standard_output = os.dup(1)
        os.dup2(log.fileno(), 1)  # oneDNN prints past Python
        try:
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
                run()
        finally:
            os.dup2(standard_output, 1)
            os.close(standard_output)
        log.seek(0)
        lines = [line.split(",") for line in log.read().decode().splitlines()]
    spent = [float(line[-1]) / 1e3 for line in lines if "reorder" in line]
    return len(spent), sum(spent)


@dataclass(frozen=True)
class Inside:
    """The operators that ONNX Runtime runs of a graph, and the milliseconds per run that each of KINDS takes.

    A convolution's time includes the activation or sum that was fused into it.
    """

    operators: Counter[str]
    milliseconds: dict[str, float]

    @property
    def layout_changes(self) -> int:
        """Operators that only move values, which the graph has or ONNX Runtime put in."""
        return sum(times for operator, times in self.operators.items() if _KIND.get(operator) == LAYOUT)


def onnxruntime_pass(path: Path, *, batch: int) -> Callable[[], list[np.ndarray]]:
    """One run of `batch` images in ONNX Runtime, all as it is by default but for the one thread."""
    return _pass(_session(path, batch=batch), batch)


def inside(path: Path, *, batch: int) -> Inside:
    """Times every operator that runs, by ONNX Runtime's own profiler; the first two runs do not count."""
    with tempfile.TemporaryDirectory() as folder:
        profile = str(Path(folder, "profile"))
        profiled = _session(path, batch=batch, enable_profiling=True, profile_file_prefix=profile)
        run = _pass(profiled, batch)
        for _ in range(2 + PROFILED_RUNS):
            run()
        events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
    del profiled, run
    release_memory()
    calls = [
        (event["args"]["op_name"], event["dur"]) for event in events if event["name"].endswith("_kernel_time")
    ]
    each = len(calls) // (2 + PROFILED_RUNS)
    milliseconds = dict.fromkeys(KINDS, 0.0)
    for operator, microseconds in calls[2 * each :]:
        milliseconds[_KIND.get(operator, OTHER)] += microseconds / 1e3 / PROFILED_RUNS
    return Inside(Counter(operator for operator, _ in calls[:each]), milliseconds)


def _session(path: Path, *, batch: int, **more: object) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_free_dimension_override_by_name("batch", batch)
    for name, value in more.items():
        setattr(options, name, value)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _pass(ready: onnxruntime.InferenceSession, batch: int) -> Callable[[], list[np.ndarray]]:
    images = np.random.default_rng(0).standard_normal((batch, 3, INPUT_SIZE, INPUT_SIZE), dtype=np.float32)
    return lambda: ready.run(None, {"input": images})
