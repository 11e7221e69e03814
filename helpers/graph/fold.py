"""Folds: an exact copy of the model with fewer operators, for inference only.

Each of FOLDS replaces operators in a row by one that equals them:

- "norms": each BatchNorm into the convolution before it, the head's into the matrix after it, as
  `helpers.model.batchnorm` does
- "heads": the queries' scale s = key_dim^-0.5 into their convolution w, s · (w ∗ q + b) = (s w) ∗ q + (s b);
  the bias table looked up once, a constant per head; their norms as well
- "transposes": in those heads, V softmax(QᵀK + B)ᵀ = V softmax over the keys of (KᵀQ + B), since B is its own
  transpose, so one transposition of two is left
- "windows": cut and joined by one transposition each, padded only where they do not tile the map
- "residuals": x + (w ∗ x) = (w + δ) ∗ x for a depth-wise kernel w; δ is 1 in its centre, else 0; its norm as
  well
"""

from collections.abc import Collection
from math import isqrt
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.model.attention import CascadedGroupAttention as OurAttention
from helpers.model.attention import ConvBN, Residual
from helpers.model.batchnorm import fuse_batchnorm_linear, fuse_conv_batchnorm
from helpers.model.reference import (
    CascadedGroupAttention,
    ConvNorm,
    EfficientVitMsra,
    LocalWindowAttention,
    NormLinear,
    ResidualDrop,
    fresh_copy,
    reparameterize_model,
)

Fold = Literal["norms", "heads", "transposes", "windows", "residuals"]
FOLDS: tuple[Fold, ...] = get_args(Fold)
ANY_AXIS = 13  # the first opset whose Softmax works along one axis, whichever it is


def folds_at(opset: int) -> list[Fold]:
    """The folds that make the graph smaller at an opset."""
    return [name for name in FOLDS if name != "transposes" or opset >= ANY_AXIS]


def fold(model: nn.Module, *, folds: Collection[Fold] = FOLDS) -> nn.Module:
    """A folded copy of a timm EfficientViT, or of our own, for the image size it was built for and any batch.

    The copy is in eval mode and on the model's device; the argument is left as it is. Shapes in and out stay,
    outputs agree to rounding. Of another of timm's networks, the branches that its own code can merge are;
    its BatchNorms are left to the exporter. `folds` leaves some out, so that chapter 05 can show one after
    the other, and INT8 can do without the folded residuals (chapter 06).
    """
    folded = fresh_copy(model)
    if hasattr(model, "pretrained_cfg") and not isinstance(model, EfficientVitMsra):
        return reparameterize_model(folded)
    _fold_children(folded, folds)
    return folded


def _fold_children(parent: nn.Module, folds: Collection[Fold]) -> None:
    for name, child in parent.named_children():
        if isinstance(child, ConvNorm | ConvBN):
            if "norms" in folds:
                setattr(parent, name, _fused(child))
        elif isinstance(child, NormLinear):
            if "norms" in folds:
                setattr(parent, name, fuse_batchnorm_linear(child.bn, child.linear))
        elif (body := _residual_conv(child)) and "residuals" in folds:
            setattr(parent, name, _fold_residual(_fused(body)))
        elif isinstance(child, CascadedGroupAttention | OurAttention) and "heads" in folds:
            setattr(parent, name, FoldedAttention(child, over_keys="transposes" in folds))
        else:
            _fold_children(child, folds)
            if isinstance(child, LocalWindowAttention) and "windows" in folds:
                setattr(parent, name, FoldedWindows(child))


def _fused(pair: nn.Module) -> nn.Conv2d:
    assert isinstance(pair, ConvNorm | ConvBN)
    return fuse_conv_batchnorm(pair.conv, pair.bn)


def _residual_conv(module: nn.Module) -> ConvNorm | ConvBN | None:
    """The depth-wise convolution of a residual, which keeps the map's size and so can take the residual."""
    body = module.m if isinstance(module, ResidualDrop) else getattr(module, "body", None)
    if not isinstance(module, ResidualDrop | Residual) or not isinstance(body, ConvNorm | ConvBN):
        return None
    conv = body.conv
    depthwise = conv.groups == conv.in_channels == conv.out_channels
    return body if depthwise and conv.stride == (1, 1) else None


