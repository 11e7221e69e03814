"""What a network costs, group by group: parameters, multiply-accumulates, bytes moved.

MACs are PyTorch's own operator counts (`torch.utils.flop_counter`), halved; the paper's "FLOPs" are MACs.
Bytes follow one convention: every operator that runs reads each of its inputs and weights once and writes
its output once; views are free. That is what unfused PyTorch asks of the memory, caches aside. BatchNorm is
an operator of its own until it is folded.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from helpers.model.reference import fresh_copy

IMAGE = (1, 3, 224, 224)

PRODUCTS = "attention products"
ELEMENTWISE = "attention element-wise"
OTHER = "other"

# Module paths of EfficientViT, ours and timm's, and of the DeiT and Swin beside it. The first match wins.
_GROUPS = {
    "patch embedding": r"\.patch_embed",
    "downsampling": r"\.merge\b|\.patchmerge\b|\.layers\.\d+\.downsample\b",
    "FFN": r"ffn|\.mlp\b|\.res[12]\.1\b",
    "depth-wise convolution": r"\.(conv_before|conv_after|query_conv|dw[01]|dws|res[12]\.0)\b",
    "QKV and projection": r"\.qkvs?\b|\.proj\b|\.projection\b",
    PRODUCTS: r"^$",  # told by the operator, see group_of
    ELEMENTWISE: r"attention|attn|mixer|mhsa",
    "head": r"\.head\b|\.global_pool\b",
}


@dataclass(frozen=True)
class Cost:
    """One group's share of a forward pass over the whole batch."""

    group: str
    parameters: int
    macs: int
    bytes_moved: int

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: operations (2 per MAC) per byte moved, the x-axis of a roofline."""
        return 2 * self.macs / self.bytes_moved


def group_of(path: str, operator: str = "") -> str:
    """The group of an ATen operator that runs in module `path`, which starts with the class name of the root.

    Inside attention, matrix products (`bmm`) are "attention products"; the rest is "attention element-wise":
    scaling, bias, softmax, the cascade's sum, concatenation, window copies and the residual sum.
    """
    for group, pattern in _GROUPS.items():
        if re.search(pattern, path, re.IGNORECASE):
            return PRODUCTS if group == ELEMENTWISE and operator == "bmm" else group
    return OTHER


class _Counter(TorchDispatchMode):
    """Adds up MACs and bytes of every operator that runs while it is on, under the group of `path`."""

    def __init__(self, itemsize: int) -> None:
        super().__init__()
        self.itemsize = itemsize
        self.path: list[str] = []
        self.macs: dict[str, int] = {}
        self.bytes: dict[str, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func.is_view or func is torch.ops.aten._unsafe_view.default:
            return out
        group = group_of(self.path[-1], func._schema.name.removeprefix("aten::"))
        count = flop_registry.get(func.overloadpacket)
        flops = count(*args, **kwargs, out_val=out) if count else 0
        self.macs[group] = self.macs.get(group, 0) + flops // 2
        self.bytes[group] = self.bytes.get(group, 0) + sum(map(self._size, tree_leaves((args, kwargs, out))))
        return out

    def enter(self, path: str, _module: nn.Module, _inputs: Any) -> None:
        """Forward pre-hook: what runs from here on belongs to `path`."""
        self.path.append(path)

    def leave(self, _module: nn.Module, _inputs: Any, _outputs: Any) -> None:
        """Forward hook: back to the caller's path."""
        self.path.pop()

    def _size(self, leaf: object) -> int:
        if not isinstance(leaf, Tensor):
            return 0
        return leaf.numel() * (self.itemsize if leaf.is_floating_point() else leaf.element_size())


@torch.no_grad()
def cost(
    model: nn.Module, shape: tuple[int, ...] = IMAGE, *, dtype: torch.dtype = torch.float32
) -> list[Cost]:
    """The costs of one forward pass over an input of `shape`, one entry per group that occurs.

    Any network or single module will do; groups are known for EfficientViT (ours and timm's), DeiT and Swin,
    and everything unknown is "other". `dtype` is what activations and weights would be stored in, torch.int8
    included. Nothing is computed: a copy of the model runs on PyTorch's meta device, in eval mode.
    """
    model = fresh_copy(model).to("meta")
    root = type(model).__name__
    counter = _Counter(dtype.itemsize)
    for name, module in model.named_modules():
        module.register_forward_pre_hook(partial(counter.enter, f"{root}.{name}"))
        module.register_forward_hook(counter.leave)
    image = torch.empty(shape, device="meta")
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels are not all in the flop registry
        model(image)  # timm gathers its bias tables on the first call and keeps them
        with counter:
            model(image)
    parameters: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        group = group_of(f"{root}.{name}")
        parameters[group] = parameters.get(group, 0) + parameter.numel()
    return [
        Cost(group, parameters.get(group, 0), counter.macs.get(group, 0), counter.bytes.get(group, 0))
        for group in (*_GROUPS, OTHER)
        if group in parameters or group in counter.bytes
    ]


def total(costs: Iterable[Cost]) -> Cost:
    """The sum over all groups."""
    costs = list(costs)
    return Cost(
        "total",
        sum(cost.parameters for cost in costs),
        sum(cost.macs for cost in costs),
        sum(cost.bytes_moved for cost in costs),
    )
