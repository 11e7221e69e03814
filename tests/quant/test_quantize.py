"""INT8 in Pulsar2's convention: grids to the last bit, who shares one, what the rounded graph computes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from helpers.graph import convert
from helpers.graph.fold import fold
from helpers.graph.metrics import nsr
from helpers.graph.session import cpu_session
from helpers.model import weights
from helpers.quant import quantize, simulate

PICTURES = [np.random.default_rng(seed).normal(size=(1, 3, 224, 224)).astype(np.float32) for seed in range(3)]


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    return convert.simplify(convert.to_onnx(fold(weights.load("efficientvit_m0", "random"))))


@pytest.fixture(scope="module")
def calibration(graph: onnx.ModelProto) -> quantize.Calibration:
    return quantize.calibrate(graph, PICTURES[:2])


def codes(model: onnx.ModelProto, name: str) -> np.ndarray:
    """The zero point of a rounded tensor, whose type is the codes' type."""
    return next(
        numpy_helper.to_array(entry)
        for entry in model.graph.initializer
        if entry.name == f"{name}_rounded_zero"
    )


def scale(model: onnx.ModelProto, name: str) -> np.ndarray:
    return next(
        numpy_helper.to_array(entry)
        for entry in model.graph.initializer
        if entry.name == f"{name}_rounded_scale"
    )


def test_products_of_activations_are_signed_and_the_rest_unsigned(
    graph: onnx.ModelProto, calibration: quantize.Calibration
):
    rounded = quantize.quantize(calibration)
    products = {name for node in graph.graph.node if node.op_type == "MatMul" for name in node.input}
    softmaxes = {node.output[0] for node in graph.graph.node if node.op_type == "Softmax"}
    additions = {node.output[0] for node in graph.graph.node if node.op_type == "Add"}
    assert {codes(rounded, name).dtype for name in products | softmaxes} == {np.dtype(np.int8)}
    assert {int(codes(rounded, name)) for name in products} == {0}
    assert {codes(rounded, name).dtype for name in additions} == {np.dtype(np.uint8)}


def test_what_only_moves_values_keeps_their_grid(graph: onnx.ModelProto, calibration: quantize.Calibration):
    rounded = quantize.quantize(calibration)
    checked = 0
    for node in graph.graph.node:
        if node.op_type in {"Reshape", "Split", "Transpose"}:
            for name in node.output:
                assert scale(rounded, name) == scale(rounded, node.input[0]), node.name
                checked += 1
    assert checked > 100


def test_nothing_is_rounded_between_a_convolution_and_its_relu(
    graph: onnx.ModelProto, calibration: quantize.Calibration
):
    rounded = quantize.quantize(calibration)
    kinds = {name: node.op_type for node in rounded.graph.node for name in node.output}
    behind = [kinds[node.input[0]] for node in rounded.graph.node if node.op_type == "Relu"]
    assert behind.count("Conv") > 20 and set(behind) == {"Conv", "DequantizeLinear"}


def test_weights_have_a_grid_per_channel(graph: onnx.ModelProto, calibration: quantize.Calibration):
    rounded = {
        entry.name: numpy_helper.to_array(entry) for entry in quantize.quantize(calibration).graph.initializer
    }
    exact = {entry.name: numpy_helper.to_array(entry) for entry in graph.graph.initializer}
    node = graph.graph.node[0]
    name = f"{node.input[1]}_rounded_for_{node.name}"
    expected = (np.abs(exact[node.input[1]]).max(axis=(1, 2, 3)) / 127.5).astype(np.float32)
    assert np.array_equal(rounded[f"{name}_scale"], expected)
    assert rounded[f"{name}_codes"].dtype == np.int8
    back = rounded[f"{name}_codes"] * expected[:, None, None, None]
    assert np.abs(back - exact[node.input[1]]).max() <= expected.max() * 0.5001
    bias = f"{node.input[2]}_rounded_for_{node.name}"
    assert rounded[f"{bias}_codes"].dtype == np.int32
    assert np.allclose(rounded[f"{bias}_scale"], expected * rounded["input_rounded_scale"])


def test_the_rounded_graph_says_nearly_the_same(graph: onnx.ModelProto, calibration: quantize.Calibration):
    exact = simulate.logits(graph, PICTURES)
    found = simulate.logits(quantize.quantize(calibration), PICTURES)
    assert 0 < nsr(found, exact) < 0.1


