"""Where a forward pass spends its time: kinds of operators by torch.profiler, and the roof of this machine.

The rule is by kind. Matrix products and convolutions are compute-bound: each value read is used in many
operations. Normalisation, softmax, element-wise operators, pooling and copies are memory-bound: a value is
read, used once or a few times, and written. Which operators the paper counted was not found. An operator that
the rule does not know is on neither side, and has a kind of its own to be seen by.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from helpers.model.memory import release_memory
from helpers.model.trace import FREE, Op, sum_by, trace
from helpers.timing import in_turn

LINEAR = "linear layer or dense convolution"
PRODUCTS = "attention products"
DEPTHWISE = "depth-wise convolution"
NORM = "normalisation"
SOFTMAX = "softmax"
ELEMENTWISE = "element-wise and pooling"
COPY = "layout change and copy"
CALLS = "calls and views"
OTHER = "other operators"

COMPUTE_BOUND = (LINEAR, PRODUCTS, DEPTHWISE)
MEMORY_BOUND = (NORM, SOFTMAX, ELEMENTWISE, COPY)
KINDS = (*COMPUTE_BOUND, *MEMORY_BOUND, CALLS, OTHER)

# ATen names.
_NAMES = {
    LINEAR: "mm addmm linear",
    PRODUCTS: "bmm baddbmm",
    NORM: "native_layer_norm native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm",
    SOFTMAX: "_softmax",
    ELEMENTWISE: "add add_ sub mul mul_ div div_ neg exp pow rsqrt gelu relu relu_ clamp clamp_min "
    "clamp_min_ sigmoid hardswish hardswish_ hardsigmoid hardsigmoid_ silu silu_ mean sum where "
    "_adaptive_avg_pool2d max_pool2d_with_indices",
    COPY: "copy_ fill_ clone cat stack index index_select gather roll constant_pad_nd _to_copy",
}
_KIND_OF = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_CONVOLUTIONS = ("convolution", "mkldnn_convolution", "_slow_conv2d_forward")
# What only calls others on a CPU, whose kernels the profiler times, and what moves nothing.
_CALLS_ONLY = (
    "conv2d convolution _convolution _nnpack_available thnn_conv2d linear matmul batch_norm "
    "_batch_norm_impl_index layer_norm softmax dropout adaptive_avg_pool2d max_pool2d clone _to_copy roll "
    "pad stack as_strided_ resize_"
)
_CALLS = FREE | set(_CALLS_ONLY.split())


def kind_of(operator: str, shapes: Sequence[Sequence[int]]) -> str:
    """The kind of an ATen operator, by its name without "aten::" and the shapes of its inputs."""
    if operator in _CONVOLUTIONS:
        outputs, inputs_each, *_ = shapes[1]  # the weight's
        return DEPTHWISE if inputs_each == 1 < outputs else LINEAR
    return _KIND_OF.get(operator, OTHER)


@cache
def _moves_nothing(operator: str) -> bool:
    """Whether the profiler's time of an ATen operator is that of a view or of calling others."""
    overloads = getattr(torch.ops.aten, operator, None)
    return operator in _CALLS or (
        overloads is not None and any(getattr(overloads, name).is_view for name in overloads.overloads())
    )


@dataclass(frozen=True)
class Spent:
    """What one kind of operator took in one forward pass: seconds (median), operations, bytes moved."""

    seconds: float
    operations: int
    bytes_moved: int

    @property
    def intensity(self) -> float:
        """Operations per byte: the x-axis of a roofline."""
        return self.operations / self.bytes_moved

    @property
    def rate(self) -> float:
        """Operations per second: the y-axis of a roofline."""
        return self.operations / self.seconds


@dataclass(frozen=True)
class Profile:
    """Seconds by kind in each of several profiled passes, and what a pass computes and moves."""

    runs: tuple[dict[str, float], ...]
    operations: dict[str, int]
    bytes_moved: dict[str, int]

    def share(self, kinds: Sequence[str]) -> tuple[float, float, float]:
        """Median, least and greatest share of the time that these kinds took, 0 to 1."""
        shares = [sum(run.get(kind, 0.0) for kind in kinds) / sum(run.values()) for run in self.runs]
        return median(shares), min(shares), max(shares)

    def spent(self, kind: str) -> Spent:
        """One kind's part of a pass."""
        return Spent(
            median(run.get(kind, 0.0) for run in self.runs),
            self.operations.get(kind, 0),
            self.bytes_moved.get(kind, 0),
        )


def profile(model: nn.Module, images: Tensor, *, passes: int = 3) -> Profile:
    """Profiles several forward passes of a model in eval mode on the CPU, after one that warms up.

    Seconds are each operator's own, without those it calls. Operations are counted by `counted`.
    """
    work = counted(model, tuple(images.shape))
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler talks on stderr
    runs = []
    with torch.inference_mode():
        model(images)
        for _ in range(passes):
            release_memory()
            runs.append(_seconds(model, images))
    return Profile(tuple(runs), *work)


def _seconds(model: nn.Module, images: Tensor) -> dict[str, float]:
    """Seconds by kind of one profiled pass."""
    with torch_profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
        model(images)
    run: dict[str, float] = {}
    for event in profiled.key_averages(group_by_input_shape=True):
        name = event.key.removeprefix("aten::")
        kind = CALLS if _moves_nothing(name) else kind_of(name, event.input_shapes)
        run[kind] = run.get(kind, 0.0) + event.self_cpu_time_total / 1e6
    return run


def counted(model: nn.Module, shape: tuple[int, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Operations and bytes moved of one forward pass over images of `shape`, by kind; nothing is computed.

    A product's operations are two per MAC; another operator's are one per value that it writes; a copy has
    none. Bytes are those of `trace`.
    """
    ops = trace(model, shape)
    operations = sum_by(
        (op for op in ops if _kind(op) != COPY),
        _kind,
        lambda op: op.written if op.flops is None else op.flops,
    )
    return operations, sum_by(ops, _kind, lambda op: op.bytes_moved)


def _kind(op: Op) -> str:
    return kind_of(op.name, op.shapes)


@dataclass(frozen=True)
class Peak:
    """A measured rate per second: median, least and greatest of several tries."""

    rate: float
    low: float
    high: float


def product_peak() -> Peak:
    """Operations per second, two per MAC, of a float32 matrix product of 1024 x 1024."""
    left, right, out = (torch.ones(1024, 1024) for _ in range(3))
    return _peak(lambda: torch.mm(left, right, out=out), 2 * 1024**3)


def copy_peak() -> Peak:
    """Bytes per second of a copy of 64 MiB, too large for most caches; each byte is read and written."""
    source = torch.ones(2**24)
    target = torch.empty_like(source)
    return _peak(lambda: target.copy_(source), 2 * 64 * 2**20)


def _peak(work: Callable[[], object], amount: int) -> Peak:
    taken = in_turn({"": work}, rounds=15, warmup=1)[""]
    rates = [amount / seconds for seconds in taken]
    return Peak(median(rates), min(rates), max(rates))
