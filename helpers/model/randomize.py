"""Random weights that are not degenerate: an error anywhere in the network shows in the logits."""

from typing import Any

import torch
from torch import Tensor, nn

from helpers.model.reference import fresh_copy, one_thread

_PROBE_IMAGES = 4


@one_thread()
@torch.no_grad()
def randomize(model: nn.Module, *, seed: int) -> None:
    """Scrambles a timm EfficientViT's weights, in place, so that none of its branches is silent.

    A freshly initialised model hides errors: the last BatchNorm of a residual branch is zero and the head
    nearly so. Here BatchNorms, attention biases and head are drawn from `seed` alone, running statistics are
    a probe batch's, shaken, and the head is scaled so that logits of random images have a standard deviation
    of about 1. Convolutions and the model's mode stay.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(like: tuple[int, ...], low: float, high: float) -> Tensor:
        return torch.rand(like, generator=generator, dtype=torch.float64) * (high - low) + low

    twin: Any = fresh_copy(model).to("cpu", torch.float64)
    norms: list[Any] = [
        module for module in twin.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    for norm in norms:
        norm.weight.copy_(uniform(norm.weight.shape, 0.5, 1.5))
        norm.bias.copy_(uniform(norm.bias.shape, -0.5, 0.5))
        norm.momentum = 1.0  # the running statistics become those of the last batch
        norm.train()
    for key, parameter in twin.named_parameters():
        if key.endswith("attention_biases"):
            parameter.copy_(uniform(parameter.shape, -2, 2))
    head = twin.get_classifier()
    head.weight.copy_(uniform(head.weight.shape, -1, 1))
    head.bias.copy_(uniform(head.bias.shape, -1, 1))
    images = (_PROBE_IMAGES, 3, twin.img_size, twin.img_size)
    twin(uniform(images, -(3**0.5), 3**0.5))  # variance 1
    for norm in norms:
        mean, variance = norm.running_mean, norm.running_var
        # A channel that is nearly constant on the probe would magnify rounding errors on other images.
        variance = variance.clamp(min=float(variance.mean()))
        norm.running_mean.copy_(_coarse(mean + variance.sqrt() * uniform(mean.shape, -0.2, 0.2)))
        norm.running_var.copy_(_coarse(variance * uniform(mean.shape, 0.7, 1.4)))
        norm.eval()
    scale = _coarse(1 / twin(uniform(images, -(3**0.5), 3**0.5)).std())
    head.weight.mul_(scale)
    head.bias.mul_(scale)
    model.load_state_dict(twin.state_dict())


def _coarse(values: Tensor) -> Tensor:
    """Eight significant bits of what was measured: machines that sum in another order agree on those."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 256).round() / 256, exponent)
