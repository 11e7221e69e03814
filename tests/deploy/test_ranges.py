"""Ranges seen on pictures, and what each method keeps of them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from helpers.deploy import ranges
from helpers.deploy.ranges import METHODS, Method, Seen, clip


def seen(values: np.ndarray) -> Seen:
    low, high = float(values.min()), float(values.max())
    return Seen(low, high, np.histogram(values, bins=ranges.BINS, range=(low, high))[0])


def doubling() -> onnx.ModelProto:
    """`out` is twice `input`, by way of `sum`."""
    value = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 2, 2])
    nodes = [
        helper.make_node("Add", ["input", "input"], ["sum"], name="sum"),
        helper.make_node("Relu", ["sum"], ["out"], name="relu"),
    ]
    graph = helper.make_graph(
        nodes, "g", [value], [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, 2, 2])]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def picture(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 12, dtype=np.float32).reshape(1, 3, 2, 2)


def test_every_value_of_every_picture_is_seen():
    found = ranges.observe(doubling(), [picture(-1, 2), picture(-3, 0.5)], ["input", "sum", "out"])
    assert (found["input"].low, found["input"].high) == (-3, 2)
    assert (found["sum"].low, found["sum"].high) == (-6, 4)
    assert (found["out"].low, found["out"].high) == (0, 4)
    assert all(entry.counts.sum() == 24 for entry in found.values())


def test_a_tensor_that_never_changes_has_a_histogram_too():
    found = ranges.observe(doubling(), [picture(-2, -1)], ["out"])
    assert (found["out"].low, found["out"].high, found["out"].counts.sum()) == (0, 0, 12)


def test_without_a_picture_nothing_is_observed():
    with pytest.raises(ValueError, match="no calibration picture"):
        ranges.observe(doubling(), [], ["out"])


@pytest.mark.parametrize("method", METHODS)
def test_zero_is_always_in_the_range(method: Method):
    low, high = clip(seen(np.linspace(2, 3, 1000)), method)
    assert low == 0 and high > 0
    low, high = clip(seen(np.linspace(-3, -2, 1000)), method)
    assert low < 0 and high == 0


def test_min_max_keeps_everything_and_percentile_cuts_rare_values():
    values = np.concatenate([np.random.default_rng(0).normal(size=200_000), [1000.0]])
    assert clip(seen(values), "MinMax")[1] == 1000
    assert clip(seen(values), "Percentile")[1] < 10


def rounding_error(values: np.ndarray, kept: tuple[float, float]) -> float:
    low, high = kept
    step = (high - low) / 255
    return float(np.mean((np.clip(np.rint((values - low) / step), 0, 255) * step + low - values) ** 2))


def test_least_squares_loses_less_than_the_whole_range():
    values = np.random.default_rng(0).standard_t(3, size=100_000)
    assert rounding_error(values, clip(seen(values), "MSE")) < rounding_error(
        values, clip(seen(values), "MinMax")
    )


def test_least_squares_keeps_a_flat_distribution_whole():
    values = np.random.default_rng(0).uniform(-1, 1, size=100_000)
    low, high = clip(seen(values), "MSE")
    assert high - low > 1.98


def test_relative_entropy_clips_a_long_tail_and_keeps_a_flat_distribution():
    tailed = np.random.default_rng(0).standard_t(3, size=100_000)
    flat = np.random.default_rng(0).uniform(-1, 1, size=100_000)
    assert clip(seen(tailed), "KL")[1] < 0.7 * tailed.max()
    low, high = clip(seen(flat), "KL")
    assert high - low > 1.8
