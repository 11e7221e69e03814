"""Randomized weights: an error anywhere shows in the logits, and rounding alone does not."""

import copy

import pytest
import torch
from random_networks import images, logits, randomized
from torch import nn

from helpers.model.randomize import _coarse, randomize
from helpers.model.reference import pocket_model, seeded


def settled(model: nn.Module) -> nn.Module:
    """Without the biases that timm caches."""
    model.train()
    return model.eval()


def test_what_is_measured_is_rounded_beyond_the_noise_of_another_machine() -> None:
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(_coarse(values), _coarse(values * (1 + 1e-13)))
    torch.testing.assert_close(_coarse(values), values, rtol=1 / 256, atol=0)


def test_the_number_of_threads_changes_nothing() -> None:
    states, before = [], torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with seeded(0):
            model = pocket_model()
        randomize(model, seed=0)
        states.append(model.state_dict())
    torch.set_num_threads(before)  # two on a busy machine wait for each other through all later tests
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.parametrize("name", ["efficientvit_m0", "efficientvit_m5", "pocket"])
def test_randomized_logits_have_a_spread_of_one(name: str) -> None:
    found = logits(randomized(name), 8)
    assert 0.8 < found.std() < 1.25
    assert found.std(0).mean() > 0.1, "logits must depend on the image"


@torch.no_grad()
@pytest.mark.parametrize("name", ["efficientvit_m0", "efficientvit_m5"])
def test_every_branch_and_every_bias_moves_the_logits(name: str) -> None:
    model = copy.deepcopy(randomized(name))
    expected = logits(model)
    branches = [module for module in model.modules() if type(module).__name__ == "ResidualDrop"]
    for branch in branches:
        branch.forward = lambda x: x
        assert (logits(model) - expected).std() > 0.05 * expected.std()
        del branch.forward
    for key, table in model.named_parameters():
        if key.endswith("attention_biases"):
            kept = table.clone()
            table.zero_()
            assert (logits(settled(model)) - expected).std() > 0.01 * expected.std(), key
            table.copy_(kept)
    assert torch.equal(logits(settled(model)), expected)


def test_randomized_logits_keep_rounding_errors_small() -> None:
    """Parity elsewhere is asked to 1e-4 of the spread; float32 itself must leave room for that."""
    model = randomized("efficientvit_m5")
    exact = copy.deepcopy(model.train()).eval().double()
    model.eval()
    with torch.no_grad():
        error = (exact(images().double()) - logits(model)).abs().max()
    assert error < 1e-5 * logits(model).std()


def test_randomize_keeps_the_mode_and_needs_no_fresh_model() -> None:
    model = pocket_model()
    randomize(model, seed=0)
    assert model.training
    model.eval()(images()).sum().backward()  # leaves a bias cache that cannot be copied
    randomize(model, seed=0)
    assert not model.training
    assert 0.8 < logits(model, 8).std() < 1.25
