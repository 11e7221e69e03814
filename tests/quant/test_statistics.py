"""Ranges seen on pictures, and what each method keeps of them."""

import numpy as np
import onnx
import pytest
from onnx import helper
from small_graphs import graph, node

from helpers.quant import statistics
from helpers.quant.params import Method
from helpers.quant.statistics import METHODS, TensorStats, clip_range


def seen(values: np.ndarray) -> TensorStats:
    low, high = float(values.min()), float(values.max())
    return TensorStats(low, high, np.histogram(values, bins=statistics.BINS, range=(low, high))[0])


def doubling() -> onnx.ModelProto:
    """`logits` are twice `input`, by way of `sum`."""
    add = helper.make_node("Add", ["input", "input"], ["sum"], name="sum")
    return graph(add, node("Relu", ["sum"]), shape=[1, 3, 2, 2])


def picture(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 12, dtype=np.float32).reshape(1, 3, 2, 2)


def observed(*pictures: np.ndarray) -> dict[str, TensorStats]:
    names = ["input", "sum", "logits"]
    return statistics.collect_stats(doubling(), pictures, names, histograms=True)


def test_every_value_of_every_picture_is_seen():
    found = observed(picture(-1, 2), picture(-3, 0.5))
    assert {name: (entry.low, entry.high) for name, entry in found.items()} == {
        "input": (-3, 2),
        "sum": (-6, 4),
        "logits": (0, 4),
    }
    assert all(entry.counts.sum() == 24 for entry in found.values())


def test_a_tensor_that_hardly_changes_or_never_has_a_histogram_too():
    found = observed(picture(-2, -1))["logits"]
    assert (found.low, found.high, found.counts.sum()) == (0, 0, 12)
    almost = np.full((1, 3, 2, 2), 5, np.float32)
    almost[0, 0, 0, 0] = np.nextafter(np.float32(5), np.float32(6))
    found = observed(almost)["logits"]
    assert found.high > found.low and found.counts.sum() == 12


def test_min_max_needs_no_histograms():
    found = statistics.collect_stats(doubling(), [picture(-1, 2)], ["sum"], histograms=False)["sum"]
    assert clip_range(found, "MinMax") == (-2, 4)


def test_without_a_picture_nothing_is_observed():
    with pytest.raises(ValueError, match="picture"):
        observed()


@pytest.mark.parametrize("method", METHODS)
def test_zero_is_always_in_the_range(method: Method):
    low, high = clip_range(seen(np.linspace(2, 3, 1000)), method)
    assert low == 0 and high > 0
    low, high = clip_range(seen(np.linspace(-3, -2, 1000)), method)
    assert low < 0 and high == 0


@pytest.mark.filterwarnings("error")  # such as a division by zero
@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_that_is_always_zero_has_no_range_to_cut(method: Method):
    counts = np.zeros(statistics.BINS, np.int64)
    counts[0] = 12
    assert clip_range(TensorStats(0.0, 0.0, counts), method) == (0, 0)


def test_min_max_keeps_everything_and_percentile_cuts_rare_values():
    values = np.concatenate([np.random.default_rng(0).normal(size=200_000), [1000.0]])
    assert clip_range(seen(values), "MinMax")[1] == 1000
    assert clip_range(seen(values), "Percentile")[1] < 10


def test_percentile_cuts_half_of_the_rest_on_each_side():
    counts = np.zeros(statistics.BINS, np.int64)
    counts[[0, 1, 2, -3, -2, -1]] = 2
    counts[1024] = 100_000 - 12  # 0.005 per cent are 5 values: two bins of each side go, and half of a third
    assert clip_range(TensorStats(-1024, 1024, counts), "Percentile") == (-1021.5, 1021.5)
    assert clip_range(TensorStats(-1024, 1024, np.full(statistics.BINS, 10)), "Percentile") == (
        -1023.5,
        1023.5,
    )


def rounding_error(values: np.ndarray, kept: tuple[float, float]) -> float:
    low, high = kept
    step = (high - low) / 255
    low = step * np.rint(low / step)  # the zero point is a whole number
    return float(np.mean((np.clip(np.rint((values - low) / step), 0, 255) * step + low - values) ** 2))


@pytest.mark.parametrize(("method", "tail", "of_two"), [("MSE", 0.9, 1.98), ("KL", 0.7, 1.8)])
def test_a_long_tail_is_clipped_and_a_flat_distribution_kept(method: Method, tail: float, of_two: float):
    tailed = np.random.default_rng(0).standard_t(3, size=100_000)
    assert clip_range(seen(tailed), method)[1] < tail * tailed.max()
    low, high = clip_range(seen(np.random.default_rng(0).uniform(-1, 1, size=100_000)), method)
    assert high - low > of_two


def divergence(entry: TensorStats, kept: tuple[float, float]) -> float:
    """Kullback–Leibler divergence, bin by bin: tails added to the end bins, against 256 levels."""
    inside = [index for index, middle in enumerate(entry.middles) if kept[0] <= middle <= kept[1]]
    exact = {index: float(entry.counts[index]) for index in inside}
    shares = dict(exact)
    shares[inside[0]] += sum(entry.counts[: inside[0]])
    shares[inside[-1]] += sum(entry.counts[inside[-1] + 1 :])
    levels: dict[int, list[int]] = {}
    for place, index in enumerate(inside):
        if exact[index]:
            levels.setdefault(place * 256 // len(inside), []).append(index)
    found = {index: sum(exact[i] for i in level) / len(level) for level in levels.values() for index in level}
    all_shares, all_found = sum(shares.values()), sum(found.values())
    total = 0.0
    for index, share in shares.items():
        if share and index in found:
            total += share / all_shares * np.log(share / all_shares / (found[index] / all_found))
        elif share:
            total += 10 * share / all_shares  # what the levels cannot give back
    return total


DRAWN = {
    "two-sided": np.random.default_rng(1).standard_t(3, size=20_000),
    "after a ReLU": np.maximum(np.random.default_rng(2).standard_t(4, size=20_000), 0),
    "exponential": np.random.default_rng(6).exponential(size=20_000),
    "few values, far out": np.random.default_rng(4).standard_t(2, size=1_000),
    "after a power": np.random.default_rng(5).gamma(0.3, size=400),
    "a long tail": np.random.default_rng(2).lognormal(sigma=1.5, size=500),
    "nothing in the middle": np.random.default_rng(7).uniform(0.8, 1, 5_000) * np.tile([-1, 1], 2_500),
    "one value": np.array([0.0, 0.0, 1.0]),
}


@pytest.mark.parametrize("values", DRAWN.values(), ids=DRAWN)
def test_what_mse_and_kl_keep_is_the_best_of_the_shares_by_their_definitions(values: np.ndarray):
    entry = seen(values)
    shares = [(share * min(entry.low, 0), share * max(entry.high, 0)) for share in np.linspace(0.3, 1, 36)]
    drawn = np.repeat(entry.middles, entry.counts)
    assert clip_range(entry, "MSE") == min(shares, key=lambda kept: rounding_error(drawn, kept))
    assert clip_range(entry, "KL") == min(reversed(shares), key=lambda kept: divergence(entry, kept))
