"""An EfficientViT on paper: its plan in, its cost and its forecast speed on the board out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from helpers.board.forecast import Forecast, forecast
from helpers.model.cost import cost, total
from helpers.model.network import EfficientViT
from helpers.model.variants import VARIANTS, check_plan

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
    check_plan(widths, depths, heads, kernels)
    with torch.device("meta"):
        network = EfficientViT(widths=widths, depths=depths, heads=heads, kernels=kernels)
    counted = total(cost(network))
    params_m, macs_m = counted.parameters / 1e6, counted.macs / 1e6
    return Design(params_m=params_m, macs_m=macs_m, speed=forecast(macs_m=macs_m, params_m=params_m))
