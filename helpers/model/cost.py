"""What a network costs, group by group: parameters, multiply-accumulates, bytes moved, as `trace` counts.

MACs are half of its operations; the paper's "FLOPs" are MACs.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from helpers.model.trace import IMAGE, trace

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


def group_of(path: str, operator: str = "") -> str:
    """The group of an ATen operator that runs in module `path`, which starts with the class name of the root.

    Inside attention, matrix products (`bmm`) are "attention products"; the rest is "attention element-wise":
    scaling, bias, softmax, the cascade's sum, concatenation, window copies and the residual sum.
    """
    for group, pattern in _GROUPS.items():
        if re.search(pattern, path, re.IGNORECASE):
            return PRODUCTS if group == ELEMENTWISE and operator == "bmm" else group
    return OTHER


def cost(model: nn.Module, shape: tuple[int, ...] = IMAGE) -> list[Cost]:
    """The costs of one forward pass over an input of `shape`, one entry per group that occurs.

    Any network or single module will do; groups are known for EfficientViT (ours and timm's), DeiT and Swin,
    and everything unknown is "other".
    """
    parameters: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    for op in trace(model, shape):
        group = group_of(op.module, op.name)
        macs[group] += (op.flops or 0) // 2
        moved[group] += op.bytes_moved
    for name, parameter in model.named_parameters():
        parameters[group_of(f"{type(model).__name__}.{name}")] += parameter.numel()
    return [
        Cost(group, parameters[group], macs[group], moved[group])
        for group in (*_GROUPS, OTHER)
        if group in parameters or group in moved
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
