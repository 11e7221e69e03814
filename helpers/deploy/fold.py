"""Folds: an exact copy of the model with fewer operators, for inference only.

Each fold replaces two linear operators in a row by the one that equals them. With a convolution W and a
BatchNorm (γ, β, μ, σ² + ε):  BN(W x) = (γ/σ) W x + (β − γ μ/σ).  With a BatchNorm before a fully
connected layer (A, b):  A BN(x) + b = (A γ/σ) x + (A (β − γ μ/σ) + b).
"""

import copy
from typing import cast

import torch
from torch import nn

from helpers.model.reference import ConvNorm, NormLinear, fresh_copy


def fold(model: nn.Module) -> nn.Module:
    """A folded copy of a timm EfficientViT: Conv-BN and the head's BN-Linear become one layer each.

    The copy is in eval mode and on the model's device; the argument is left as it is. Shapes in and out stay,
    outputs agree to rounding.
    """
    folded = fresh_copy(model)
    for parent in list(folded.modules()):
        for name, child in parent.named_children():
            if isinstance(child, ConvNorm):
                setattr(parent, name, _fold_conv_norm(child))
            elif isinstance(child, NormLinear):
                setattr(parent, name, _fold_norm_linear(child))
    return folded


def _scale_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """BatchNorm in eval mode as x·scale + shift, in float64: folded weights are rounded once, at the end."""
    mean, variance = cast(torch.Tensor, norm.running_mean), cast(torch.Tensor, norm.running_var)
    scale = norm.weight.double() / torch.sqrt(variance.double() + norm.eps)
    return scale, norm.bias.double() - mean.double() * scale


@torch.no_grad()
def _fold_conv_norm(pair: ConvNorm) -> nn.Conv2d:
    scale, shift = _scale_and_shift(pair.bn)
    conv = copy.deepcopy(pair.conv)
    conv.weight.copy_(conv.weight.double() * scale[:, None, None, None])
    conv.bias = nn.Parameter(shift.to(conv.weight.dtype))
    return conv


@torch.no_grad()
def _fold_norm_linear(pair: NormLinear) -> nn.Linear:
    scale, shift = _scale_and_shift(pair.bn)
    linear = copy.deepcopy(pair.linear)
    weight = linear.weight.double()
    bias = 0.0 if linear.bias is None else linear.bias.double()
    linear.weight.copy_(weight * scale)
    linear.bias = nn.Parameter((weight @ shift + bias).to(linear.weight.dtype))
    return linear
