"""What the AX650 compiler takes: its operator list, and the restrictions on single operators.

The list (`data/ax650_operators.json`, with its source) is a pre-screen, not a proof: real builds took an
operator that it lacks and refused two that it has. An attribute written at its ONNX default counts as absent.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from helpers.published import DATA

STANDARD = ("", "ai.onnx")  # an operator of another set may share its name with one of these, and no more
Shape = tuple[int | None, ...]  # None for a size that is not known


@dataclass(frozen=True)
class Issue:
    """One operator that the compiler would refuse ("fail") or might ("warn"), and what to do."""

    node: str
    operator: str
    level: Literal["warn", "fail"]
    reason: str


@cache
def table() -> dict[str, Any]:
    """The data file: operators with their restrictions, and what was measured beyond the list."""
    loaded: dict[str, Any] = json.loads((DATA / "ax650_operators.json").read_text(encoding="utf-8"))
    return loaded


def count(model: onnx.ModelProto) -> Counter[str]:
    """How often each operator occurs in the top graph. Constants, which compute nothing, stay apart."""
    return Counter(node.op_type for node in model.graph.node if node.op_type != "Constant")


def opset(model: onnx.ModelProto) -> int:
    """The version of the standard operator set; 1 where the file names none."""
    return max((entry.version for entry in model.opset_import if entry.domain in STANDARD), default=1)


def constants(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The tensors that are written in the file, initializers and Constant nodes of numbers, by name."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute if node.op_type == "Constant" and node.domain in STANDARD else ():
            if attribute.name not in ("value_string", "value_strings", "sparse_value"):
                tensors[node.output[0]] = _constant(attribute)
    return tensors


def unlisted(model: onnx.ModelProto) -> list[Issue]:
    """Operators that are not on the AX650 list, or whose entry there is contradicted by a real build."""
    known = {name.lower() for name in table()["operators"]}  # the list spells TopK "Topk"
    issues = []
    for node in model.graph.node:
        operator = node.op_type if node.domain in STANDARD else f"{node.domain}::{node.op_type}"
        if seen := table()["unlisted_but_seen"].get(operator):
            issues.append(Issue(_name(node), operator, "warn", f"not on the AX650 list, but {seen}"))
        elif operator.lower() not in known:
            issues.append(Issue(_name(node), operator, "fail", "not on the AX650 list: replace it"))
        elif refused := table()["listed_but_refused"].get(operator):
            issues.append(Issue(_name(node), operator, "warn", f"on the AX650 list, but {refused}"))
    return issues


def restricted(model: onnx.ModelProto) -> list[Issue]:
    """Nodes that break a restriction of the AX650 list, or have a form that made a real build fail.

    Shapes come from ONNX's shape inference; a rule that needs an unknown one is not applied.
    """
    graph = Graph(model)
    issues = []
    for node in (node for node in model.graph.node if node.domain in STANDARD):
        problems: list[tuple[Literal["warn", "fail"], str]] = [
            ("fail", text) for text in (*_by_table(node, graph), *_by_rule(node, graph))
        ]
        problems += [("warn", text) for text in _by_experience(node, graph)]
        issues += [Issue(_name(node), node.op_type, level, text) for level, text in problems]
    return issues


class Graph:
    """Look-ups in a graph: constants, shapes, attributes with their defaults."""

    def __init__(self, model: onnx.ModelProto) -> None:
        try:
            inferred = onnx.shape_inference.infer_shapes(model).graph
        except Exception:  # inference raises RuntimeError and others on graphs the checker reports anyway
            inferred = model.graph
        self.outputs = {value.name for value in model.graph.output}
        self._tensors = constants(model)
        self._values = {v.name: v for v in (*inferred.input, *inferred.value_info, *inferred.output)}
        self._opset = opset(model)

    def is_constant(self, name: str) -> bool:
        """Whether the tensor is written in the file."""
        return name in self._tensors

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """The value of a tensor that is written in the file."""
        tensor = self._tensors.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def shape(self, name: str) -> Shape | None:
        """The shape of a tensor, None when inference did not find it."""
        if tensor := self._tensors.get(name):
            return tuple(tensor.dims)
        value = self._values.get(name)
        if value is None or not value.type.tensor_type.HasField("shape"):
            return None
        sizes = value.type.tensor_type.shape.dim
        return tuple(size.dim_value if size.HasField("dim_value") else None for size in sizes)

    def attribute(self, node: onnx.NodeProto, name: str) -> Any:
        """An attribute's value, else its ONNX default, else None; text as str."""
        for attribute in node.attribute:
            if attribute.name == name:
                return _plain(helper.get_attribute_value(attribute))
        return self.default(node, name)

    def default(self, node: onnx.NodeProto, name: str) -> Any:
        """The ONNX default of an attribute at this graph's opset, None when there is none."""
        schema = self.schema(node)
        defined = schema.attributes.get(name) if schema else None
        if defined is None or not defined.default_value.name:
            return None
        return _plain(helper.get_attribute_value(defined.default_value))

    def given(self, node: onnx.NodeProto, name: str) -> bool:
        """Whether an attribute is set to other than its default, or an optional input is connected."""
        if any(attribute.name == name for attribute in node.attribute):
            value, default = self.attribute(node, name), self.default(node, name)
            return default is None or not np.allclose(value, default, rtol=1e-6, atol=0)
        schema = self.schema(node)
        names = [value.name for value in schema.inputs] if schema else []
        return name in names and _input(node, names.index(name)) != ""

    def schema(self, node: onnx.NodeProto) -> onnx.defs.OpSchema | None:
        """ONNX's definition of the operator at this opset; None for one that ONNX does not define there."""
        try:
            return onnx.defs.get_schema(node.op_type, self._opset, node.domain)
        except onnx.defs.SchemaError:
            return None


