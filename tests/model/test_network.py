"""The whole network against timm's with randomized weights, and the renaming."""

import pytest
import timm
import torch
from random_networks import images, logits, randomized
from torch import nn

from helpers.model.network import EfficientViT, from_timm, rename_timm_weights
from helpers.model.randomize import randomize
from helpers.model.reference import EfficientVitMsra
from helpers.model.variants import VARIANTS

TOLERANCE = 1e-5


@torch.no_grad()
@pytest.mark.parametrize("name", ["efficientvit_m0", "efficientvit_m5"])
def test_logits_agree_with_timm(name: str) -> None:
    reference = randomized(name)
    ours, expected = logits(from_timm(reference), 2), logits(reference, 2)
    assert expected.isfinite().all()
    assert (expected[0] - expected[1]).abs().max() > 0.01 * expected.std(), (
        "the logits must depend on the image"
    )
    assert (ours - expected).abs().max() < TOLERANCE * expected.std()


@torch.no_grad()
def test_a_narrow_model_keeps_its_plan() -> None:
    """The pocket model of chapter 04 is timm's class at other widths."""
    plan = {"embed_dim": (32, 64, 96), "depth": (1, 1, 2), "num_heads": (2, 4, 3), "kernels": (5, 3, 3, 7)}
    reference = EfficientVitMsra(num_classes=10, key_dim=(8, 8, 8), **plan).eval()
    randomize(reference, seed=3)
    expected = reference(images(1))
    assert (from_timm(reference)(images(1)) - expected).abs().max() < TOLERANCE * expected.std()


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
