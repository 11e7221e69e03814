"""INT8 in Pulsar2's convention: who shares quantisation parameters, and what the rounded graph computes."""

import numpy as np
import onnx
import pytest
from onnx import helper
from small_graphs import graph as small
from small_graphs import node

from helpers.graph.graph import Graph
from helpers.graph.metrics import nsr
from helpers.quant import quantize, simulate

PICTURES = [np.random.default_rng(seed).normal(size=(1, 3, 224, 224)).astype(np.float32) for seed in range(3)]


@pytest.fixture(scope="module")
def calibration(graph: onnx.ModelProto) -> quantize.Calibration:
    return quantize.calibrate(graph, PICTURES[:2])


def zero(model: onnx.ModelProto, name: str) -> np.ndarray:
    """The zero point of a rounded tensor, whose type is the codes' type."""
    return Graph(model).constant(f"{name}_rounded_zero")


def rounded(model: onnx.ModelProto, **choice: list[str]) -> Graph:
    """A small graph, quantised over one picture of its shape."""
    shape = Graph(model).ends["input"]
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return Graph(quantize.quantize(quantize.calibrate(model, [values]), **choice))


def reads(found: Graph, name: str) -> list[str]:
    return next(list(node.input) for node in found.nodes if node.name == name)


def test_products_of_activations_are_signed_and_the_rest_unsigned(
    graph: onnx.ModelProto, calibration: quantize.Calibration
):
    found = quantize.quantize(calibration)
    products = {name for node in graph.graph.node if node.op_type == "MatMul" for name in node.input}
    softmaxes = {node.output[0] for node in graph.graph.node if node.op_type == "Softmax"}
    additions = {node.output[0] for node in graph.graph.node if node.op_type == "Add"}
    assert {(zero(found, name).dtype, int(zero(found, name))) for name in products} == {
        (np.dtype(np.int8), 0)
    }
    assert {zero(found, name).dtype for name in softmaxes} == {np.dtype(np.int8)}
    assert {zero(found, name).dtype for name in additions} == {np.dtype(np.uint8)}


def test_what_only_moves_values_keeps_their_parameters(
    graph: onnx.ModelProto, calibration: quantize.Calibration
):
    found = Graph(quantize.quantize(calibration))
    scales = [
        [found.constant(f"{name}_rounded_scale") for name in (node.input[0], *node.output)]
        for node in graph.graph.node
        if node.op_type in {"Reshape", "Split", "Transpose"}
    ]
    assert len(scales) > 100 and all(len(set(map(float, of_one))) == 1 for of_one in scales)


def test_nothing_is_rounded_between_a_convolution_and_its_relu(calibration: quantize.Calibration):
    found = Graph(quantize.quantize(calibration))
    behind = [found.writer[node.input[0]].op_type for node in found.nodes if node.op_type == "Relu"]
    assert behind.count("Conv") > 20 and set(behind) == {"Conv", "DequantizeLinear"}


def test_without_statistics_only_weights_are_rounded(graph: onnx.ModelProto):
    written = Graph(quantize.quantize(quantize.Calibration(graph, stats={}))).operators
    weighted = [node for node in graph.graph.node if node.op_type in quantize.WEIGHTED]
    assert (written["QuantizeLinear"], written["DequantizeLinear"]) == (0, len(weighted))


def test_weights_have_a_scale_per_channel(graph: onnx.ModelProto, calibration: quantize.Calibration):
    found, exact = Graph(quantize.quantize(calibration)), Graph(graph)
    convolution = exact.nodes[0]
    name, bias = (f"{entry}_rounded_for_{convolution.name}" for entry in convolution.input[1:])
    kernel = exact.constant(convolution.input[1])
    expected = (np.abs(kernel).max(axis=(1, 2, 3)) / 127.5).astype(np.float32)
    assert np.array_equal(found.constant(f"{name}_scale"), expected)
    codes = found.constant(f"{name}_codes")
    assert codes.dtype == np.int8
    assert np.abs(codes * expected[:, None, None, None] - kernel).max() <= expected.max() * 0.5001
    assert found.constant(f"{bias}_codes").dtype == np.int32
    assert np.allclose(found.constant(f"{bias}_scale"), expected * found.constant("input_rounded_scale"))


