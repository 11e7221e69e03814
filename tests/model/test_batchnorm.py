import pytest
import torch
from torch import Tensor, nn

from helpers.model.batchnorm import fuse_batchnorm, fuse_batchnorm_linear, fuse_conv_batchnorm
from helpers.model.reference import timm_model


def used(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """Values that a training could have left, in eval mode."""
    generator = torch.Generator().manual_seed(norm.num_features)
    for values in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        values.uniform_(0.5, 1.5, generator=generator)
    return norm.eval()


def agree(one: Tensor, other: Tensor) -> bool:
    return bool(torch.allclose(one, other, rtol=1e-4, atol=1e-5 * float(other.detach().abs().max())))


@pytest.mark.parametrize("bias", [True, False])
def test_a_pair_becomes_one_layer_that_does_the_same(bias: bool):
    conv, norm = nn.Conv2d(4, 6, 3, groups=2, bias=bias), used(nn.BatchNorm2d(6))
    images = torch.rand(2, 4, 8, 8)
    assert agree(fuse_conv_batchnorm(conv, norm)(images), norm(conv(images)))
    linear, before = nn.Linear(4, 3, bias=bias), used(nn.BatchNorm1d(4))
    features = torch.rand(5, 4)
    assert agree(fuse_batchnorm_linear(before, linear)(features), linear(before(features)))


@pytest.mark.parametrize("name", ["efficientvit_m0", "mobilenetv3_large_100", "mobilenetv2_100"])
def test_no_norm_is_left_and_the_outputs_stay(name: str):
    model = timm_model(name)
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        used(norm)
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = model(images)
        after = fuse_batchnorm(model)(images)
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules())
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-4 * float(before.abs().max()))
