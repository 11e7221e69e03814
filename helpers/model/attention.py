"""The EfficientViT block from scratch: cascaded group attention between two feed-forward networks.

Written for reading and inference. Tensors are feature maps [batch, channels, height, width]; inside a head,
height and width are flattened to tokens. `helpers.model.network` builds the whole network from these parts
and loads timm's weights into it, which gives the same logits. Names and choices follow the paper, arXiv
2305.07027; where only the published code says something (microsoft/Cream), the comment says so.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConvBN(nn.Sequential):
    """A convolution without bias, then BatchNorm: the paper's only linear layer, one Conv once folded."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)


def depthwise(width: int, kernel: int) -> ConvBN:
    """One filter per channel: mixes neighbours and never channels."""
    return ConvBN(width, width, kernel, groups=width)


def distance_index(side: int) -> Tensor:
    """Entry of the bias table for each query-key pair of a side x side window.

    Returns int64 [tokens, tokens]. Only |dy| and |dx| count, so side**4 pairs share side**2 entries.
    """
    at = torch.arange(side)
    y, x = (axis.flatten() for axis in torch.meshgrid(at, at, indexing="ij"))
    return (y[:, None] - y).abs() * side + (x[:, None] - x).abs()


class AttentionHead(nn.Module):
    """One head: narrow queries and keys, values as wide as the head's share of the channels.

    [batch, width, side, side] -> the same. The query passes a depth-wise convolution, so a token asks with
    its neighbourhood in view. The bias table, as in LeViT, is in the published code only.
    """

    def __init__(self, width: int, *, side: int, key_dim: int, kernel: int) -> None:
        super().__init__()
        self.parts = [key_dim, key_dim, width]
        self.scale = key_dim**-0.5
        self.qkv = ConvBN(width, sum(self.parts))
        self.query_conv = depthwise(key_dim, kernel)
        self.bias_table = nn.Parameter(torch.zeros(side * side))
        self.softmax = nn.Softmax(dim=-1)  # a module, so that a hook can read the attention map
        self.register_buffer("distance", distance_index(side), persistent=False)
        self.distance: Tensor

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = torch.split(self.qkv(x), self.parts, dim=1)
        q, k, v = self.query_conv(q).flatten(2), k.flatten(2), v.flatten(2)
        scores = (q * self.scale).transpose(1, 2) @ k + self.bias_table[self.distance]
        attention: Tensor = self.softmax(scores)  # [batch, queries, keys], every row sums to 1
        return (v @ attention.transpose(1, 2)).view_as(x)


class CascadedGroupAttention(nn.Module):
    """Each head sees its own share of the channels, plus what the head before it found.

    [batch, width, side, side] -> the same. `kernels[i]` is head i's query kernel; further ones are unused.
    """

    def __init__(
        self, width: int, heads: int, *, side: int, kernels: Sequence[int], key_dim: int = 16
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            AttentionHead(width // heads, side=side, key_dim=key_dim, kernel=kernels[i]) for i in range(heads)
        )
        # The ReLU is in the published code only.
        self.projection = nn.Sequential(nn.ReLU(), ConvBN(width, width))

    def forward(self, x: Tensor) -> Tensor:
        found: list[Tensor] = []
        for head, share in zip(self.heads, x.chunk(len(self.heads), dim=1), strict=True):
            found.append(head(share + found[-1] if found else share))
        mixed: Tensor = self.projection(torch.cat(found, dim=1))
        return mixed


class WindowAttention(nn.Module):
    """Cuts a feature map into side x side windows, attends inside each, and puts the map together again.

    [batch, channels, height, width] -> the same. Raises ValueError when the windows do not tile the map; at
    224 pixels they always do (14 = 2 x 7, 7, 4), so the padding of the published code is left out.
    """

    def __init__(self, attention: nn.Module, side: int) -> None:
        super().__init__()
        self.attention = attention
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        side = self.side
        if height % side or width % side:
            raise ValueError(
                f"windows of {side} x {side} do not tile a {height} x {width} map: use 224 pixels"
            )
        down, across = height // side, width // side
        windows = x.view(batch, channels, down, side, across, side).permute(0, 2, 4, 1, 3, 5)
        mixed: Tensor = self.attention(windows.reshape(-1, channels, side, side))
        windows = mixed.view(batch, down, across, channels, side, side).permute(0, 3, 1, 4, 2, 5)
        return windows.reshape(x.shape)


class FFN(nn.Sequential):
    """Two 1x1 convolutions with a ReLU between; twice as wide inside, not the usual four times."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = ConvBN(width, 2 * width)
        self.relu = nn.ReLU()
        self.reduce = ConvBN(2 * width, width)


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.body(x)
        return x + change


def local_ffn(width: int) -> tuple[Residual, Residual]:
    """A 3x3 depth-wise convolution for local interaction, then an FFN, each with its own residual."""
    return Residual(depthwise(width, 3)), Residual(FFN(width))


class SandwichBlock(nn.Sequential):
    """One attention layer with N FFN layers on either side, N = 1.

    [batch, channels, height, width] -> the same, in five residual steps.
    """

    def __init__(self, width: int, attention: nn.Module) -> None:
        before, after = local_ffn(width), local_ffn(width)
        names = ("conv_before", "ffn_before", "attention", "conv_after", "ffn_after")
        super().__init__(OrderedDict(zip(names, (*before, Residual(attention), *after), strict=True)))
