"""Networks with random weights, what they say to noise, and their weights as the official code has them."""

import functools

import torch
from torch import Tensor, nn

from helpers.model import layout
from helpers.model.weights import load


@functools.cache
def randomized(name: str) -> nn.Module:
    return load(name, "random")


@functools.cache
def images(count: int = 1) -> Tensor:
    return torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def logits(model: nn.Module, count: int = 1) -> Tensor:
    result: Tensor = model(images(count))
    return result


def official(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights as the official code would save them: its names, its persistent bias index."""
    index = {key: value for key, value in model.named_buffers() if key.endswith("attention_bias_idxs")}
    return {layout.official_name(key): value for key, value in (model.state_dict() | index).items()}
