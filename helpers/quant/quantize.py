"""INT8 on paper: the graph with Pulsar2's rounding written into it, for ONNX Runtime to run.

The convention, measured by a third party on builds of Pulsar2 7.0 (onnxsim/onnxsim,
docs/axera-pulsar-free-calibration.md; 16 bits: scripts/axera/u16_chain.py):

- activations U8, one scale and zero point per tensor, asymmetric; so are the constants that Add, Sub, Mul
  and Div read
- weights S8, one scale per output channel, symmetric
- both operands of a product of two activations S8, symmetric; the softmax output is one of them
- what only moves values (Reshape, Transpose, Split, …) keeps the parameters of the tensor it reads
- a ReLU after a convolution is part of it, so nothing is rounded between the two
- at 16 bits: S16 where 8 bits are S8, U16 elsewhere; weights stay S8

Assumed, because nothing documents it: a tensor is as wide as the operator that writes it; the output of a
Concat (a standalone one stays float in that source), of a mean, of a Resize and of all of OWN has parameters
of its own; the largest of some values (MaxPool) has theirs; the other ACTIVATIONS, and x · GATE(x), are part
of the convolution or matrix before them like a ReLU (`python -m helpers second-opinion`: EfficientNet-Lite0,
whose convolutions end in Clip, keeps its answer on 80 % of 70 cuts of photographs so, and on 54 % with
rounding before the Clip). A graph with an operator that has no rule is refused.

ONNX Runtime's own quantiser is a second opinion only (`second_opinion`): it has no rule for what shares
parameters or is signed. ONNX Runtime runs the result; the Q and DQ operators are its contrib ones, which know
16 bits and channels at any opset.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from helpers.graph.graph import Graph, input_of
from helpers.quant import NoRule
from helpers.quant.params import NUMPY, WEIGHT_TOP, Codes, DType, Method, QuantParams, Values
from helpers.quant.statistics import TensorStats, clip_range, collect_stats

MOVING = frozenset([
    *("DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Reshape"),
    *("Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"),
])  # fmt: skip
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm"})
ACTIVATIONS = frozenset({"Clip", "HardSwish", "LeakyRelu", "PRelu", "Relu"})
GATES = frozenset({"HardSigmoid", "Sigmoid"})
OWN = frozenset([
    *("Abs", "Add", "AveragePool", "BatchNormalization", "Concat", "Cos", "Div", "Elu", "Erf", "Exp", "Gelu"),
    *("GlobalAveragePool", "GlobalMaxPool", "LayerNormalization", "Log", "MatMul", "Max", "Min", "Mul"),
    *("Neg", "Pow", "ReduceMax", "ReduceMean", "ReduceSum", "Resize", "Sin", "Softmax", "Softplus", "Sqrt"),
    *("Sub", "Tanh"),
])  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """A graph and what its tensors held on the calibration pictures."""

    graph: onnx.ModelProto
    stats: dict[str, TensorStats]
    weight_top: float = WEIGHT_TOP

    @cached_property
    def layout(self) -> "_Layout":
        """The graph's look-ups, and its weights in codes, which every way to quantise it has in common."""
        return _Layout(self.graph, self.weight_top)


def calibrate(
    graph: onnx.ModelProto,
    pictures: Sequence[Values],
    *,
    histograms: bool = False,
    weight_top: float = WEIGHT_TOP,
) -> Calibration:
    """Runs `pictures` (float32 [1, 3, h, w] each) through `graph` with its weights already rounded.

    As Pulsar2 does (the same source, "Rules"). Methods other than MinMax need `histograms`; `weight_top` is
    that of `QuantParams.per_channel`. Raises ValueError without a picture, and NoRule for a graph with an
    operator that has no rule here.
    """
    weights_only = Calibration(graph, {}, weight_top)
    layout = weights_only.layout
    known = MOVING | WEIGHTED | ACTIVATIONS | GATES | OWN | {"Constant"}
    if unknown := sorted(kind for kind in layout.operators if kind not in known):
        raise NoRule(
            f"no rule says how {', '.join(unknown)} rounds in INT8: simplify the graph, or cut it before them"
        )
    sources = sorted({layout.source[name] for name in layout.rounded})
    stats = collect_stats(quantize(weights_only), pictures, sources, histograms=histograms)
    return replace(weights_only, stats=stats)


