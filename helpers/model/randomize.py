"""Random weights that are not degenerate: an error anywhere in the network shows in the logits."""

from typing import Any

import torch
from torch import Tensor, nn

from helpers.model.reference import EfficientVitMsra, fresh_copy, one_thread

_PROBE_IMAGES = 4


@one_thread()
@torch.no_grad()
def randomize(model: nn.Module, *, seed: int) -> None:
    """Scrambles a timm classifier's weights, in place, so that none of its branches is silent.

    A freshly initialised model hides errors: the last BatchNorm of a residual branch is zero and the head
    nearly so. Here norms, attention biases, layer scales and head are drawn from `seed` alone, running
    statistics are a probe batch's, shaken, and the head is scaled so that logits of random images have a
    standard deviation of about 1. Convolutions and the model's mode stay.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(like: tuple[int, ...], low: float, high: float) -> Tensor:
        return torch.rand(like, generator=generator, dtype=torch.float64) * (high - low) + low

    twin: Any = fresh_copy(model).to("cpu", torch.float64)
    norms: list[Any] = [
        module for module in twin.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    others = [module for module in twin.modules() if isinstance(module, nn.LayerNorm | nn.GroupNorm)]
    for norm in [each for each in (*norms, *others) if each.weight is not None]:
        norm.weight.copy_(uniform(norm.weight.shape, 0.5, 1.5))
        if norm.bias is not None:
            norm.bias.copy_(uniform(norm.bias.shape, -0.5, 0.5))
    for norm in norms:
        norm.momentum = 1.0  # the running statistics become those of the last batch
        norm.train()
    for key, parameter in twin.named_parameters():
        if key.endswith("attention_biases"):
            parameter.copy_(uniform(parameter.shape, -2, 2))
        elif key.endswith("gamma"):  # of layer scale, which begins near zero
            parameter.copy_(uniform(parameter.shape, 0.5, 1.5))
    head = [value for layer in _heads(twin) for value in (layer.weight, layer.bias) if value is not None]
    for value in head:
        value.copy_(uniform(value.shape, -1, 1))
    ours = isinstance(twin, EfficientVitMsra)  # which may be of no name that timm knows
    size = (3, twin.img_size, twin.img_size) if ours else twin.pretrained_cfg["input_size"]
    images = (_PROBE_IMAGES, *size)
    twin(uniform(images, -(3**0.5), 3**0.5))  # variance 1
    for norm in norms:
        mean, variance = norm.running_mean, norm.running_var
        # A channel that is nearly constant on the probe would magnify rounding errors on other images.
        variance = variance.clamp(min=float(variance.mean()))
        norm.running_mean.copy_(_coarse(mean + variance.sqrt() * uniform(mean.shape, -0.2, 0.2)))
        norm.running_var.copy_(_coarse(variance * uniform(mean.shape, 0.7, 1.4)))
        norm.eval()
    scale = _coarse(1 / twin(uniform(images, -(3**0.5), 3**0.5)).std())
    for value in head:
        value.mul_(scale)
    model.load_state_dict(twin.state_dict())


def _heads(model: Any) -> list[Any]:
    """The layers that give the logits: one, or one for each of two heads; timm's norm may stand before it."""
    found = model.get_classifier()
    parts = found if isinstance(found, tuple | list) else [found]
    return [each for part in parts for each in part.modules() if isinstance(each, nn.Linear | nn.Conv2d)]


def _coarse(values: Tensor) -> Tensor:
    """Eight significant bits of what was measured: machines that sum in another order agree on those."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 256).round() / 256, exponent)
