import pytest
import torch
from torch import nn

from helpers.deploy.fold import fold
from helpers.model import weights
from helpers.model.variants import VARIANTS

IMAGES = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def distance(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference in units of the expected values' standard deviation."""
    return ((got - expected).abs().max() / expected.std()).item()


@pytest.mark.parametrize("name", VARIANTS)
def test_folding_is_exact_and_leaves_no_batch_norm(name: str):
    model = weights.load(name, "random", seed=3)
    folded = fold(model)
    assert not [part for part in folded.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    with torch.inference_mode():
        assert distance(folded(IMAGES), model(IMAGES)) < 1e-4


def test_a_wrong_shift_would_be_seen(monkeypatch: pytest.MonkeyPatch):
    from helpers.deploy import fold as module

    right = module._scale_and_shift
    monkeypatch.setattr(module, "_scale_and_shift", lambda norm: (right(norm)[0], right(norm)[1] * 1.01))
    model = weights.load("efficientvit_m0", "random")
    with torch.inference_mode():
        assert distance(fold(model)(IMAGES), model(IMAGES)) > 1e-4


def test_the_model_stays_as_it_was():
    model = weights.load("efficientvit_m0", "random")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model(IMAGES[:1])  # with gradients: what timm caches then cannot be copied
    folded = fold(model)
    with torch.no_grad():
        next(folded.parameters()).add_(1)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_head_without_bias_folds_too():
    model = weights.load("efficientvit_m0", "random")
    model.head.linear.bias = None
    with torch.inference_mode():
        assert distance(fold(model)(IMAGES), model(IMAGES)) < 1e-4