def quantize(
    calibration: Calibration,
    *,
    method: Method = "MinMax",
    nodes: Collection[str] | None = None,
    int16_nodes: Collection[str] = (),
) -> onnx.ModelProto:
    """The graph with INT8 rounding around the named `nodes`; None means all.

    What the nodes in `int16_nodes` write gets 16 bits; what has no statistics stays exact, so that a
    calibration without any rounds weights only. The tensor after rounding is called `NAME_rounded`.
    """
    layout = calibration.layout
    int16 = {name for node in layout.nodes if node.name in int16_nodes for name in node.output}
    kept = {source: clip_range(stats, method) for source, stats in calibration.stats.items()}
    params = {}
    for name in layout.rounded:
        if (source := layout.source[name]) in kept:
            sign = "S" if source in layout.operands else "U"
            dtype: DType = f"{sign}{16 if source in int16 else 8}"  # type: ignore[assignment]
            params[name] = QuantParams.over(kept[source], dtype)
    return _write(layout, params, nodes)


def inside(graph: Graph) -> set[str]:
    """The tensors between a convolution or matrix and the activation that is a part of it."""
    found, outputs = set[str](), {value.name for value in graph.outputs}
    for node in graph.nodes:
        product, readers = node.output[0], graph.readers[node.output[0]]
        if node.op_type not in WEIGHTED or product in outputs:
            continue
        kinds = {reader.op_type: reader.output[0] for reader in readers}
        if len(readers) == 1 and kinds.keys() <= ACTIVATIONS:
            found.add(product)
        elif len(readers) == 2 and "Mul" in kinds and (gate := next(iter(GATES & kinds.keys()), None)):
            factors = graph.writer[kinds["Mul"]].input
            if set(factors) == {product, kinds[gate]} and len(graph.readers[kinds[gate]]) == 1:
                found |= {product, kinds[gate]}
    return found


class _Layout(Graph):
    """A graph, and which of its tensors share their parameters."""

    def __init__(self, model: onnx.ModelProto, weight_top: float) -> None:
        super().__init__(model)
        self._weight_top = weight_top
        self._weights: dict[tuple[str, int], tuple[QuantParams, onnx.TensorProto]] = {}
        # tensor → the one whose values it holds, moved about
        self.source: dict[str, str] = {value.name: value.name for value in self.inputs}
        for node in self.nodes:
            for name in node.output:
                self.source[name] = self.source.get(node.input[0], name) if node.op_type in MOVING else name

    def weight(self, name: str, axis: int) -> tuple[QuantParams, onnx.TensorProto]:
        """A weight's parameters along its output channels, and its codes."""
        if (name, axis) not in self._weights:
            values = numpy_helper.to_array(self.constants[name])
            params = QuantParams.per_channel(values, axis=axis, top=self._weight_top)
            self._weights[name, axis] = params, numpy_helper.from_array(params.quantize(values))
        return self._weights[name, axis]

    @cached_property
    def rounded(self) -> list[str]:
        """Tensors that are rounded: all but those inside a product that its activation is a part of."""
        fixed = inside(self) | self.constants.keys()  # a constant is rounded with what reads it
        return [name for name in self.source if name not in fixed]

    @cached_property
    def operands(self) -> set[str]:
        """Sources of what products of two activations read."""
        products = (node for node in self.nodes if node.op_type == "MatMul")
        return {
            self.source[name]
            for node in products
            if not any(name in self.constants for name in node.input)
            for name in node.input
        }


def _write(
    layout: _Layout, params: Mapping[str, QuantParams], chosen: Collection[str] | None
) -> onnx.ModelProto:
    """The graph with Q and DQ operators around the chosen nodes, and their weights in codes."""
    writing = _Writing(layout.model)
    within = {node.name for node in layout.nodes if chosen is None or node.name in chosen}
    outputs = {value.name for value in layout.outputs}
    rounded: set[str] = set()
    for value in layout.inputs:
        if value.name in params and any(node.name in within for node in layout.readers[value.name]):
            writing.round(value.name, f"{value.name}_rounded", params[value.name])
            rounded.add(value.name)
    for node in layout.nodes:
        written = onnx.NodeProto()
        written.CopyFrom(node)
        inside = node.name in within
        for index, name in enumerate(node.input):
            by_us = name in layout.writer and layout.writer[name].name in within
            if name in rounded and (inside or by_us):
                written.input[index] = f"{name}_rounded"
        if inside:
            _round_constants(writing, layout, node, written, params)
        writing.nodes.append(written)
        for index, name in enumerate(node.output):
            if name in params and (inside or any(reader.name in within for reader in layout.readers[name])):
                rounded.add(name)
                if name in outputs:  # the graph's own output keeps its name
                    written.output[index] = f"{name}_exact"
                    writing.round(f"{name}_exact", name, params[name])
                else:
                    writing.round(name, f"{name}_rounded", params[name])
    return writing.finish()


