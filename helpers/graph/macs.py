"""The work that an ONNX file holds: multiply-accumulates and parameters, as the forecast wants them."""

import math
from dataclasses import dataclass

import onnx

from helpers.pulsar2.operators import Graph, Shape

_PASS_ON = ("DequantizeLinear", "Identity", "Transpose", "Reshape", "Cast")  # a weight stays that weight
_NOT_COUNTED = ("Einsum", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "Attention")
_NESTED = ("If", "Loop", "Scan", "LSTM", "GRU", "RNN")


@dataclass(frozen=True)
class GraphCost:
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
    shapes, macs, parameters = Graph(model), 0, 0
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in (*_NOT_COUNTED, *_NESTED) or node.domain not in ("", "ai.onnx"):
            raise ValueError(f"{node.op_type} is not counted: give the float graph, before quantisation")
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        first, second, made = (_known(shapes, name) for name in (*node.input[:2], node.output[0]))
        if node.op_type == "ConvTranspose":
            macs += math.prod(first) * math.prod(second[1:])
        elif node.op_type == "Conv":
            macs += math.prod(made) * math.prod(second[1:])
        else:  # one sum over the inner dimension for each element made
            transposed = node.op_type == "Gemm" and shapes.attribute(node, "transA")
            macs += math.prod(made) * (first[0] if transposed else first[-1])
        for name in node.input:
            while (maker := makers.get(name)) is not None and maker.op_type in _PASS_ON:
                name = maker.input[0]
            if name and shapes.is_constant(name):
                parameters += math.prod(_known(shapes, name))
    batch = _known(shapes, model.graph.input[0].name)[0]
    return GraphCost(macs // batch, parameters)


def _known(shapes: Graph, name: str) -> tuple[int, ...]:
    shape: Shape | None = shapes.shape(name)
    if shape is None or not all(shape):
        raise ValueError(
            f"the shape of {name} is not known: export with a fixed batch and simplify the graph"
        )
    return tuple(size for size in shape if size)
