"""BatchNorm folded into the convolution before it or the linear layer after it.

In eval mode it is x·scale + shift, so two linear operators in a row are one:

- Conv-BN:    BN(W x) = (γ/σ) W x + (β − γ μ/σ)
- BN-Linear:  A BN(x) + b = (A γ/σ) x + (A (β − γ μ/σ) + b)

Computed in float64 and rounded once, at the end.
"""

import copy
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from helpers.model.reference import BatchNormAct2d, ConvNorm, NormLinear

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def scale_and_shift(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """What a BatchNorm does in eval mode: x·scale + shift, both [channels] in float64."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight.double() / torch.sqrt(variance.double() + norm.eps)
    return scale, norm.bias.double() - mean.double() * scale


@torch.no_grad()
def fuse_conv_batchnorm(conv: nn.Conv2d, norm: BatchNorm) -> nn.Conv2d:
    """One convolution that equals `conv`, then `norm`; both are left as they are."""
    scale, shift = scale_and_shift(norm)
    fused = copy.deepcopy(conv)
    bias = 0.0 if conv.bias is None else conv.bias.double()
    fused.weight.copy_(conv.weight.double() * scale[:, None, None, None])
    fused.bias = nn.Parameter((bias * scale + shift).to(conv.weight.dtype))
    return fused


@torch.no_grad()
def fuse_batchnorm_linear(norm: BatchNorm, linear: nn.Linear) -> nn.Linear:
    """One linear layer that equals `norm`, then `linear`; both are left as they are."""
    scale, shift = scale_and_shift(norm)
    fused = copy.deepcopy(linear)
    weight = linear.weight.double()
    bias = 0.0 if linear.bias is None else linear.bias.double()
    fused.weight.copy_(weight * scale)
    fused.bias = nn.Parameter((weight @ shift + bias).to(linear.weight.dtype))
    return fused


def fuse_batchnorm(model: nn.Module) -> nn.Module:
    """One of timm's networks as one would time it: `model` in eval mode without BatchNorm, in place.

    As in the paper's speed_test.py. In EfficientViT a pair is a module of its own; in MobileNet and kin, a
    BatchNorm follows its convolution and carries the activation. A pair with another norm stays.
    """
    for parent in [*model.eval().modules()]:
        children = list(parent.named_children())
        for name, child in children:
            if isinstance(child, ConvNorm) and isinstance(child.bn, BatchNorm):
                setattr(parent, name, fuse_conv_batchnorm(child.conv, child.bn))
            elif isinstance(child, NormLinear) and isinstance(child.bn, BatchNorm):
                setattr(parent, name, fuse_batchnorm_linear(child.bn, child.linear))
        for (before, conv), (name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNormAct2d):
                setattr(parent, before, fuse_conv_batchnorm(conv, norm))
                setattr(parent, name, nn.Sequential(norm.drop, norm.act))
    return model
