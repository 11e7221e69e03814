"""An EfficientViT on paper: its plan in, its layers, its cost and its forecast speed on the board out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from helpers.board.forecast import COUNTED, RANGE, Forecast, fits, forecast
from helpers.model.attention import ConvBN
from helpers.model.cost import ELEMENTWISE, PRODUCTS, cost, total
from helpers.model.network import ChannelGate, EfficientViT, Subsample
from helpers.model.trace import IMAGE
from helpers.model.variants import VARIANTS, check_plan
from helpers.published import published
from helpers.view.network import STEM, Layer
from helpers.view.style import ROLES

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
        network = EfficientViT(widths=widths, depths=depths, heads=heads, kernels=kernels).eval()
    counted = total(cost(network))
    params_m, macs_m = counted.parameters / 1e6, counted.macs / 1e6
    return Design(params_m=params_m, macs_m=macs_m, speed=forecast(macs_m=macs_m, params_m=params_m))


def live_data(
    *, widths: Sequence[int], depths: Sequence[int], heads: Sequence[int], kernels: Sequence[int] = KERNELS
) -> dict[str, Any]:
    """What the live picture `design` draws with: your plan, the six with their speeds, and the fits."""
    short = {name: plan.short for name, plan in VARIANTS.items()}
    measured: dict[str, dict[str, float]] = {}
    for row in published("ax650n_fps").rows:
        measured.setdefault(row["npu"], {})[short[row["model"]]] = row["fps"]
    return {
        "plan": {"widths": widths, "depths": depths, "heads": heads, "kernels": kernels},
        "models": {plan.short: asdict(plan) for plan in VARIANTS.values()},
        "colours": {npu: ROLES[npu] for npu in measured},
        "fits": {npu: asdict(fit) for npu, fit in fits().items()},
        "measured": measured,
        "range": RANGE,
        "counted": {short[name]: macs_m for name, (macs_m, _) in COUNTED.items()},
    }


_ROLES = {
    "FFN": "FFN",
    "QKV and projection": "attention",
    PRODUCTS: "attention",
    ELEMENTWISE: "attention",
    "depth-wise convolution": "convolution",
    "head": "classifier",
}
"""What a figure calls the groups of `cost`; all others are of the stem and the downsampling."""


def layers(network: EfficientViT) -> list[Layer]:
    """The network as it is built, from the stem to the classifier: what each layer gives, and what it costs.

    `network` stands on PyTorch's meta device; nothing is computed.
    """
    parts: list[tuple[str, nn.Module]] = [("stem", network.patch_embedding)]
    for stage in network.stages:
        named: Any = stage
        if isinstance(named.subsample, Subsample):
            parts.append(("halve", named.subsample))
        parts += [("block", block) for block in named.blocks]
    made, shape = [], torch.Size(IMAGE)
    for name, module in [*parts, ("classes", network.head)]:
        spent: dict[str, tuple[int, int]] = {}
        for entry in cost(module, shape):
            role = _ROLES.get(entry.group, STEM) if module is not network.head else "classifier"
            parameters, macs = spent.get(role, (0, 0))
            spent[role] = (parameters + entry.parameters, macs + entry.macs)
        shape = module.eval()(torch.empty(shape, device="meta")).shape
        made.append(Layer(name, shape[2] if len(shape) == 4 else 1, shape[1], spent))
    return made


def opened(step: Subsample, *, side: int) -> list[Layer]:
    """The layers of a downsampling that is given side x side tokens, on the meta device as well."""
    first: Any = step.get_submodule("conv_before.body.conv")
    made, shape = [], torch.Size((1, first.in_channels, side, side))
    for path, module in step.named_modules():  # in the order in which they run
        if not isinstance(module, ConvBN | ChannelGate):
            continue
        role = "FFN" if "ffn" in path else "convolution" if path.startswith("conv") else STEM
        name = "gate"
        if isinstance(module, ConvBN):
            kernel, stride = module.conv.kernel_size[0], module.conv.stride[0]
            name = f"{kernel} × {kernel}" + (f", stride {stride}" if stride > 1 else "")
        spent = total(cost(module, shape))
        shape = module.eval()(torch.empty(shape, device="meta")).shape
        made.append(Layer(name, shape[2], shape[1], {role: (spent.parameters, spent.macs)}))
    return made
