"""An EfficientViT on paper: its plan in, its cost and its forecast speed on the board out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from helpers.board.forecast import Forecast, forecast
from helpers.model.cost import cost, total
from helpers.model.network import EfficientViT
from helpers.model.variants import VARIANTS

STEM_DIVISOR = 8  # the stem's first convolution has an eighth of the first stage's width
KERNELS = VARIANTS["efficientvit_m5"].kernels


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a plan costs per image, and images/s at batch 8 by NPU mode. It says nothing of accuracy."""

    params_m: float
    macs_m: float
    speed: dict[str, Forecast]


def design(
    *, widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], kernels: Sequence[int] = KERNELS
) -> Design:
    """Counts a network that is never built in memory, and forecasts it.

    `widths` are channels, `depths` blocks and `heads` heads, stage by stage; `kernels` belong to heads.
    Raises ValueError with the number to change for a plan that cannot be built.
    """
    if not len(widths) == len(depths) == len(heads) >= 1:
        raise ValueError(
            f"{len(widths)} widths, {len(depths)} depths, {len(heads)} heads: give one of each per stage"
        )
    for name, values in (("width", widths), ("depth", depths), ("heads", heads)):
        if min(values) < 1:
            raise ValueError(f"{name} {min(values)} is below 1: give positive whole numbers")
    for width, count in zip(widths, heads, strict=True):
        if width % count:
            raise ValueError(f"width {width} does not divide among {count} heads: take a multiple of {count}")
    if widths[0] % STEM_DIVISOR:
        raise ValueError(f"first width {widths[0]} is no multiple of {STEM_DIVISOR}, which the stem needs")
    if max(heads) > len(kernels):
        raise ValueError(f"{max(heads)} heads need as many kernels, not {len(kernels)}: give more kernels")
    with torch.device("meta"):
        network = EfficientViT(widths=widths, depths=depths, heads=heads, kernels=kernels)
    counted = total(cost(network))
    params_m, macs_m = counted.parameters / 1e6, counted.macs / 1e6
    return Design(params_m=params_m, macs_m=macs_m, speed=forecast(macs_m=macs_m, params_m=params_m))
