"""The whole network against timm's with randomized weights, the renaming, and the attention maps."""

import pytest
import timm
import torch
from torch import Tensor, nn

from helpers.model.batchnorm import fuse_batchnorm
from helpers.model.network import AttentionMaps, EfficientViT, attention_maps, from_timm, rename_timm_weights
from helpers.model.randomize import randomize
from helpers.model.reference import EfficientVitMsra
from helpers.model.variants import VARIANTS

TOLERANCE = 1e-5


def randomized(model: nn.Module) -> nn.Module:
    randomize(model, seed=3)
    return model.eval()


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
@pytest.mark.parametrize("name", ["efficientvit_m0", "efficientvit_m5"])
def test_logits_agree_with_timm(name: str) -> None:
    reference = randomized(timm.create_model(name))
    ours, expected = from_timm(reference)(images(2)), reference(images(2))
    assert expected.isfinite().all()
    assert (expected[0] - expected[1]).abs().max() > 0.01 * expected.std(), (
        "the logits must depend on the image"
    )
    assert (ours - expected).abs().max() < TOLERANCE * expected.std()


@torch.no_grad()
def test_a_narrow_model_keeps_its_plan() -> None:
    """The pocket model of chapter 04 is timm's class at other widths."""
    plan = {"embed_dim": (32, 64, 96), "depth": (1, 1, 2), "num_heads": (2, 4, 3), "kernels": (5, 3, 3, 7)}
    reference = randomized(EfficientVitMsra(num_classes=10, key_dim=(8, 8, 8), **plan))
    expected = reference(images(1))
    assert (from_timm(reference)(images(1)) - expected).abs().max() < TOLERANCE * expected.std()


@torch.no_grad()
def test_channels_last_images_give_the_same_logits() -> None:
    network = from_timm(randomized(timm.create_model("efficientvit_m0")))
    plain = network(images(1))
    other = network.to(memory_format=torch.channels_last)(images(1).to(memory_format=torch.channels_last))
    assert (plain - other).abs().max() < 1e-3 * plain.std()  # other kernels, other rounding


@pytest.mark.parametrize("name", VARIANTS)
def test_of_a_variant_has_timms_shapes(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = EfficientViT.of(VARIANTS[name]), timm.create_model(name)
    renamed = rename_timm_weights(theirs.state_dict())
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in renamed.items()
    }


def test_weights_are_copied_not_shared() -> None:
    reference = timm.create_model("efficientvit_m0")
    kept = reference.head.linear.weight.detach().clone()
    nn.init.zeros_(from_timm(reference).head.linear.weight)
    assert torch.equal(reference.head.linear.weight, kept)


def test_other_networks_are_refused() -> None:
    folded = fuse_batchnorm(timm.create_model("efficientvit_m0"))
    for model in (folded, timm.create_model("deit_tiny_patch16_224"), nn.Linear(1, 1)):
        with pytest.raises(TypeError, match="not timm's EfficientVitMsra"):
            from_timm(model)


def test_exchanged_attention_is_refused() -> None:
    model = timm.create_model("efficientvit_m0")
    model.stages[0].blocks[0].mixer.m.attn = nn.Identity()
    with pytest.raises(TypeError, match="as built"):
        from_timm(model)


def test_attention_maps_of_every_block() -> None:
    reference = randomized(timm.create_model("efficientvit_m5"))
    maps = attention_maps(reference, images(1))
    assert [(each.stage, each.block) for each in maps] == [
        (stage, block)
        for stage, depth in enumerate(VARIANTS["efficientvit_m5"].depths)
        for block in range(depth)
    ]
    shapes = {each.stage: tuple(each.weights.shape) for each in maps}
    assert shapes == {0: (3, 4, 49, 49), 1: (3, 1, 49, 49), 2: (4, 1, 16, 16)}
    assert [each.resolution for each in maps] == [14] + 3 * [7] + 4 * [4]
    for each in maps:
        torch.testing.assert_close(each.weights.sum(-1), torch.ones_like(each.weights[..., 0]))
        assert each.weights.std() > 0


def test_attention_maps_of_ours_and_of_timm_are_the_same() -> None:
    reference = randomized(timm.create_model("efficientvit_m0"))
    ours = from_timm(reference)
    for a, b in zip(attention_maps(ours, images(1)), attention_maps(reference, images(1)), strict=True):
        assert torch.equal(a.weights, b.weights)
    assert not any(module._forward_hooks for module in ours.modules()), "the hooks must be gone"


@torch.no_grad()
def test_attention_maps_mix_the_values_as_timm_does() -> None:
    """timm keeps its maps to itself, so compare what they do: head 1 of block 1 finds v @ map."""
    reference = randomized(timm.create_model("efficientvit_m0"))
    seen: list[Tensor] = []
    attention = reference.stages[1].blocks[0].mixer.m.attn
    hooks = [
        attention.qkvs[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output)),
        attention.proj.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0])),
    ]
    reference(images(1))
    for hook in hooks:
        hook.remove()
    found = attention_maps(reference, images(1))[1]
    values = seen[0][:, 32:].flatten(2)
    expected = seen[1].chunk(4, dim=1)[0].flatten(2)
    torch.testing.assert_close(values @ found.weights[0].transpose(1, 2), expected, rtol=1e-4, atol=1e-4)


def test_a_token_looks_where_its_row_says() -> None:
    right = torch.eye(9).roll(1, dims=1).expand(2, 4, 9, 9)  # [query, key]: every token looks at the next one
    maps = AttentionMaps(stage=0, block=0, weights=right, side=3, resolution=6)
    for row in range(6):
        for column in (0, 1, 3, 4):  # not the last of a window's row, whose next one is on the next row
            expected = torch.zeros(2, 6, 6)
            expected[:, row, column + 1] = 1
            assert torch.equal(maps.of_token(row, column), expected)


def test_windows_of_a_map_are_row_by_row() -> None:
    numbered = torch.arange(4.0).view(1, 4, 1, 1).expand(1, 4, 9, 9)
    maps = AttentionMaps(stage=0, block=0, weights=numbered, side=3, resolution=6)
    assert [float(maps.of_token(row, column).max()) for row in (0, 5) for column in (0, 5)] == [0, 1, 2, 3]
