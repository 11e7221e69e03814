"""Quantisation parameters: Pulsar2's to the last bit, codes and values as ONNX Runtime's."""

import numpy as np
import pytest
from onnx import helper
from small_graphs import graph

from helpers.graph.session import session_of
from helpers.quant.params import NUMPY, DType, QuantParams


@pytest.mark.parametrize(
    ("ends", "dtype", "scale", "zero"),
    [
        ((-1.0, 3.0), "U8", 4 / 255, 64),
        ((-2.0, 1.0), "S8", 2 / 127.5, 0),
        ((-2.0, 1.0), "S16", 2 / 32767.5, 0),
        ((0.0, 1.0), "U16", 1 / 65535, 0),
        ((0.0, 0.0), "U8", 1, 0),
        ((0.0, 0.0), "S8", 1, 0),
    ],
)
def test_parameters_are_those_measured_on_pulsar2(
    ends: tuple[float, float], dtype: DType, scale: float, zero: int
):
    """f32((hi-lo)/255), rint(-lo/s); max|x|/127.5 (onnxsim/onnxsim, axera-pulsar-free-calibration.md)."""
    params = QuantParams.over(ends, dtype)
    assert (params.scale, params.zero_point) == (np.float32(scale), zero)


@pytest.mark.parametrize("dtype", ["U8", "S8", "U16", "S16"])
def test_codes_are_those_of_onnx_runtime(dtype: DType):
    params = QuantParams.over((-0.7, 1.9), dtype)
    values = np.random.default_rng(0).normal(size=(1, 1, 64, 64)).astype(np.float32)
    zero = np.array(params.zero_point, NUMPY[dtype])
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "scale", "zero"], ["codes"], domain="com.microsoft"),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["logits"], domain="com.microsoft"),
    ]
    model = graph(*nodes, opset=13, shape=[1, 1, 64, 64], scale=params.scale, zero=zero)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    kind = helper.np_dtype_to_tensor_dtype(zero.dtype)
    model.graph.output.insert(0, helper.make_tensor_value_info("codes", kind, values.shape))
    codes, back = session_of(model).run(None, {"input": values})
    assert np.array_equal(params.quantize(values), codes)
    assert np.array_equal(params.dequantize(codes), back)
    assert len(np.unique(codes)) > 100 and codes.max() == NUMPY[dtype](np.iinfo(NUMPY[dtype]).max)


def test_rounding_moves_a_value_by_half_a_step_at_most_and_keeps_zero():
    params = QuantParams.over((-1.0, 3.0), "U8")
    values = np.append(np.linspace(-1, 3, 10_001), 0.0)
    back = params.dequantize(params.quantize(values))
    assert np.abs(back - values).max() <= params.scale / 2 * 1.0001
    assert back[-1] == 0


def test_a_weight_has_a_scale_for_each_channel():
    weights = np.array([[[1.0, -2.0]], [[0.0, 0.0]], [[30.0, 40.0]]], np.float32)
    params = QuantParams.per_channel(weights, axis=0)
    assert np.array_equal(params.scale, np.float32([2 / 127.5, 1, 40 / 127.5]))
    assert params.quantize(weights)[:, 0].tolist() == [[64, -127], [0, 0], [96, 127]]
    across = QuantParams.per_channel(weights[:, 0].T, axis=1)
    assert np.array_equal(across.quantize(weights[:, 0].T), params.quantize(weights)[:, 0].T)