def test_sixteen_bits_for_all_is_closer_and_no_node_is_exact(
    graph: onnx.ModelProto, calibration: quantize.Calibration
):
    exact = simulate.logits(graph, PICTURES)
    everything = {node.name for node in graph.graph.node}
    eight, sixteen, none = (
        nsr(simulate.logits(model, PICTURES), exact)
        for model in (
            quantize.quantize(calibration),
            quantize.quantize(calibration, int16_nodes=everything),
            quantize.quantize(calibration, nodes=[]),
        )
    )
    assert sixteen < 0.9 * eight
    assert none < 1e-9


def test_a_tensor_is_as_wide_as_the_operator_that_writes_it(
    graph: onnx.ModelProto, calibration: quantize.Calibration
):
    softmax = next(node for node in graph.graph.node if node.op_type == "Softmax")
    rounded = quantize.quantize(calibration, int16_nodes=[softmax.name])
    assert codes(rounded, softmax.output[0]).dtype == np.int16  # read by a product: signed
    assert codes(rounded, softmax.input[0]).dtype == np.uint8
    add = next(node for node in graph.graph.node if node.op_type == "Add")
    assert codes(quantize.quantize(calibration, int16_nodes=[add.name]), add.output[0]).dtype == np.uint16


def test_only_the_chosen_nodes_are_rounded(graph: onnx.ModelProto, calibration: quantize.Calibration):
    head = next(node for node in graph.graph.node if node.op_type == "Gemm")
    rounded = quantize.quantize(calibration, nodes=[head.name])
    written = {node.output[0] for node in rounded.graph.node if node.op_type == "DequantizeLinear"}
    weight, bias = (f"{name}_rounded_for_{head.name}" for name in head.input[1:])
    assert written == {f"{head.input[0]}_rounded", "logits", weight, bias}


def test_the_file_keeps_its_ends_and_its_version(graph: onnx.ModelProto, calibration: quantize.Calibration):
    rounded = quantize.quantize(calibration)
    onnx.checker.check_model(rounded)
    assert rounded.ir_version == graph.ir_version
    read = {name for node in rounded.graph.node for name in node.input}
    assert {entry.name for entry in rounded.graph.initializer} <= read
    assert [value.name for value in rounded.graph.input] == ["input"]
    assert [value.name for value in rounded.graph.output] == ["logits"]


def test_a_toy_by_hand():
    """Two constants, one addition: 8-bit codes worked out on paper."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("input", "out")]
    toy = helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["input", "half"], ["out"], name="add")],
            "toy",
            ends[:1],
            ends[1:],
            [numpy_helper.from_array(np.array([0.5, -0.5], np.float32), "half")],
        ),
        opset_imports=[helper.make_opsetid("", 11)],
        ir_version=8,
    )
    values = np.array([[0.0, 2.55]], np.float32)
    rounded = quantize.quantize(quantize.calibrate(toy, [values]))
    (found,) = cpu_session(rounded.SerializeToString()).run(None, {"input": values})
    # input on steps of 0.01; out seen over [0.5, 2.05], widened to 0, so on steps of 2.05 / 255
    step = 2.05 / 255
    assert found == pytest.approx(np.rint(np.array([[0.5, 2.05]]) / step) * step, abs=1e-3)


def built(nodes: list[onnx.NodeProto], shape: list[int], **constants: np.ndarray) -> onnx.ModelProto:
    """A small graph from `input` to `out`."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", "out")]
    kept = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()]
    made = helper.make_graph(nodes, "toy", ends[:1], ends[1:], kept)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def rounded(model: onnx.ModelProto, **choice: list[str]) -> onnx.ModelProto:
    """The graph quantised over one picture of its shape."""
    shape = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return quantize.quantize(quantize.calibrate(model, [values]), **choice)


def reads(model: onnx.ModelProto, name: str) -> list[str]:
    return next(list(node.input) for node in model.graph.node if node.name == name)


@pytest.mark.parametrize("operator", ["Add", "Mul", "Sub", "Div"])
def test_a_constant_is_rounded_for_every_operator_that_calculates_with_it(operator: str):
    model = built(
        [helper.make_node(operator, ["input", "c"], ["out"], name="it")], [1, 2], c=np.array([-1, 3])
    )
    assert reads(rounded(model), "it") == ["input_rounded", "c_rounded_for_it"]
    entries = {entry.name: numpy_helper.to_array(entry) for entry in rounded(model).graph.initializer}
    step, zero = entries["c_rounded_for_it_scale"], int(entries["c_rounded_for_it_zero"])
    assert (step, zero) == (np.float32(4 / 255), 64)
    assert entries["c_rounded_for_it_codes"].tolist() == [0, 255]