@torch.no_grad()
def _fold_residual(conv: nn.Conv2d) -> nn.Conv2d:
    rows, columns = conv.kernel_size
    conv.weight[:, :, rows // 2, columns // 2] += 1
    return conv


class FoldedHead(nn.Module):
    """One attention head without BatchNorm, scale or look-up: (n, c, side, side) → (n, value, side, side)."""

    bias: Tensor

    def __init__(self, qkv: nn.Module, query: nn.Module, bias: Tensor, *, over_keys: bool) -> None:
        super().__init__()
        self.over_keys = over_keys
        self.side = isqrt(len(bias))
        self.qkv, self.query = _fused(qkv), _fused(query)
        key_dim = self.query.out_channels
        self.sizes = (key_dim, key_dim, self.qkv.out_channels - 2 * key_dim)
        with torch.no_grad():
            self.query.weight *= key_dim**-0.5
            cast(Tensor, self.query.bias).mul_(key_dim**-0.5)
        self.register_buffer("bias", bias.detach()[None])

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.side**2
        key_dim, _, value_dim = self.sizes
        q, k, v = self.qkv(x).split(self.sizes, dim=1)
        # -1 for the batch, never x.shape: asking a tensor for its size puts size arithmetic into the graph
        q = self.query(q).reshape(-1, key_dim, tokens)
        k = k.reshape(-1, key_dim, tokens)
        v = v.reshape(-1, value_dim, tokens)
        if self.over_keys:
            weights = (k.transpose(1, 2) @ q + self.bias).softmax(dim=1)
        else:
            weights = (q.transpose(1, 2) @ k + self.bias).softmax(dim=-1).transpose(1, 2)
        mixed: Tensor = v @ weights
        return mixed.reshape(-1, value_dim, self.side, self.side)


class FoldedAttention(nn.Module):
    """Cascaded group attention on one window: (n, width, side, side) in and out."""

    def __init__(self, attention: CascadedGroupAttention | OurAttention, *, over_keys: bool) -> None:
        super().__init__()
        known: Any = attention
        if isinstance(attention, OurAttention):
            parts = [(head.qkv, head.query_conv, head.bias_table[head.distance]) for head in known.heads]
            relu, projection = known.projection
        else:
            tables = known.attention_biases[:, known.attention_bias_idxs]
            parts = [*zip(known.qkvs, known.dws, tables, strict=True)]
            relu, projection = known.proj
        heads = [FoldedHead(*part, over_keys=over_keys) for part in parts]
        self.heads = nn.ModuleList(heads)
        self.project = nn.Sequential(relu, _fused(projection))
        self.share = heads[0].qkv.in_channels
        self.resolution = heads[0].side  # timm's window module asks for it

    def forward(self, x: Tensor) -> Tensor:
        first, *others = x.split(self.share, dim=1)
        found = [self.heads[0](first)]
        for head, part in zip(self.heads[1:], others, strict=True):
            found.append(head(found[-1] + part))
        return cast(Tensor, self.project(torch.cat(found, dim=1)))


class FoldedWindows(nn.Module):
    """Attention in windows, folded or not: (n, width, resolution, resolution) in and out."""

    def __init__(self, windows: LocalWindowAttention) -> None:
        super().__init__()
        self.attention = windows.attn
        self.width: int = windows.dim
        self.resolution: int = windows.resolution
        self.side: int = min(windows.window_resolution, windows.resolution)

    def forward(self, x: Tensor) -> Tensor:
        if self.resolution == self.side:
            return cast(Tensor, self.attention(x))
        side, count = self.side, -(-self.resolution // self.side)
        missing = count * side - self.resolution
        if missing:
            x = functional.pad(x, (0, missing, 0, missing))
        x = x.reshape(-1, self.width, count, side, count, side).permute(0, 2, 4, 1, 3, 5)
        x = self.attention(x.reshape(-1, self.width, side, side))
        x = x.reshape(-1, count, count, self.width, side, side).permute(0, 3, 1, 4, 2, 5)
        x = x.reshape(-1, self.width, count * side, count * side)
        return x[:, :, : self.resolution, : self.resolution] if missing else x
