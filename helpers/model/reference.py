"""timm's EfficientViT, the reference. Other rooms take it from here, so that this package's shim has run."""

import copy
from typing import Any

from timm.models.efficientvit_msra import CascadedGroupAttention, ConvNorm, NormLinear
from torch import nn

__all__ = ["ConvNorm", "NormLinear", "fresh_copy", "mean_and_std"]


def fresh_copy(model: nn.Module) -> nn.Module:
    """A deep copy of a timm EfficientViT in eval mode.

    timm caches the attention biases; after a forward pass with gradients that cache cannot be copied, so
    it is emptied.
    """
    for module in model.modules():
        if isinstance(module, CascadedGroupAttention):
            module.attention_bias_cache = {}
    return copy.deepcopy(model).eval()


def mean_and_std(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What the model was trained to have its pixels normalised by: RGB, in units of 0 to 1."""
    trained: Any = model.pretrained_cfg
    return tuple(trained["mean"]), tuple(trained["std"])