@pytest.mark.parametrize(("values", "zero"), [([1, 3], 0), ([-3, -1], 255)])
def test_the_grid_of_a_constant_has_zero_in_it(values: list[int], zero: int):
    nodes = [helper.make_node("Add", ["input", "c"], ["out"], name="it")]
    made = rounded(built(nodes, [1, 2], c=np.array(values)))
    entries = {entry.name: numpy_helper.to_array(entry) for entry in made.graph.initializer}
    assert entries["c_rounded_for_it_scale"] == np.float32(3 / 255)
    assert entries["c_rounded_for_it_zero"] == zero


def test_an_input_that_two_read_is_rounded_for_the_chosen_one_only():
    nodes = [
        helper.make_node("Relu", ["input"], ["kept"], name="exact"),
        helper.make_node("Sigmoid", ["input"], ["squeezed"], name="chosen"),
        helper.make_node("Add", ["kept", "squeezed"], ["out"], name="behind"),
    ]
    made = rounded(built(nodes, [1, 2]), nodes=["chosen"])
    assert reads(made, "exact") == ["input"]
    assert reads(made, "chosen") == ["input_rounded"]
    assert reads(made, "behind") == ["kept", "squeezed_rounded"]


def test_a_tensor_that_two_read_is_rounded_for_the_chosen_one_only():
    nodes = [
        helper.make_node("Tanh", ["input"], ["shared"], name="before"),
        helper.make_node("Relu", ["shared"], ["kept"], name="exact"),
        helper.make_node("Sigmoid", ["shared"], ["squeezed"], name="chosen"),
        helper.make_node("Add", ["kept", "squeezed"], ["out"], name="behind"),
    ]
    made = rounded(built(nodes, [1, 2]), nodes=["chosen"])
    assert (reads(made, "exact"), reads(made, "chosen")) == (["shared"], ["shared_rounded"])


def test_a_convolution_with_another_reader_than_its_relu_is_rounded():
    kernel = np.ones((1, 1, 1, 1))
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["filtered"], name="conv"),  # and without a bias
        helper.make_node("Relu", ["filtered"], ["kept"], name="relu"),
        helper.make_node("Add", ["filtered", "kept"], ["out"], name="add"),
    ]
    made = rounded(built(nodes, [1, 1, 2, 2], w=kernel))
    assert reads(made, "conv") == ["input_rounded", "w_rounded_for_conv"]
    assert reads(made, "relu") == ["filtered_rounded"]


def test_a_relu_on_the_input_itself_reads_it_rounded():
    made = rounded(built([helper.make_node("Relu", ["input"], ["out"], name="relu")], [1, 2]))
    assert reads(made, "relu") == ["input_rounded"]


@pytest.mark.parametrize("transposed", [0, 1])
def test_the_channels_of_a_head_are_its_outputs_however_its_weight_lies(transposed: int):
    weight = np.array([[1, 10], [2, -20]])  # [in, out]: outputs up to 2 and 20
    model = built(
        [helper.make_node("Gemm", ["input", "w"], ["out"], name="head", transB=transposed)],
        [1, 2],
        w=weight.T if transposed else weight,
    )
    entries = {entry.name: numpy_helper.to_array(entry) for entry in rounded(model).graph.initializer}
    assert entries["w_rounded_for_head_scale"] == pytest.approx([2 / 127.5, 20 / 127.5])


def test_codes_reach_from_the_smallest_to_the_largest_and_no_further():
    nodes = [helper.make_node("Gemm", ["input", "w", "b"], ["out"], name="head")]
    model = built(nodes, [1, 2], w=np.array([[-127.5, 1], [1, 127.5]]), b=np.array([-1e12, 1e12]))
    entries = {entry.name: numpy_helper.to_array(entry) for entry in rounded(model).graph.initializer}
    assert entries["w_rounded_for_head_codes"].tolist() == [[-128, 1], [1, 127]]
    assert entries["b_rounded_for_head_codes"].tolist() == [-(2**31), 2**31 - 1]


def test_a_product_with_a_constant_is_no_product_of_activations():
    nodes = [helper.make_node("MatMul", ["input", "w"], ["out"], name="it")]
    assert codes(rounded(built(nodes, [2, 2], w=np.eye(2))), "input").dtype == np.uint8


def test_what_the_file_says_of_its_preprocessing_goes_along():
    model = built([helper.make_node("Relu", ["input"], ["out"], name="relu")], [1, 2])
    helper.set_model_props(model, {"board_input": "bgr"})
    assert {entry.key: entry.value for entry in rounded(model).metadata_props} == {"board_input": "bgr"}
