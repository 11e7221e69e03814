"""What a graph holds: work, parameters, traffic."""

import numpy as np
import pytest
from onnx import helper
from small_graphs import graph, node

from helpers.graph.convert import simplify, to_onnx
from helpers.graph.cost import GraphCost, activation_bytes, graph_cost
from helpers.graph.fold import fold
from helpers.model.cost import cost, total
from helpers.model.variants import VARIANTS
from helpers.model.weights import init_model

WEIGHT = np.ones((4, 3, 3, 3), np.float32)


@pytest.mark.parametrize("name", [*VARIANTS][::5])  # the smallest and the largest
def test_a_file_counts_as_its_model_does(name: str):
    model = init_model(name)
    folded = fold(model)
    found = graph_cost(simplify(to_onnx(folded)))
    counted = total(cost(model))
    assert found.macs == counted.macs
    assert found.parameters == sum(parameter.numel() for parameter in folded.parameters())
    assert found.parameters == pytest.approx(counted.parameters, rel=0.01)


def test_macs_are_for_one_image_of_the_batch():
    model = fold(init_model("efficientvit_m0"))
    assert len({graph_cost(simplify(to_onnx(model, batch=batch))) for batch in (1, 8)}) == 1


@pytest.mark.parametrize(
    ("operator", "attributes", "weight", "expected"),
    [
        ("Conv", {"pads": [1, 1, 1, 1]}, WEIGHT, GraphCost(64 * 4 * 27, 108)),
        ("Conv", {"pads": [1, 1, 1, 1], "group": 3}, WEIGHT[:3, :1], GraphCost(64 * 3 * 9, 27)),
        ("ConvTranspose", {}, WEIGHT[:3], GraphCost(64 * 3 * 27, 81)),
        ("MatMul", {}, np.ones((8, 5), np.float32), GraphCost(3 * 8 * 5 * 8, 40)),
    ],
)
def test_each_operator_by_hand(operator, attributes, weight, expected):
    outs = {"Conv": [1, weight.shape[0], 8, 8], "ConvTranspose": [1, 3, 10, 10], "MatMul": [1, 3, 8, 5]}
    made = graph(node(operator, ["input", "w"], **attributes), out=outs[operator], w=weight)
    assert graph_cost(made) == expected


def test_a_product_sums_over_the_inner_dimension_however_it_is_stored():
    made = graph(
        node("Gemm", ["input", "w", "b"], transA=1),
        shape=[6, 2],
        out=[2, 5],
        w=np.ones((6, 5), np.float32),
        b=np.ones(5, np.float32),
    )
    assert graph_cost(made).macs * 6 == 2 * 5 * 6  # the first dimension is taken as the batch
    assert graph_cost(made).parameters == 35


def test_a_quantised_weight_is_still_a_parameter_and_its_scale_is_none():
    made = graph(
        helper.make_node("DequantizeLinear", ["w", "scale"], ["float"]),
        node("Conv", ["input", "float"], pads=[1, 1, 1, 1]),
        opset=13,
        out=[1, 4, 8, 8],
        w=WEIGHT.astype(np.int8),
        scale=np.float32(0.1),
    )
    assert graph_cost(made) == GraphCost(64 * 4 * 27, 108)


def test_an_unknown_shape_and_an_uncounted_operator_are_refused():
    with pytest.raises(ValueError, match="fixed batch"):
        graph_cost(graph(node("Conv", ["input", "w"]), shape=["n", 3, 8, 8], out=["n", 4, 6, 6], w=WEIGHT))
    with pytest.raises(ValueError, match="Einsum is not counted"):
        graph_cost(graph(node("Einsum", equation="nchw->nchw")))


def test_equal_tensors_that_are_written_once_count_for_each_reader():
    first = helper.make_node("Conv", ["input", "w"], ["once"], pads=[1, 1, 1, 1])
    made = graph(first, node("Conv", ["once", "w"], pads=[1, 1, 1, 1]), w=WEIGHT[:3])
    assert graph_cost(made).parameters == 162


def test_what_the_nodes_write_is_counted_in_bytes_without_constants():
    constant = helper.make_node("Constant", [], ["c"], value_float=1.0)
    cast = helper.make_node("Cast", ["input"], ["half"], to=10)
    made = graph(constant, cast, node("Add", ["input", "c"]), opset=13)
    assert activation_bytes(made) == 192 * 2 + 192 * 4
    with pytest.raises(ValueError, match="logits"):
        activation_bytes(graph(node("Relu"), shape=["n", 3, 8, 8]))
