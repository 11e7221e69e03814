"""Where a forward pass spends its time: kinds of operators by torch.profiler, and the roof of this machine.

The rule is by kind. Matrix products and convolutions are compute-bound: each value read is used in many
operations. Normalisation, softmax, element-wise operators, pooling and copies are memory-bound: a value is
read, used once or a few times, and written. Which operators the paper counted was not found.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from helpers.model.memory import release_memory
from helpers.model.reference import fresh_copy

LINEAR = "linear layer or dense convolution"
PRODUCTS = "attention products"
DEPTHWISE = "depth-wise convolution"
NORM = "normalisation"
SOFTMAX = "softmax"
ELEMENTWISE = "element-wise and pooling"
COPY = "layout change and copy"
CALLS = "calls and views"

COMPUTE_BOUND = (LINEAR, PRODUCTS, DEPTHWISE)
MEMORY_BOUND = (NORM, SOFTMAX, ELEMENTWISE, COPY)
KINDS = (*COMPUTE_BOUND, *MEMORY_BOUND, CALLS)

# ATen names; whatever is not here moves no data: views, allocation, and operators that only call others.
_NAMES = {
    LINEAR: "mm addmm linear",
    PRODUCTS: "bmm baddbmm",
    NORM: "native_layer_norm native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm",
    SOFTMAX: "_softmax",
    ELEMENTWISE: "add add_ sub mul mul_ div div_ neg exp pow rsqrt gelu relu relu_ clamp clamp_min "
    "clamp_min_ sigmoid hardswish hardswish_ hardsigmoid hardsigmoid_ silu silu_ mean sum where "
    "_adaptive_avg_pool2d",
    COPY: "copy_ fill_ clone cat stack index index_select gather roll constant_pad_nd pad _to_copy "
    "contiguous",
}
_KIND_OF = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_CONVOLUTIONS = ("convolution", "mkldnn_convolution", "_slow_conv2d_forward")
# The profiler times the kernels that these call; the meta device shows only these.
_CALLS_ONLY = {"convolution", "linear", "clone", "contiguous", "_to_copy", "roll", "pad", "stack"}


def kind_of(operator: str, shapes: Sequence[Sequence[int]]) -> str:
    """The kind of an ATen operator, by its name without "aten::" and the shapes of its inputs."""
    if operator in _CONVOLUTIONS:
        outputs, inputs_each, *_ = shapes[1]  # the weight's
        return DEPTHWISE if inputs_each == 1 < outputs else LINEAR
    return _KIND_OF.get(operator, CALLS)


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
        kind = CALLS if name in _CALLS_ONLY else kind_of(name, event.input_shapes)
        run[kind] = run.get(kind, 0.0) + event.self_cpu_time_total / 1e6
    return run


class _Counter(TorchDispatchMode):
    """Adds up operations and bytes of every operator that runs while it is on, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: dict[str, int] = {}
        self.bytes_moved: dict[str, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
        name = func._schema.name.removeprefix("aten::")
        shapes = [leaf.shape if isinstance(leaf, Tensor) else () for leaf in args]
        kind = CALLS if func.is_view else kind_of(name, shapes)
        count = flop_registry.get(func.overloadpacket)
        if count:
            operations = count(*args, **kwargs, out_val=out)
        else:
            operations = max(leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor))
        if kind not in (CALLS, COPY):
            self.operations[kind] = self.operations.get(kind, 0) + operations
        if kind != CALLS:
            moved = sum(leaf.numel() * leaf.element_size() for leaf in tensors)
            self.bytes_moved[kind] = self.bytes_moved.get(kind, 0) + moved
        return out


@torch.no_grad()  # inference mode would hide the operators behind those that the code names
def counted(model: nn.Module, shape: tuple[int, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Operations and bytes moved of one forward pass over images of `shape`, by kind; nothing is computed.

    A product's operations are two per MAC; another operator's are one per value that it writes; a copy has
    none. Bytes are every input read once and every output written once, caches aside, as in `cost`.
    """
    on_meta = fresh_copy(model).to("meta")
    images = torch.empty(shape, device="meta")
    on_meta(images)  # timm gathers its bias tables on the first call and keeps them
    with _Counter() as counter:
        on_meta(images)
    return counter.operations, counter.bytes_moved


@dataclass(frozen=True)
class Peak:
    """A measured rate per second: median, least and greatest of several tries."""

    rate: float
    low: float
    high: float


def product_peak(*, side: int = 1024, tries: int = 15) -> Peak:
    """Operations per second, two per MAC, of a float32 matrix product of side x side."""
    left, right, out = (torch.ones(side, side) for _ in range(3))
    return _peak(lambda: torch.mm(left, right, out=out), 2 * side**3, tries)


def copy_peak(*, megabytes: int = 64, tries: int = 15) -> Peak:
    """Bytes per second of a copy too large for most caches; each byte counts twice, read and written."""
    source = torch.ones(megabytes * 2**20 // 4)
    target = torch.empty_like(source)
    return _peak(lambda: target.copy_(source), 2 * megabytes * 2**20, tries)


def _peak(work: Callable[[], object], amount: int, tries: int) -> Peak:
    work()
    rates = []
    for _ in range(tries):
        started = time.perf_counter()
        work()
        rates.append(amount / (time.perf_counter() - started))
    return Peak(median(rates), min(rates), max(rates))
