"""INT8 on paper: the graph with Pulsar2's rounding written into it, for ONNX Runtime to run.

The convention, measured by a third party on builds of Pulsar2 7.0 (onnxsim/onnxsim,
docs/axera-pulsar-free-calibration.md; 16 bits: scripts/axera/u16_chain.py):

- activations U8, one grid per tensor, asymmetric; constants that Add, Sub, Mul and Div read likewise
- weights S8, one grid per output channel, symmetric
- both operands of a product of two activations S8, symmetric; the softmax output is one of them
- what only moves values (Reshape, Transpose, Split, …) keeps the grid of the tensor it reads
- a ReLU after a convolution is part of it, so nothing is rounded between the two
- at 16 bits: S16 where 8 bits are S8, U16 elsewhere; weights stay S8

Assumed, because nothing documents it: a tensor is as wide as the operator that writes it, and the output of
a Concat has a grid of its own.

ONNX Runtime's own quantiser is not used: it has no rule for what shares a grid or is signed. It runs the
result; the Q and DQ operators are its contrib ones, which know 16 bits and channels at any opset.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from helpers.quant.ranges import Method, Range, Seen, Values, clip, observe

Kind = Literal["U8", "S8", "U16", "S16"]
MOVING = frozenset({"Flatten", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
WEIGHTED = frozenset({"Conv", "Gemm"})
_TOP: dict[Kind, int] = {"U8": 255, "S8": 127, "U16": 65535, "S16": 32767}  # the largest code
_DTYPES: dict[Kind, type[np.integer]] = {"U8": np.uint8, "S8": np.int8, "U16": np.uint16, "S16": np.int16}


@dataclass(frozen=True)
class Grid:
    """The values that a tensor may take: (code - zero_point) · scale for every code of `kind`."""

    kind: Kind
    scale: float
    zero_point: int

    @classmethod
    def over(cls, range_: Range, kind: Kind) -> "Grid":
        """Pulsar2's grid over `range_` (with 0 in it): symmetric for S8 and S16, from end to end else."""
        low, high = range_
        if kind in ("S8", "S16"):
            return cls(kind, float(np.float32(max(-low, high) / (_TOP[kind] + 0.5))) or 1.0, 0)
        scale = float(np.float32((high - low) / _TOP[kind])) or 1.0
        return cls(kind, scale, round(-low / scale))


@dataclass(frozen=True)
class Observed:
    """A graph and what its tensors held on the calibration pictures."""

    graph: onnx.ModelProto
    seen: dict[str, Seen]


def calibrate(graph: onnx.ModelProto, pictures: Sequence[Values]) -> Observed:
    """Runs `pictures` (float32 [1, 3, h, w] each) through `graph` with its weights already rounded.

    As Pulsar2 does (the same source, "Rules"). Raises ValueError without a picture.
    """
    layout = _Layout(graph)
    sources = {layout.source[name] for name in layout.rounded}
    return Observed(graph, observe(_write(layout, {}, None), pictures, sorted(sources)))


def quantize(
    observed: Observed,
    *,
    method: Method = "MinMax",
    nodes: Collection[str] | None = None,
    wide: Collection[str] = (),
) -> onnx.ModelProto:
    """The graph with INT8 rounding around the named `nodes`; None means all.

    What the nodes in `wide` write gets 16 bits. The tensor after rounding is called `NAME_rounded`.
    """
    layout = _Layout(observed.graph)
    wide_sources = {name for node in observed.graph.graph.node if node.name in wide for name in node.output}
    kept = {source: clip(seen, method) for source, seen in observed.seen.items()}
    grids = {}
    for name in layout.rounded:
        source = layout.source[name]
        sign = "S" if source in layout.operands else "U"
        kind: Kind = f"{sign}{16 if source in wide_sources else 8}"  # type: ignore[assignment]
        grids[name] = Grid.over(kept[source], kind)
    return _write(layout, grids, nodes)