def _by_table(node: onnx.NodeProto, graph: Graph) -> Iterable[str]:
    """The restrictions that the data file states as allowed values, or as absent."""
    for name, rule in table()["operators"].get(node.op_type, {}).items():
        if rule == "absent" and graph.given(node, name):
            yield f"{name} is not supported: leave it out"
        elif isinstance(rule, list):
            value = graph.attribute(node, name)
            if node.op_type == "Cast":
                value = helper.tensor_dtype_to_np_dtype(value).name
            values = value if isinstance(value, list) else [] if value is None else [value]
            if any(single not in rule for single in values):
                yield f"{name} is {value}, only {', '.join(map(str, rule))} can be compiled"


def _by_rule(node: onnx.NodeProto, graph: Graph) -> Iterable[str]:
    """The restrictions that the data file states in words."""
    rule = RULES.get(node.op_type)
    problem = rule(node, graph) if rule else None
    return [problem] if problem else []


def _average_pool(node: onnx.NodeProto, graph: Graph) -> str | None:
    padded = any(graph.attribute(node, "pads") or [])
    if padded and graph.attribute(node, "count_include_pad") != 1:
        return "count_include_pad must be 1 where there is padding"
    return None


def _conv_transpose(node: onnx.NodeProto, graph: Graph) -> str | None:
    extra = graph.attribute(node, "output_padding") or []
    pads = graph.attribute(node, "pads") or [0] * 2 * len(extra)
    if any(more > end for more, end in zip(extra, pads[len(pads) // 2 :], strict=False)):
        return f"output_padding {extra} is larger than the end pads {pads[len(pads) // 2 :]}"
    return None


def _gather(node: onnx.NodeProto, graph: Graph) -> str | None:
    indices = graph.shape(_input(node, 1))
    if indices is None or len(indices) == 1:
        return None
    return f"{len(indices)}-D indices, only 1-D ones can be compiled: simplify the graph first (onnxsim)"


def _last_axis(node: onnx.NodeProto, graph: Graph) -> str | None:
    axis, shape = graph.attribute(node, "axis"), graph.shape(_input(node, 0))
    if axis == -1 or axis is None or (shape is not None and axis == len(shape) - 1):
        return None
    return f"axis is {axis}, only the last one can be compiled"


def _pow(node: onnx.NodeProto, graph: Graph) -> str | None:
    exponent = graph.constant(_input(node, 1))
    if exponent is None or exponent.size != 1:
        return "the exponent must be one constant number"
    return None


def _prelu(node: onnx.NodeProto, graph: Graph) -> str | None:
    shape, slope = graph.shape(_input(node, 0)), graph.shape(_input(node, 1))
    if shape is None or slope is None or len(shape) != 4:
        return None
    if slope not in ((shape[1],), (1, shape[1], 1, 1)):
        return f"the slope has shape {slope}, only ({shape[1]},) and (1, {shape[1]}, 1, 1) can be compiled"
    return None


def _resize(node: onnx.NodeProto, graph: Graph) -> str | None:
    nearest = graph.attribute(node, "nearest_mode")
    if graph.attribute(node, "mode") == "nearest" and nearest != "round_prefer_ceil":
        return f"nearest_mode is {nearest}, only round_prefer_ceil can be compiled"
    return None


def _roi_align(node: onnx.NodeProto, graph: Graph) -> str | None:
    return "sampling_ratio must not be 0" if graph.attribute(node, "sampling_ratio") == 0 else None


RULES: dict[str, Callable[[onnx.NodeProto, Graph], str | None]] = {
    "AveragePool": _average_pool,
    "ConvTranspose": _conv_transpose,
    "Gather": _gather,
    "LayerNormalization": _last_axis,
    "LpNormalization": _last_axis,
    "Pow": _pow,
    "PRelu": _prelu,
    "Resize": _resize,
    "RoiAlign": _roi_align,
}


def _by_experience(node: onnx.NodeProto, graph: Graph) -> Iterable[str]:
    """Failures that a third party saw in real builds, told as warnings.

    onnxsim/onnxsim, scripts/axera/README.md and docs/axera-on-device-training-handoff.md.
    """
    written = {attribute.name for attribute in node.attribute}
    for name in table()["write_out"].get(node.op_type, []):
        if name not in written:
            yield f"write {name} out: a build failed where it was left to its default"
    if node.op_type == "Gemm" and not any(graph.is_constant(name) for name in node.input[:2]):
        yield "both factors are computed, which a build refused: use MatMul"
    if node.op_type == "ReduceMean" and not graph.attribute(node, "axes") and not _input(node, 1):
        yield "without axes a build reduced the last one only: name them"
    if node.op_type in ("Mul", "Div") and node.output[0] in graph.outputs:
        factor = next((c for c in map(graph.constant, node.input) if c is not None), None)
        if factor is not None and np.all(factor == 1):
            yield f"{node.op_type} by 1 at the graph's output crashed a build: remove it"


def _input(node: onnx.NodeProto, index: int) -> str:
    return node.input[index] if index < len(node.input) else ""


def _name(node: onnx.NodeProto) -> str:
    return node.name or f"{node.op_type} of {node.output[0] if node.output else 'nothing'}"


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _constant(attribute: onnx.AttributeProto) -> onnx.TensorProto:
    """The tensor of a Constant node, which may also be written as `value_float`, `value_ints`, …"""
    if attribute.type == onnx.AttributeProto.TENSOR:
        return attribute.t
    return numpy_helper.from_array(np.asarray(helper.get_attribute_value(attribute)))


def written_bytes(model: onnx.ModelProto) -> int:
    """Bytes of all tensors that the graph's nodes write, Constants apart: the traffic that folds save.

    Raises ValueError where a shape is not known: simplify the graph, with a static batch, first.
    """
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = {value.name: value.type.tensor_type for value in [*inferred.value_info, *inferred.output]}
    total = 0
    for node in inferred.node:
        for name in node.output if node.op_type != "Constant" else ():
            sizes = [axis.dim_value for axis in values[name].shape.dim] if name in values else [0]
            if 0 in sizes:
                raise ValueError(f"the shape of {name} is not known: simplify the graph first")
            total += math.prod(sizes) * onnx.helper.tensor_dtype_to_np_dtype(values[name].elem_type).itemsize
    return total
