"""The official names, by hand, against ours; the inverse; and what does not fit."""

from pathlib import Path

import pytest
import timm
import torch
from random_networks import official
from torch import nn

from helpers.model import layout, weights
from helpers.model.source import CheckpointError
from helpers.model.variants import VARIANTS

OFFICIAL_KEYS = dict(
    zip(VARIANTS, (699, 615, 603, 675, 699, 835), strict=True)
)  # microsoft/Cream, classification/model/efficientvit.py
OFFICIAL_M5 = {  # by hand, from the official modules' names (as above) and M5's plan (paper, Table 1)
    "patch_embed.0.c.weight": (24, 3, 3, 3),
    "patch_embed.2.c.weight": (48, 24, 3, 3),
    "patch_embed.6.bn.running_var": (192,),
    "blocks1.0.dw0.m.c.weight": (192, 1, 3, 3),
    "blocks1.0.mixer.m.attn.attention_biases": (3, 49),
    "blocks1.0.mixer.m.attn.attention_bias_idxs": (49, 49),
    "blocks1.0.mixer.m.attn.dws.0.c.weight": (16, 1, 7, 7),
    "blocks2.0.0.m.c.weight": (192, 1, 3, 3),
    "blocks2.0.1.m.pw1.c.weight": (384, 192, 1, 1),
    "blocks2.1.conv1.c.weight": (768, 192, 1, 1),
    "blocks2.1.se.fc1.weight": (192, 768, 1, 1),
    "blocks2.1.se.fc2.bias": (768,),
    "blocks2.1.conv3.bn.weight": (288,),
    "blocks2.2.0.m.c.weight": (288, 1, 3, 3),
    "blocks2.2.1.m.pw2.bn.bias": (288,),
    "blocks2.5.ffn1.m.pw1.c.weight": (576, 288, 1, 1),
    "blocks3.3.mixer.m.attn.attention_biases": (4, 16),
    "blocks3.6.mixer.m.attn.qkvs.3.c.weight": (128, 96, 1, 1),
    "blocks3.6.mixer.m.attn.proj.1.c.weight": (384, 384, 1, 1),
    "head.bn.running_mean": (384,),
    "head.l.weight": (1000, 384),
    "head.l.bias": (1000,),
}


def empty(name: str) -> nn.Module:
    with torch.device("meta"):
        model: nn.Module = timm.create_model(name)
    return model


@pytest.mark.parametrize("name", VARIANTS)
def test_names_go_to_the_official_layout_and_back(name: str) -> None:
    model = empty(name)
    state = official(model)
    assert len(state) == OFFICIAL_KEYS[name]
    assert [layout.timm_name(key) for key in state if "idxs" not in key] == list(model.state_dict())
    assert [layout.timm_name(key) for key in model.state_dict()] == list(model.state_dict())
    assert layout.misfit(state, model) == []
    assert layout.misfit(model.state_dict(), model) == []


def test_the_official_names_of_m5_have_the_official_shapes() -> None:
    shapes = {key: tuple(value.shape) for key, value in official(empty("efficientvit_m5")).items()}
    assert {key: shapes.get(key) for key in OFFICIAL_M5} == OFFICIAL_M5


def test_only_the_own_variant_fits() -> None:
    models = {name: empty(name) for name in VARIANTS}
    fits = {
        (file, name)
        for file, held in models.items()
        for name, model in models.items()
        if not layout.misfit(official(held), model)
    }
    assert fits == {(name, name) for name in VARIANTS}


def test_misfit_names_five_and_counts_the_rest() -> None:
    model = empty("efficientvit_m0")
    state = official(model)
    lost = [key for key in state if key.startswith("patch_embed.0.")]  # six of them
    for key in lost:
        del state[key]
    state["head_dist.l.weight"] = torch.empty(1000, 192)
    state["head.l.bias"] = torch.empty(7)
    missing, surplus, shapes = layout.misfit(state, model)
    assert missing.startswith("6 missing: patch_embed.0.c.weight, ")
    assert missing.endswith("patch_embed.0.bn.running_var and 1 more")
    assert surplus == "1 surplus: head_dist.l.weight"
    assert shapes == "1 mis-shaped: head.l.bias (7,) instead of (1000,)"


def test_a_weight_in_both_layouts_is_not_chosen_between() -> None:
    model = empty("efficientvit_m0")
    state = official(model) | {"head.linear.bias": torch.empty(1000)}
    assert layout.misfit(state, model) == ["1 in both layouts: head.l.bias"]


@pytest.mark.parametrize("key", ["head.l.bias", "head.linear.bias"])
def test_classes_are_the_heads(key: str) -> None:
    assert layout.classes({key: torch.empty(10)}) == 10
    assert layout.classes({}) is None


def test_values_that_cannot_be_meant() -> None:
    model = weights.init_model("efficientvit_m0")
    state = official(model)
    assert layout.to_timm(Path("a"), state, model).keys() == model.state_dict().keys()
    index = "blocks1.0.mixer.m.attn.attention_bias_idxs"
    broken = {
        "head.l.bias": state["head.l.bias"].index_fill(0, torch.tensor([3]), torch.nan),
        "patch_embed.0.c.weight": state["patch_embed.0.c.weight"].to(torch.int8),
        index: state[index].flip(0),
    }
    for key, value in broken.items():
        with pytest.raises(CheckpointError, match=f"in 1 weights: {key}"):
            layout.to_timm(Path("a"), state | {key: value}, model)
