"""The whole EfficientViT from the parts of `attention.py`, and timm's weights in it."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

from torch import Tensor, nn

from helpers.model.attention import (
    CascadedGroupAttention,
    ConvBN,
    SandwichBlock,
    WindowAttention,
    local_ffn,
)
from helpers.model.variants import INPUT_SIZE, PATCH, WINDOW, Variant


def patch_embedding(width: int) -> nn.Sequential:
    """Four overlapping 3x3 convolutions of stride 2: image [batch, 3, H, W] -> [batch, width, H/16, W/16]."""
    widths = (3, width // 8, width // 4, width // 2, width)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [ConvBN(inputs, outputs, 3, stride=2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # no ReLU after the last


class ChannelGate(nn.Module):
    """Squeeze and excitation: scales each channel by what the average over the whole map suggests."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        average = x.mean((2, 3), keepdim=True)
        gate: Tensor = self.excite(self.squeeze(average).relu()).sigmoid()
        return x * gate


class Subsample(nn.Sequential):
    """Halves the map between two stages: an inverted residual with a convolution and an FFN on either side.

    [batch, inputs, H, W] -> [batch, outputs, ceil(H/2), ceil(W/2)]. The gate is in the published code only.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        inside = 4 * inputs
        merge = nn.Sequential(
            OrderedDict(
                expand=ConvBN(inputs, inside),
                relu=nn.ReLU(),
                stride=ConvBN(inside, inside, 3, stride=2, groups=inside),
                relu2=nn.ReLU(),
                gate=ChannelGate(inside, inputs),
                reduce=ConvBN(inside, outputs),
            )
        )
        steps = (*local_ffn(inputs), merge, *local_ffn(outputs))
        names = ("conv_before", "ffn_before", "merge", "conv_after", "ffn_after")
        super().__init__(OrderedDict(zip(names, steps, strict=True)))


class EfficientViT(nn.Module):
    """Images [batch, 3, size, size], normalised as for ImageNet -> logits [batch, classes].

    Widths, depths and heads are given stage by stage, kernels head by head. Weights come from `from_timm`.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        depths: Sequence[int],
        heads: Sequence[int],
        kernels: Sequence[int],
        key_dim: int = 16,
        classes: int = 1000,
        image_size: int = INPUT_SIZE,
    ) -> None:
        super().__init__()
        self.patch_embedding = patch_embedding(widths[0])
        self.stages = nn.Sequential()
        inputs, resolution = 0, image_size // PATCH
        for width, depth, count in zip(widths, depths, heads, strict=True):
            subsample = Subsample(inputs, width) if inputs else nn.Identity()
            resolution = (resolution + 1) // 2 if inputs else resolution
            side, blocks = min(WINDOW, resolution), nn.Sequential()
            for _ in range(depth):
                attention = CascadedGroupAttention(width, count, side=side, kernels=kernels, key_dim=key_dim)
                blocks.append(SandwichBlock(width, WindowAttention(attention, side)))
            self.stages.append(nn.Sequential(OrderedDict({"subsample": subsample, "blocks": blocks})))
            inputs = width
        self.head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                bn=nn.BatchNorm1d(inputs),
                linear=nn.Linear(inputs, classes),
            )
        )

    @classmethod
    def of(cls, variant: Variant) -> Self:
        """One of the paper's six, with fresh weights."""
        return cls(widths=variant.widths, depths=variant.depths, heads=variant.heads, kernels=variant.kernels)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(self.patch_embedding(images)))
        return logits


# timm's names on the left, ours on the right, applied in this order.
_RENAMES = (
    (r"^patch_embed\.conv(\d)", lambda found: f"patch_embedding.{2 * int(found[1]) - 2}"),
    (r"\.downsample\.res1\.0\.m\.", ".subsample.conv_before.body."),
    (r"\.downsample\.res1\.1\.m\.", ".subsample.ffn_before.body."),
    (r"\.downsample\.patchmerge\.conv1\.", ".subsample.merge.expand."),
    (r"\.downsample\.patchmerge\.conv2\.", ".subsample.merge.stride."),
    (r"\.downsample\.patchmerge\.se\.fc1\.", ".subsample.merge.gate.squeeze."),
    (r"\.downsample\.patchmerge\.se\.fc2\.", ".subsample.merge.gate.excite."),
    (r"\.downsample\.patchmerge\.conv3\.", ".subsample.merge.reduce."),
    (r"\.downsample\.res2\.0\.m\.", ".subsample.conv_after.body."),
    (r"\.downsample\.res2\.1\.m\.", ".subsample.ffn_after.body."),
    (r"\.dw0\.m\.", ".conv_before.body."),
    (r"\.ffn0\.m\.", ".ffn_before.body."),
    (r"\.mixer\.m\.attn\.", ".attention.body.attention."),
    (r"\.dw1\.m\.", ".conv_after.body."),
    (r"\.ffn1\.m\.", ".ffn_after.body."),
    (r"\.pw1\.", ".expand."),
    (r"\.pw2\.", ".reduce."),
    (r"\.qkvs\.(\d+)\.", r".heads.\1.qkv."),
    (r"\.dws\.(\d+)\.", r".heads.\1.query_conv."),
    (r"\.proj\.", ".projection."),
)


def rename_timm_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """timm's state dict under our names; the bias table [heads, entries] of a block becomes one per head."""
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        for pattern, replacement in _RENAMES:
            name = re.sub(pattern, replacement, name)
        if name.endswith(".attention_biases"):
            block = name.removesuffix("attention_biases")
            renamed |= {f"{block}heads.{head}.bias_table": table for head, table in enumerate(value)}
        else:
            renamed[name] = value
    return renamed


def from_timm(model: Any) -> EfficientViT:
    """Our network with the plan and a copy of the weights of timm's `EfficientVitMsra`, in eval mode."""
    firsts = [stage.blocks[0].mixer.m.attn for stage in model.stages]
    most_heads = max(firsts, key=lambda attention: len(attention.dws))
    network = EfficientViT(
        widths=[first.proj[1].conv.out_channels for first in firsts],
        depths=[len(stage.blocks) for stage in model.stages],
        heads=[len(first.dws) for first in firsts],
        kernels=[head.conv.kernel_size[0] for head in most_heads.dws],
        key_dim=firsts[0].key_dim,
        classes=model.head.linear.out_features,
        image_size=PATCH * model.stages[0].resolution,
    )
    network.load_state_dict(rename_timm_weights(model.state_dict()))
    return network.eval()
