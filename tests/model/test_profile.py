import pytest
import torch
from torch import nn

from helpers.model.cost import cost, total
from helpers.model.profile import (
    CALLS,
    COMPUTE_BOUND,
    COPY,
    DEPTHWISE,
    ELEMENTWISE,
    KINDS,
    LINEAR,
    MEMORY_BOUND,
    NORM,
    OTHER,
    PRODUCTS,
    SOFTMAX,
    Profile,
    copy_peak,
    counted,
    kind_of,
    product_peak,
    profile,
)
from helpers.model.reference import timm_model


def test_every_kind_is_on_one_side_or_none():
    assert sorted(KINDS) == sorted([*COMPUTE_BOUND, *MEMORY_BOUND, CALLS, OTHER])


def test_a_convolution_is_depth_wise_by_its_weight():
    image = (1, 16, 7, 7)
    assert kind_of("convolution", [image, (16, 1, 3, 3)]) == DEPTHWISE
    assert kind_of("mkldnn_convolution", [image, (32, 16, 1, 1)]) == LINEAR
    assert kind_of("convolution", [(1, 1, 7, 7), (1, 1, 3, 3)]) == LINEAR  # one channel, but no groups


def test_operations_and_bytes_of_a_known_layer():
    layer = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    operations, moved = counted(layer.eval(), (2, 8, 10, 10))
    values = 2 * 8 * 10 * 10
    assert operations == {DEPTHWISE: 2 * 9 * values, NORM: values, ELEMENTWISE: values}
    assert moved[DEPTHWISE] == 4 * (values + 8 * 9 + values)
    assert moved[ELEMENTWISE] == 4 * 2 * values


def test_a_copy_moves_bytes_and_computes_nothing():
    class Turn(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.transpose(1, 2).contiguous()

    operations, moved = counted(Turn(), (1, 3, 4, 5))
    assert (operations, moved) == ({}, {COPY: 2 * 4 * 60})


@pytest.mark.parametrize("name", ["efficientvit_m0", "deit_tiny_patch16_224"])
def test_products_are_twice_the_macs(name: str):
    model = timm_model(name)
    operations, _ = counted(model, (1, 3, 224, 224))
    assert (
        sum(operations[kind] for kind in COMPUTE_BOUND if kind in operations) == 2 * total(cost(model)).macs
    )
    assert {PRODUCTS, SOFTMAX, NORM} <= operations.keys()  # attention is not hidden in a fused kernel


def test_a_profile_finds_the_kinds_that_run(capfd: pytest.CaptureFixture[str]):
    found = profile(timm_model("efficientvit_m0"), torch.randn(2, 3, 224, 224), passes=2)
    assert len(found.runs) == 2
    for run in found.runs:
        assert set(KINDS) - {OTHER} >= run.keys() >= set(KINDS) - {COPY, OTHER}
        assert all(seconds > 0 for seconds in run.values())
    assert "profiler" not in capfd.readouterr().err


class Cumulated(nn.Module):
    """Runs an operator that the rule does not know, between a view and an allocation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(2, 3).cumsum(3) + torch.empty_like(x)


def test_an_unknown_operator_has_a_row_of_its_own():
    found = profile(Cumulated(), torch.randn(1, 3, 64, 64), passes=1)
    assert found.spent(OTHER).seconds > 0
    assert found.spent(OTHER).operations == 3 * 64 * 64
    assert found.spent(OTHER).bytes_moved == 2 * 4 * 3 * 64 * 64
    assert CALLS not in found.operations.keys() | found.bytes_moved.keys()


@pytest.mark.parametrize("name", ["deit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "resnet18"])
def test_the_rule_knows_every_operator_of_the_networks(name: str):
    found = profile(timm_model(name), torch.randn(1, 3, 224, 224), passes=1)
    assert OTHER not in found.runs[0].keys() | found.operations.keys() | found.bytes_moved.keys()


def test_shares_and_rates_are_of_the_median_run():
    runs = ({LINEAR: 3.0, NORM: 1.0}, {LINEAR: 1.0, NORM: 1.0}, {LINEAR: 2.0, NORM: 1.0})
    made = Profile(runs, {LINEAR: 80}, {LINEAR: 10})
    assert made.share(MEMORY_BOUND) == (1 / 3, 1 / 4, 1 / 2)
    spent = made.spent(LINEAR)
    assert (spent.seconds, spent.intensity, spent.rate) == (2, 8, 40)


def test_peaks_are_positive_and_in_order():
    for peak in (product_peak(), copy_peak()):
        assert 0 < peak.low <= peak.rate <= peak.high


def test_fresh_models_of_one_seed_are_equal_and_the_random_state_stays():
    state = torch.get_rng_state()
    first, second = timm_model("efficientvit_m0", seed=3), timm_model("efficientvit_m0", seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not first.training
    with pytest.raises(RuntimeError, match="Unknown model"):
        timm_model("efficientvit_m9")
