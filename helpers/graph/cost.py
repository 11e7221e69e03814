"""The work that an ONNX file holds: multiply-accumulates and parameters, and what its operators write."""

import math
from typing import NamedTuple

import onnx

from helpers.graph.graph import STANDARD, Graph

_PASS_ON = ("DequantizeLinear", "Identity", "Transpose", "Reshape", "Cast")  # a weight stays that weight
_NOT_COUNTED = {"Einsum", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "Attention"}
_NOT_COUNTED |= {"If", "Loop", "Scan", "LSTM", "GRU", "RNN"}


class GraphCost(NamedTuple):
    """`macs` of one image; `parameters` are the weights and biases of convolutions and matrix products."""

    macs: int
    parameters: int


def graph_cost(model: onnx.ModelProto) -> GraphCost:
    """Counts a graph with static shapes; the MACs of its batch are divided by the batch.

    MACs equal PyTorch's own count (`helpers.model.cost`). Parameters are those of the graph: a folded one has
    up to 0.7 % fewer than the model it came from. A tensor read twice counts twice: exporters write equal
    ones once, such as the zeros of a fresh model. Raises ValueError where a shape is unknown or an operator
    multiplies in a way that is not counted.
    """
    graph, macs, parameters = Graph(model), 0, 0
    for node in graph.nodes:
        if node.op_type in _NOT_COUNTED or node.domain not in STANDARD:
            raise ValueError(f"{node.op_type} is not counted: give the float graph, before quantisation")
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        first, second, made = (graph.static_shape(name) for name in (*node.input[:2], node.output[0]))
        if node.op_type == "ConvTranspose":
            macs += math.prod(first) * math.prod(second[1:])
        elif node.op_type == "Conv":
            macs += math.prod(made) * math.prod(second[1:])
        else:  # one sum over the inner dimension for each element made
            transposed = node.op_type == "Gemm" and graph.attribute(node, "transA")
            macs += math.prod(made) * (first[0] if transposed else first[-1])
        for name in node.input:
            while (maker := graph.writer.get(name)) is not None and maker.op_type in _PASS_ON:
                name = maker.input[0]
            if name in graph.constants:
                parameters += math.prod(graph.static_shape(name))
    batch = graph.static_shape(graph.inputs[0].name)[0]
    return GraphCost(macs // batch, parameters)


def activation_bytes(model: onnx.ModelProto) -> int:
    """Bytes of all tensors that the graph's nodes write, Constants apart: the traffic that folds save.

    Raises ValueError where a shape is not known: simplify the graph, with a static batch, first.
    """
    graph, total = Graph(model), 0
    for node in graph.nodes:
        for name in node.output if node.op_type != "Constant" else ():
            sizes, kind = graph.static_shape(name), graph.element_type(name)
            assert kind is not None  # inference finds it with the shape
            total += math.prod(sizes) * kind.itemsize
    return total
