import pytest
import timm

from helpers.model.variants import INPUT_SIZE, VARIANTS, UnknownModel, variant


@pytest.mark.parametrize("name", VARIANTS)
def test_the_plan_is_timms(name: str):
    plan, network = VARIANTS[name], timm.create_model(name)
    blocks = [[part for part in stage.blocks if hasattr(part, "mixer")] for stage in network.stages]
    attention = [[block.mixer.m.attn for block in stage] for stage in blocks]
    assert tuple(stage[0].mixer.m.dim for stage in blocks) == plan.widths
    assert tuple(len(stage) for stage in blocks) == plan.depths
    assert tuple(stage[0].num_heads for stage in attention) == plan.heads
    for stage in attention:
        kernels = [dw.conv.kernel_size[0] for dw in stage[0].dws]
        assert kernels == list(plan.kernels[: len(kernels)])
    assert network.img_size == INPUT_SIZE


def test_names_as_the_paper_spells_them():
    assert [plan.short for plan in VARIANTS.values()] == ["M0", "M1", "M2", "M3", "M4", "M5"]
    assert VARIANTS["efficientvit_m5"].title == "EfficientViT-M5"


def test_an_unknown_name_is_refused_with_the_valid_ones():
    with pytest.raises(UnknownModel, match=r"did you mean efficientvit_m5.*efficientvit_m0.*efficientvit_m5"):
        variant("eficientvit_m5")


def test_the_other_efficientvit_is_told_apart():
    with pytest.raises(UnknownModel, match="timm/resnet18 goes through deploy"):
        variant("timm/resnet18")
    with pytest.raises(UnknownModel, match="MIT's EfficientViT, another network"):
        variant("efficientvit_b0")