def _round_constants(
    writing: "_Writing",
    layout: _Layout,
    node: onnx.NodeProto,
    written: onnx.NodeProto,
    params: Mapping[str, QuantParams],
) -> None:
    """Weights, biases and other constants of one node, as Pulsar2 rounds them."""
    if node.op_type in WEIGHTED:
        outward = 0 if node.op_type == "Conv" or layout.attribute(node, "transB") else 1
        of_weights, codes = layout.weight(node.input[1], outward)
        writing.constant(written, 1, codes, of_weights)
        bias = layout.constant(input_of(node, 2))
        if bias is not None and node.input[0] in params:  # 32 bits, in the units of the sum of products
            units = QuantParams("S32", of_weights.scale * params[node.input[0]].scale, axis=0)
            writing.constant(written, 2, units.quantize(bias.astype(np.float64)), units)
    elif node.op_type in ("Add", "Mul", "Sub", "Div") and params:
        for index, name in enumerate(node.input):
            if (values := layout.constant(name)) is not None:
                ends = (min(float(values.min()), 0.0), max(float(values.max()), 0.0))
                of_constant = QuantParams.over(ends, "U8")
                writing.constant(written, index, of_constant.quantize(values), of_constant)


class _Writing:
    """The graph being written: nodes in order, constants by name."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._graph = graph
        self._new: dict[str, onnx.TensorProto | npt.NDArray[Any]] = {}  # weights, and what parameters decide

    def round(self, exact: str, rounded: str, params: QuantParams) -> None:
        """`rounded`: the values of `exact` that `params` can hold."""
        stored = self._parameters(rounded, params)
        self._operator("QuantizeLinear", [exact, *stored], f"{rounded}_codes")
        self._operator("DequantizeLinear", [f"{rounded}_codes", *stored], rounded)

    def constant(
        self, node: onnx.NodeProto, index: int, codes: onnx.TensorProto | Codes, params: QuantParams
    ) -> None:
        """Puts `codes` where `node` reads a constant."""
        name = f"{node.input[index]}_rounded_for_{node.name}"  # a bias shared by two nodes has two scales
        inputs = [self._keep(f"{name}_codes", codes), *self._parameters(name, params)]
        self._operator("DequantizeLinear", inputs, name, axis=params.axis)
        node.input[index] = name

    def finish(self) -> onnx.ModelProto:
        """The model, with only the constants that it reads."""
        graph, read = self._graph.graph, {name for node in self.nodes for name in node.input}
        kept = [entry for entry in graph.initializer if entry.name in read]
        model = helper.make_model(
            helper.make_graph(self.nodes, graph.name, graph.input, graph.output, kept),
            ir_version=self._graph.ir_version,
            opset_imports=[*self._graph.opset_import, helper.make_opsetid("com.microsoft", 1)],
        )
        model.metadata_props.extend(self._graph.metadata_props)
        for name in filter(read.__contains__, self._new):
            tensor, written = self._new[name], model.graph.initializer.add()
            written.CopyFrom(numpy_helper.from_array(tensor) if isinstance(tensor, np.ndarray) else tensor)
            written.name = name  # codes that several nodes or graphs read have no name of their own
        return model

    def _parameters(self, name: str, params: QuantParams) -> list[str]:
        zeros = np.full(params.scale.shape, params.zero_point, NUMPY[params.dtype])
        stored = {"scale": np.asarray(params.scale), "zero": zeros}
        return [self._keep(f"{name}_{part}", values) for part, values in stored.items()]

    def _keep(self, name: str, tensor: onnx.TensorProto | npt.NDArray[Any]) -> str:
        self._new[name] = tensor
        return name

    def _operator(self, kind: str, inputs: list[str], output: str, *, axis: int | None = None) -> None:
        name = f"{output}/{kind}"  # an axis of None is no attribute
        self.nodes.append(helper.make_node(kind, inputs, [output], name, domain="com.microsoft", axis=axis))
