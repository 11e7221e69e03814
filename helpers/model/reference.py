"""timm's EfficientViT, the reference. Other rooms take it from here, so that this package's shim has run."""

import copy
from typing import Any

import timm
import torch
from timm.models.efficientvit_msra import (
    CascadedGroupAttention,
    ConvNorm,
    LocalWindowAttention,
    NormLinear,
    ResidualDrop,
)
from torch import nn

__all__ = [
    "CascadedGroupAttention",
    "ConvNorm",
    "LocalWindowAttention",
    "NormLinear",
    "ResidualDrop",
    "fresh_copy",
    "mean_and_std",
    "timm_model",
]


def fresh_copy(model: nn.Module) -> nn.Module:
    """A deep copy of a model in eval mode; `model` keeps its own mode.

    timm caches the attention biases; after a forward pass with gradients that cache cannot be copied, so
    it is emptied.
    """
    caching: list[Any] = [module for module in model.modules() if hasattr(module, "attention_bias_cache")]
    for module in caching:
        module.attention_bias_cache = {}
    return copy.deepcopy(model).eval()


def mean_and_std(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What the model was trained to have its pixels normalised by: RGB, in units of 0 to 1."""
    trained: Any = model.pretrained_cfg
    return tuple(trained["mean"]), tuple(trained["std"])


def timm_model(name: str, *, seed: int = 0) -> nn.Module:
    """Any of timm's models with fresh weights, in eval mode: for its operators and speed, not its answers.

    Attention runs as two products and a softmax, as in the papers' code; PyTorch's fused kernel would hide
    them from a profiler. The global random state stays. RuntimeError for a name that timm does not have.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: nn.Module = timm.create_model(name)
    attentions: list[Any] = [module for module in model.modules() if hasattr(module, "fused_attn")]
    for attention in attentions:
        attention.fused_attn = False
    return model.eval()
