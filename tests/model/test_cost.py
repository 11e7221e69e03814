"""Costs against the paper, against PyTorch's own counter, and by hand on small modules."""

from functools import cache

import pytest
import timm
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from helpers.model.cost import Cost, cost, group_of, total
from helpers.model.network import EfficientViT
from helpers.model.trace import IMAGE
from helpers.model.variants import VARIANTS
from helpers.published import published

SPLIT = {  # of M5, counted from the layer shapes, in millions, when this project began
    "patch embedding": 105.7,
    "FFN": 301.7,
    "downsampling": 64.5,
    "QKV and projection": 41.0,
    "attention products": 5.2,
    "depth-wise convolution": 3.1,
    "head": 0.4,
}
PARAMETERS = {  # as built, before BatchNorm is folded
    "efficientvit_m0": 2_349_436,
    "efficientvit_m1": 2_980_560,
    "efficientvit_m2": 4_187_554,
    "efficientvit_m3": 6_900_722,
    "efficientvit_m4": 8_804_228,
    "efficientvit_m5": 12_473_772,
}


@cache
def costs(name: str) -> list[Cost]:
    return cost(timm.create_model(name))


@cache
def our_costs(name: str) -> list[Cost]:
    return cost(EfficientViT.of(VARIANTS[name]))


def by_group(costs: list[Cost]) -> dict[str, Cost]:
    return {entry.group: entry for entry in costs}


@pytest.mark.parametrize("name", VARIANTS)
def test_macs_and_parameters_are_the_papers(name: str) -> None:
    printed = published("imagenet").row(model=name)
    for whole in (total(costs(name)), total(our_costs(name))):
        assert whole.macs / 1e6 == pytest.approx(printed["macs_m"], rel=0.01)
        assert whole.parameters == PARAMETERS[name]


def test_split_of_the_macs_with_nothing_left_over() -> None:
    groups = by_group(costs("efficientvit_m5"))
    split = {group: round(entry.macs / 1e6, 1) for group, entry in groups.items() if entry.macs}
    assert split == SPLIT and "other" not in groups


@pytest.mark.parametrize("name", ["efficientvit_m0", "efficientvit_m5"])
def test_ours_costs_what_timms_costs(name: str) -> None:
    ours, theirs = our_costs(name), costs(name)
    assert [entry.group for entry in ours] == [entry.group for entry in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        if (
            mine.group == "attention element-wise"
        ):  # timm pads its windows, we gather the bias tables every time
            assert (mine.parameters, mine.macs) == (other.parameters, other.macs)
            assert mine.bytes_moved == pytest.approx(other.bytes_moved, rel=0.15)
        else:
            assert mine == other


@pytest.mark.parametrize("name", ["efficientvit_m0", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_every_parameter_and_mac_is_counted_once(name: str) -> None:
    model = timm.create_model(name).to("meta").eval()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(torch.empty(IMAGE, device="meta"))
    whole = total(costs(name))
    assert whole.macs == counter.get_total_flops() // 2
    assert whole.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_batch_scales_the_macs_and_not_the_weights() -> None:
    one, eight = (by_group(cost(timm.create_model("efficientvit_m0"), (n, *IMAGE[1:]))) for n in (1, 8))
    for group, entry in one.items():
        assert eight[group].macs == 8 * entry.macs
        assert eight[group].bytes_moved <= 8 * entry.bytes_moved
    assert eight["FFN"].bytes_moved < 8 * one["FFN"].bytes_moved


@pytest.mark.parametrize(
    ("path", "operator", "group"),
    [
        ("EfficientVitMsra.stages.0.blocks.0.mixer.m.attn", "bmm", "attention products"),
        ("EfficientVitMsra.stages.0.blocks.0.mixer.m.attn", "_softmax", "attention element-wise"),
        (
            "EfficientVitMsra.stages.0.blocks.0.mixer.m.attn.dws.1.conv",
            "convolution",
            "depth-wise convolution",
        ),
        ("EfficientVitMsra.stages.1.downsample.res1.0.m.conv", "convolution", "depth-wise convolution"),
        ("EfficientVitMsra.stages.1.downsample.res1.1.m.pw1.conv", "convolution", "FFN"),
        ("EfficientVitMsra.stages.1.downsample.patchmerge.conv2.conv", "convolution", "downsampling"),
        ("EfficientViT.stages.1.subsample.merge.gate", "mul", "downsampling"),
        ("EfficientViT.stages.0.blocks.0.ffn_after", "add", "FFN"),
        ("EfficientViT.head.pool", "mean", "head"),
        ("VisionTransformer.blocks.3.attn", "bmm", "attention products"),
        ("VisionTransformer.norm", "native_layer_norm", "other"),
        ("SwinTransformer.layers.1.downsample.reduction", "mm", "downsampling"),
    ],
)
def test_group_of(path: str, operator: str, group: str) -> None:
    assert group_of(path, operator) == group
