import pytest
import torch
from torch import nn

from helpers.model.reference import timm_model
from helpers.model.rivals import fold_norms


@pytest.mark.parametrize("name", ["efficientvit_m0", "mobilenetv3_large_100", "mobilenetv2_100"])
def test_no_norm_is_left_and_the_outputs_stay(name: str):
    model = timm_model(name)
    generator = torch.Generator().manual_seed(0)
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        for values in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
            values.uniform_(0.5, 1.5, generator=generator)
    images = torch.rand(2, 3, 224, 224, generator=generator)
    with torch.inference_mode():
        before = model(images)
        after = fold_norms(model)(images)
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules())
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-4 * float(before.abs().max()))