def test_fewer_bits_are_noisier_and_no_node_is_exact(
    graph: onnx.ModelProto, calibration: quantize.Calibration
):
    everything = {node.name for node in graph.graph.node}
    choices = ({}, {"int16_nodes": everything}, {"nodes": []})
    exact = simulate.logits(graph, PICTURES)
    eight, sixteen, none = (
        nsr(simulate.logits(quantize.quantize(calibration, **choice), PICTURES), exact) for choice in choices
    )
    assert none < 1e-9 < sixteen < 0.9 * eight < 0.09


def test_a_tensor_is_as_wide_as_the_operator_that_writes_it(
    graph: onnx.ModelProto, calibration: quantize.Calibration
):
    first = {node.op_type: node for node in reversed(graph.graph.node)}
    softmax, add = first["Softmax"], first["Add"]
    found = quantize.quantize(calibration, int16_nodes=[softmax.name, add.name])
    assert zero(found, softmax.output[0]).dtype == np.int16  # read by a product: signed
    assert zero(found, softmax.input[0]).dtype == np.uint8
    assert zero(found, add.output[0]).dtype == np.uint16


def test_only_the_chosen_nodes_are_rounded(graph: onnx.ModelProto, calibration: quantize.Calibration):
    head = next(node for node in graph.graph.node if node.op_type == "Gemm")
    found = quantize.quantize(calibration, nodes=[head.name])
    written = {node.output[0] for node in found.graph.node if node.op_type == "DequantizeLinear"}
    weight, bias = (f"{name}_rounded_for_{head.name}" for name in head.input[1:])
    assert written == {f"{head.input[0]}_rounded", "logits", weight, bias}


def test_the_file_keeps_its_ends_its_version_and_its_metadata(
    graph: onnx.ModelProto, calibration: quantize.Calibration
):
    found = quantize.quantize(calibration)
    onnx.checker.check_model(found)
    assert found.ir_version == graph.ir_version
    read = {name for node in found.graph.node for name in node.input}
    assert {entry.name for entry in found.graph.initializer} <= read
    assert Graph(found).ends == Graph(graph).ends
    model = small(node("Relu"), shape=[1, 2])
    helper.set_model_props(model, {"board_input": "bgr"})
    assert {entry.key: entry.value for entry in rounded(model).model.metadata_props} == {"board_input": "bgr"}


def test_a_toy_by_hand():
    """Two constants, one addition: 8-bit codes worked out on paper."""
    toy = small(node("Add", ["input", "half"]), shape=[1, 2], half=np.array([0.5, -0.5], np.float32))
    values = np.array([[0.0, 2.55]], np.float32)
    found = simulate.logits(quantize.quantize(quantize.calibrate(toy, [values])), [values])
    # input on steps of 0.01; out seen over [0.5, 2.05], widened to 0, so on steps of 2.05 / 255
    step = 2.05 / 255
    assert found == pytest.approx(np.rint(np.array([[0.5, 2.05]]) / step) * step, abs=1e-3)


@pytest.mark.parametrize("operator", ["Add", "Mul", "Sub", "Div"])
@pytest.mark.parametrize(("values", "step", "at"), [([-1, 3], 4, 64), ([1, 3], 3, 0), ([-3, -1], 3, 255)])
def test_a_constant_is_rounded_over_its_values_and_zero(
    operator: str, values: list[float], step: float, at: int
):
    found = rounded(small(node(operator, ["input", "c"]), shape=[1, 2], c=np.array(values, np.float32)))
    assert reads(found, "it") == ["input_rounded", "c_rounded_for_it"]
    assert found.constant("c_rounded_for_it_scale") == np.float32(step / 255)
    assert found.constant("c_rounded_for_it_zero") == at


@pytest.mark.parametrize("shared", ["input", "made"])
def test_what_two_read_is_rounded_for_the_chosen_one_only(shared: str):
    nodes = [
        helper.make_node("Tanh", ["input"], ["made"], name="before"),
        helper.make_node("Relu", [shared], ["kept"], name="exact"),
        helper.make_node("Sigmoid", [shared], ["squeezed"], name="chosen"),
        helper.make_node("Add", ["kept", "squeezed"], ["logits"], name="behind"),
    ]
    found = rounded(small(*nodes, shape=[1, 2]), nodes=["chosen"])
    assert reads(found, "exact") == [shared] and reads(found, "chosen") == [f"{shared}_rounded"]
    assert reads(found, "behind") == ["kept", "squeezed_rounded"]


