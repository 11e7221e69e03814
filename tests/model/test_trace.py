"""Operators as they run, by hand on small modules."""

import pytest
import torch
from torch import nn

from helpers.model.reference import timm_model
from helpers.model.trace import trace

IMAGES = (2, 3, 4, 4)


def test_an_operator_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.Flatten(), nn.ReLU())
    convolution, relu = trace(model, IMAGES)
    assert (convolution.module, convolution.name) == ("Sequential.0", "convolution")
    assert convolution.shapes[:2] == (IMAGES, (8, 3, 1, 1))
    assert convolution.flops == 2 * 2 * 3 * 8 * 16
    assert convolution.written == 2 * 8 * 16
    assert convolution.bytes_moved == 4 * (2 * 3 * 16 + 3 * 8 + 2 * 8 * 16)
    assert (relu.module, relu.name, relu.flops) == ("Sequential.2", "relu", None)  # the view between is free


def test_the_model_is_left_alone() -> None:
    model = timm_model("efficientvit_m0").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = trace(model)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    on_paper = timm_model("efficientvit_m0").to("meta")
    assert trace(on_paper) == found  # where it stands
    for module in (*model.modules(), *on_paper.modules()):
        assert not module._forward_hooks and not module._forward_pre_hooks


@pytest.mark.parametrize("name", ["efficientvit_m0", "levit_128s"])
def test_a_model_that_has_run_with_gradients_is_traced_alike(name: str) -> None:
    model = timm_model(name)
    before = trace(model)
    model(torch.ones(1, 3, 224, 224))  # what timm caches then cannot be copied
    assert trace(model) == before
