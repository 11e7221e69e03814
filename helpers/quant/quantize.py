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

Assumed, because nothing documents it: a tensor is as wide as the operator that writes it, and the output of
a Concat has parameters of its own.

ONNX Runtime's own quantiser is not used: it has no rule for what shares parameters or is signed. It runs the
result; the Q and DQ operators are its contrib ones, which know 16 bits and channels at any opset.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from helpers.graph.graph import Graph
from helpers.quant.params import NUMPY, DType, Method, QuantParams, Values
from helpers.quant.statistics import TensorStats, clip_range, collect_stats

MOVING = frozenset({"Flatten", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
WEIGHTED = frozenset({"Conv", "Gemm"})


@dataclass(frozen=True)
class Calibration:
    """A graph and what its tensors held on the calibration pictures."""

    graph: onnx.ModelProto
    stats: dict[str, TensorStats]


def calibrate(graph: onnx.ModelProto, pictures: Sequence[Values], *, histograms: bool = False) -> Calibration:
    """Runs `pictures` (float32 [1, 3, h, w] each) through `graph` with its weights already rounded.

    As Pulsar2 does (the same source, "Rules"). Methods other than MinMax need `histograms`. Raises
    ValueError without a picture.
    """
    layout = _Layout(graph)
    sources = sorted({layout.source[name] for name in layout.rounded})
    weights_rounded = _write(layout, {}, None)
    return Calibration(graph, collect_stats(weights_rounded, pictures, sources, histograms=histograms))


def quantize(
    calibration: Calibration,
    *,
    method: Method = "MinMax",
    nodes: Collection[str] | None = None,
    int16_nodes: Collection[str] = (),
) -> onnx.ModelProto:
    """The graph with INT8 rounding around the named `nodes`; None means all.

    What the nodes in `int16_nodes` write gets 16 bits. The tensor after rounding is called `NAME_rounded`.
    """
    layout = _Layout(calibration.graph)
    int16 = {name for node in layout.nodes if node.name in int16_nodes for name in node.output}
    kept = {source: clip_range(stats, method) for source, stats in calibration.stats.items()}
    params = {}
    for name in layout.rounded:
        source = layout.source[name]
        sign = "S" if source in layout.operands else "U"
        dtype: DType = f"{sign}{16 if source in int16 else 8}"  # type: ignore[assignment]
        params[name] = QuantParams.over(kept[source], dtype)
    return _write(layout, params, nodes)


class _Layout(Graph):
    """A graph, and which of its tensors share their parameters."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model)
        # tensor → the one whose values it holds, moved about
        self.source: dict[str, str] = {value.name: value.name for value in self.inputs}
        for node in self.nodes:
            for name in node.output:
                self.source[name] = self.source[node.input[0]] if node.op_type in MOVING else name

    @cached_property
    def rounded(self) -> list[str]:
        """Tensors that are rounded: all but those between a convolution and its ReLU."""
        behind = {name for name, node in self.writer.items() if node.op_type == "Conv"}
        only_reader = {name: nodes[0].op_type for name, nodes in self.readers.items() if len(nodes) == 1}
        return [name for name in self.source if name not in behind or only_reader.get(name) != "Relu"]

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
    graph: Graph,
    node: onnx.NodeProto,
    written: onnx.NodeProto,
    params: Mapping[str, QuantParams],
) -> None:
    """Weights, biases and other constants of one node, as Pulsar2 rounds them."""
    constants: dict[int, Values] = {
        index: values for index, name in enumerate(node.input) if (values := graph.constant(name)) is not None
    }
    if node.op_type in WEIGHTED:
        weights = constants[1]
        outward = 0 if node.op_type == "Conv" or graph.attribute(node, "transB") else 1
        of_weights = QuantParams.per_channel(weights, axis=outward)
        writing.constant(written, 1, weights, of_weights)
        if 2 in constants and node.input[0] in params:  # 32 bits, in the units of the sum of products
            scales = of_weights.scale * params[node.input[0]].scale
            writing.constant(written, 2, constants[2].astype(np.float64), QuantParams("S32", scales, axis=0))
    elif node.op_type in ("Add", "Mul", "Sub", "Div") and params:
        for index, values in constants.items():
            ends = (min(float(values.min()), 0.0), max(float(values.max()), 0.0))
            writing.constant(written, index, values, QuantParams.over(ends, "U8"))


class _Writing:
    """The graph being written: nodes in order, constants by name."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._graph = graph
        self._new: dict[str, onnx.TensorProto] = {}

    def round(self, exact: str, rounded: str, params: QuantParams) -> None:
        """`rounded`: the values of `exact` that `params` can hold."""
        stored = self._parameters(rounded, params)
        self._operator("QuantizeLinear", [exact, *stored], f"{rounded}_codes")
        self._operator("DequantizeLinear", [f"{rounded}_codes", *stored], rounded)

    def constant(
        self, node: onnx.NodeProto, index: int, values: npt.NDArray[np.floating], params: QuantParams
    ) -> None:
        """Puts a constant that `node` reads into codes."""
        name = f"{node.input[index]}_rounded_for_{node.name}"  # a bias shared by two nodes has two scales
        inputs = [self._store(f"{name}_codes", params.quantize(values)), *self._parameters(name, params)]
        self._operator("DequantizeLinear", inputs, name, axis=params.axis)
        node.input[index] = name

    def finish(self) -> onnx.ModelProto:
        """The model, with only the constants that it reads."""
        graph, read = self._graph.graph, {name for node in self.nodes for name in node.input}
        kept = [entry for entry in (*graph.initializer, *self._new.values()) if entry.name in read]
        model = helper.make_model(
            helper.make_graph(self.nodes, graph.name, graph.input, graph.output, kept),
            ir_version=self._graph.ir_version,
            opset_imports=[*self._graph.opset_import, helper.make_opsetid("com.microsoft", 1)],
        )
        model.metadata_props.extend(self._graph.metadata_props)
        return model

    def _parameters(self, name: str, params: QuantParams) -> list[str]:
        zeros = np.full(params.scale.shape, params.zero_point, NUMPY[params.dtype])
        return [self._store(f"{name}_scale", params.scale), self._store(f"{name}_zero", zeros)]

    def _store(self, name: str, values: object) -> str:
        self._new[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def _operator(self, kind: str, inputs: list[str], output: str, *, axis: int | None = None) -> None:
        name = f"{output}/{kind}"  # an axis of None is no attribute
        self.nodes.append(helper.make_node(kind, inputs, [output], name, domain="com.microsoft", axis=axis))