def test_a_convolution_with_another_reader_than_its_relu_is_rounded():
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["filtered"], name="conv"),  # and without a bias
        helper.make_node("Relu", ["filtered"], ["kept"], name="relu"),
        helper.make_node("Add", ["filtered", "kept"], ["logits"], name="add"),
    ]
    found = rounded(small(*nodes, shape=[1, 1, 2, 2], w=np.ones((1, 1, 1, 1), np.float32)))
    assert reads(found, "conv") == ["input_rounded", "w_rounded_for_conv"]
    assert reads(found, "relu") == ["filtered_rounded"]


def product(*activation: onnx.NodeProto, kind: str = "Conv") -> Graph:
    """A convolution of "input" to "y", and what follows it up to "output"."""
    weight = np.ones((2, 2) if kind == "Gemm" else (2, 2, 1, 1), np.float32)
    first = helper.make_node(kind, ["input", "w"], ["y"], name="first")
    shape = [1, 2] if kind == "Gemm" else [1, 2, 3, 3]
    return Graph(
        small(first, *activation, opset=14, shape=shape, w=weight, slope=np.full((1, 1, 1), 0.1, np.float32))
    )


def of(kind: str, *reads: str, to: str = "logits") -> onnx.NodeProto:
    return helper.make_node(kind, list(reads), [to], name=f"{kind} to {to}")


@pytest.mark.parametrize(
    ("found", "within"),
    [
        *((product(of(kind, "y")), {"y"}) for kind in ("Relu", "Clip", "LeakyRelu", "HardSwish")),
        (product(of("PRelu", "y", "slope")), {"y"}),
        *((product(of("Relu", "y"), kind=kind), {"y"}) for kind in ("Gemm", "ConvTranspose")),
        *((product(of(gate, "y", to="g"), of("Mul", "y", "g")), {"y", "g"}) for gate in quantize.GATES),
        (product(of("Sigmoid", "y", to="g"), of("Mul", "input", "g")), set()),  # squeeze and excitation
        (product(of("Sigmoid", "y", to="g"), of("Mul", "y", "g", to="m"), of("Add", "m", "g")), set()),
        (product(of("Tanh", "y")), set()),
        (product(of("Relu", "y", to="r"), of("Add", "y", "r")), set()),
    ],
)  # fmt: skip
def test_an_activation_is_a_part_of_the_product_before_it(found: Graph, within: set[str]):
    assert quantize.inside(found) == within
    model = quantize.quantize(quantize.calibrate(found.model, [np.ones(found.ends["input"], np.float32)]))
    twins = {name for name in ("y", "g") if f"{name}_rounded" in Graph(model).writer}
    assert not twins & within


def test_an_operator_without_a_rule_is_named_before_anything_runs():
    with pytest.raises(ValueError, match=r"no rule says how ArgMax, Floor rounds"):
        quantize.calibrate(small(of("Floor", "input", to="f"), of("ArgMax", "f")), [])


def test_a_relu_on_the_input_itself_reads_it_rounded():
    assert reads(rounded(small(node("Relu"), shape=[1, 2])), "it") == ["input_rounded"]


@pytest.mark.parametrize("transposed", [0, 1])
def test_the_channels_of_a_head_are_its_outputs_however_its_weight_lies(transposed: int):
    weight = np.array([[1, 10], [2, -20]], np.float32)  # [in, out]: outputs up to 2 and 20
    stored = weight.T if transposed else weight
    found = rounded(small(node("Gemm", ["input", "w"], transB=transposed), shape=[1, 2], w=stored))
    assert found.constant("w_rounded_for_it_scale") == pytest.approx([2 / 127.5, 20 / 127.5])


def test_codes_reach_from_the_smallest_to_the_largest_and_no_further():
    weight, bias = np.array([[-127.5, 1], [1, 127.5]]), np.array([-1e12, 1e12])
    gemm = node("Gemm", ["input", "w", "b"])
    found = rounded(small(gemm, shape=[1, 2], w=weight.astype(np.float32), b=bias.astype(np.float32)))
    assert found.constant("w_rounded_for_it_codes").tolist() == [[-128, 1], [1, 127]]
    assert found.constant("b_rounded_for_it_codes").tolist() == [-(2**31), 2**31 - 1]


def test_a_product_with_a_constant_is_no_product_of_activations():
    found = rounded(small(node("MatMul", ["input", "w"]), shape=[2, 2], w=np.eye(2, dtype=np.float32)))
    assert zero(found.model, "input").dtype == np.uint8