class _Layout:
    """Who writes and who reads each tensor of a graph, and which of them share a grid."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self.graph = graph
        self.constants = {entry.name: entry for entry in graph.graph.initializer}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        self.writer: dict[str, onnx.NodeProto] = {}
        for node in graph.graph.node:
            for name in node.output:
                self.writer[name] = node
            for name in node.input:
                if name not in self.constants:
                    self.readers[name].append(node)
        # tensor → the one whose values it holds, moved about
        self.source: dict[str, str] = {value.name: value.name for value in graph.graph.input}
        for node in graph.graph.node:
            for name in node.output:
                self.source[name] = self.source[node.input[0]] if node.op_type in MOVING else name

    @cached_property
    def rounded(self) -> list[str]:
        """Tensors with a grid: all but those between a convolution and its ReLU."""
        return [name for name in self.source if not self._before_relu(name)]

    def _before_relu(self, name: str) -> bool:
        readers = self.readers[name]
        return (
            len(readers) == 1
            and readers[0].op_type == "Relu"
            and name in self.writer
            and self.writer[name].op_type == "Conv"
        )

    @cached_property
    def operands(self) -> set[str]:
        """Sources of what products of two activations read."""
        products = (node for node in self.graph.graph.node if node.op_type == "MatMul")
        return {
            self.source[name]
            for node in products
            if not any(name in self.constants for name in node.input)
            for name in node.input
        }


def _write(layout: _Layout, grids: Mapping[str, Grid], chosen: Collection[str] | None) -> onnx.ModelProto:
    """The graph with Q and DQ operators around the chosen nodes, and their weights on their grids."""
    writing = _Writing(layout.graph)
    within = {node.name for node in layout.graph.graph.node if chosen is None or node.name in chosen}
    outputs = {value.name for value in layout.graph.graph.output}
    rounded: set[str] = set()
    for value in layout.graph.graph.input:
        if value.name in grids and any(node.name in within for node in layout.readers[value.name]):
            writing.round(value.name, f"{value.name}_rounded", grids[value.name])
            rounded.add(value.name)
    for node in layout.graph.graph.node:
        written = onnx.NodeProto()
        written.CopyFrom(node)
        inside = node.name in within
        for index, name in enumerate(node.input):
            by_us = name in layout.writer and layout.writer[name].name in within
            if name in rounded and (inside or by_us):
                written.input[index] = f"{name}_rounded"
        if inside:
            _round_constants(writing, node, written, grids)
        for index, name in enumerate(node.output):
            touched = inside or any(reader.name in within for reader in layout.readers[name])
            if name not in grids or not touched:
                continue
            rounded.add(name)
            if name in outputs:  # the graph's own output keeps its name
                written.output[index] = f"{name}_exact"
                writing.later(f"{name}_exact", name, grids[name])
            else:
                writing.later(name, f"{name}_rounded", grids[name])
        writing.add(written)
    return writing.finish()


def _round_constants(
    writing: "_Writing", node: onnx.NodeProto, written: onnx.NodeProto, grids: Mapping[str, Grid]
) -> None:
    """Weights, biases and other constants of one node, on Pulsar2's grids."""
    constants = writing.constants
    if node.op_type in WEIGHTED:
        weights = numpy_helper.to_array(constants[node.input[1]])
        outward = 0 if node.op_type == "Conv" or _attribute(node, "transB") else 1
        scales = writing.weights(written, weights, outward)
        grid = grids.get(node.input[0])
        if len(node.input) > 2 and grid:
            bias = numpy_helper.to_array(constants[node.input[2]])
            writing.bias(written, bias, (scales * np.float32(grid.scale)).astype(np.float32))
    elif node.op_type in ("Add", "Mul", "Sub", "Div") and grids:
        for index, name in enumerate(node.input):
            if name in constants:
                values = numpy_helper.to_array(constants[name])
                ends = (min(float(values.min()), 0.0), max(float(values.max()), 0.0))
                writing.constant(written, index, values, Grid.over(ends, "U8"))


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((entry.i for entry in node.attribute if entry.name == name), 0)


