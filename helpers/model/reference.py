"""timm's EfficientViT, the reference, for the other rooms: importing this package first makes timm importable."""

import copy

from timm.models.efficientvit_msra import CascadedGroupAttention, ConvNorm, NormLinear
from torch import nn

__all__ = ["ConvNorm", "NormLinear", "fresh_copy"]


def fresh_copy(model: nn.Module) -> nn.Module:
    """A deep copy of a timm EfficientViT in eval mode.

    timm caches the attention biases, and the cache of a forward pass with gradients cannot be copied; it is emptied.
    """
    for module in model.modules():
        if isinstance(module, CascadedGroupAttention):
            module.attention_bias_cache = {}
    return copy.deepcopy(model).eval()
