"""timm's networks as one would time them: BatchNorm folded into the convolution before it, in place."""

from itertools import pairwise

import torch
from timm.layers.norm_act import BatchNormAct2d
from timm.utils.model import reparameterize_model
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@torch.no_grad()
def fold_norms(model: nn.Module) -> nn.Module:
    """`model` in eval mode without BatchNorm, by timm's own fusion and PyTorch's; outputs agree to rounding.

    EfficientViT's pairs know how to fuse themselves, as in the paper's speed_test.py. In MobileNet and kin,
    a BatchNorm follows its convolution and carries the activation.
    """
    model = reparameterize_model(model.eval(), inplace=True)
    for parent in model.modules():
        children = list(parent.named_children())
        for (before, conv), (name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNormAct2d):
                setattr(parent, before, fuse_conv_bn_eval(conv, norm))
                setattr(parent, name, nn.Sequential(norm.drop, norm.act))
    return model