class _Writing:
    """The graph being written: nodes in order, constants by name."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self._graph = graph
        self.constants = {entry.name: entry for entry in graph.graph.initializer}
        self._nodes: list[onnx.NodeProto] = []
        self._later: list[tuple[str, str, Grid]] = []
        self._new: dict[str, onnx.TensorProto] = {}

    def add(self, node: onnx.NodeProto) -> None:
        """Appends a node, and the rounding of what it writes."""
        self._nodes.append(node)
        for exact, rounded, grid in self._later:
            self.round(exact, rounded, grid)
        self._later.clear()

    def later(self, exact: str, rounded: str, grid: Grid) -> None:
        """Rounds `exact` once the node that writes it stands."""
        self._later.append((exact, rounded, grid))

    def round(self, exact: str, rounded: str, grid: Grid) -> None:
        """`rounded`: the values of `exact` on `grid`."""
        parameters = self._parameters(rounded, np.float32(grid.scale), _DTYPES[grid.kind](grid.zero_point))
        self._operator("QuantizeLinear", [exact, *parameters], f"{rounded}_codes")
        self._operator("DequantizeLinear", [f"{rounded}_codes", *parameters], rounded)

    def weights(self, node: onnx.NodeProto, weights: Values, outward: int) -> npt.NDArray[np.float32]:
        """Rounds a weight along its output channels, symmetric, and gives their scales."""
        others = tuple(axis for axis in range(weights.ndim) if axis != outward)
        scales: npt.NDArray[np.float32] = (np.abs(weights).max(axis=others) / 127.5).astype(np.float32)
        scales[scales == 0] = 1.0  # a channel without weights
        shape = [-1 if axis == outward else 1 for axis in range(weights.ndim)]
        codes = np.clip(np.rint(weights / scales.reshape(shape)), -128, 127).astype(np.int8)
        self._dequantized(node, 1, codes, scales, np.zeros(len(scales), np.int8), axis=outward)
        return scales

    def bias(self, node: onnx.NodeProto, bias: Values, scales: npt.NDArray[np.float32]) -> None:
        """A bias in 32 bits, in the units of the products that it is added to."""
        codes = np.clip(np.rint(bias.astype(np.float64) / scales), -(2**31), 2**31 - 1).astype(np.int32)
        self._dequantized(node, 2, codes, scales, np.zeros(len(scales), np.int32), axis=0)

    def constant(self, node: onnx.NodeProto, index: int, values: Values, grid: Grid) -> None:
        """Another constant, on one grid."""
        codes = np.clip(np.rint(values / np.float32(grid.scale)) + grid.zero_point, 0, 255).astype(np.uint8)
        self._dequantized(node, index, codes, np.float32(grid.scale), np.uint8(grid.zero_point))

    def finish(self) -> onnx.ModelProto:
        """The model, with only the constants that it reads."""
        read = {name for node in self._nodes for name in node.input}
        kept = [entry for entry in [*self.constants.values(), *self._new.values()] if entry.name in read]
        ends = (self._graph.graph.input, self._graph.graph.output)
        model = helper.make_model(
            helper.make_graph(self._nodes, self._graph.graph.name, *ends, kept),
            ir_version=self._graph.ir_version,
            opset_imports=[*self._graph.opset_import, helper.make_opsetid("com.microsoft", 1)],
        )
        model.metadata_props.extend(self._graph.metadata_props)
        return model

    def _dequantized(
        self,
        node: onnx.NodeProto,
        index: int,
        codes: npt.NDArray[np.integer],
        scale: np.float32 | npt.NDArray[np.float32],
        zero_point: np.integer | npt.NDArray[np.integer],
        *,
        axis: int | None = None,
    ) -> None:
        name = f"{node.input[index]}_rounded_for_{node.name}"  # a bias shared by two nodes has two scales
        stored = self._store(f"{name}_codes", codes)
        inputs = [stored, *self._parameters(name, scale, zero_point)]
        self._operator("DequantizeLinear", inputs, name, axis=axis)
        node.input[index] = name

    def _parameters(self, name: str, scale: object, zero_point: object) -> list[str]:
        return [self._store(f"{name}_scale", scale), self._store(f"{name}_zero", zero_point)]

    def _store(self, name: str, values: object) -> str:
        self._new[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def _operator(self, kind: str, inputs: list[str], output: str, *, axis: int | None = None) -> None:
        node = helper.make_node(kind, inputs, [output], name=f"{output}/{kind}", domain="com.microsoft")
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        self._nodes.append(node)
