"""An ONNX graph: read from a file, and one index of its tensors: who writes, who reads, what is known."""

import contextlib
import copy
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

STANDARD = ("", "ai.onnx")  # an operator of another set may share its name with one of these, and no more
Axes = tuple[int | str, ...]  # sizes; one that is not known as its name, or "?"


class GraphError(ValueError):
    """A file that is not a graph to compile; one sentence that says why and what to do."""


def load(path: Path | str) -> onnx.ModelProto:
    """The graph with its external data; GraphError when it is missing, damaged or already compiled."""
    path = Path(path)
    if not path.is_file():
        raise GraphError(f"{path}: no such file; export the model first")
    try:
        model = onnx.load_model(path, format="protobuf")
    except (DecodeError, MemoryError) as error:
        raise GraphError(f"{path.name}: not an ONNX file, or a damaged one; export it again") from error
    except Exception as error:  # ValidationError, ValueError and OSError for weights in other files
        reason = " ".join(str(error).split())[:200]
        text = f"{path.name}: its external data cannot be read ({reason}); export it in one file"
        raise GraphError(text) from error
    if not model.graph.node:
        raise GraphError(f"{path.name}: there is no graph in it; export it again")
    if any(node.op_type == "neu mode" for node in model.graph.node):
        raise GraphError(f"{path.name}: already compiled for the NPU; give the ONNX file it was made from")
    return model


def tensors(model: onnx.ModelProto) -> Iterable[onnx.TensorProto]:
    """All tensors that the top graph holds; the compiler takes no nested graphs."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def axes(value: onnx.ValueInfoProto) -> Axes:
    """The shape that a file states for a tensor; () also where it states none."""
    sizes = value.type.tensor_type.shape.dim
    return tuple(size.dim_value if size.dim_value > 0 else size.dim_param or "?" for size in sizes)


class Graph:
    """Look-ups in the top graph of a model. Shapes are inferred when the first one is asked for."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        filled = {tensor.name for tensor in model.graph.initializer}
        self.inputs = [value for value in model.graph.input if value.name not in filled]  # what is fed
        self.outputs = list(model.graph.output)
        self.writer: dict[str, onnx.NodeProto] = {}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            self.writer.update((name, node) for name in node.output if name)
            for name in filter(None, node.input):
                self.readers[name].append(node)
        versions = (entry.version for entry in model.opset_import if entry.domain in STANDARD)
        self.opset = max(versions, default=1)  # of the standard operators; 1 where the file names none

    @property
    def ends(self) -> dict[str, Axes]:
        """What goes in and what comes out, with the shapes that the file states."""
        return {value.name: axes(value) for value in (*self.inputs, *self.outputs)}

    @cached_property
    def simplified(self) -> "Graph":
        """What onnxsim leaves of the graph; the graph itself where onnxsim cannot work on it."""
        import onnxsim  # here, so that looking up needs none

        with quiet_stderr(), contextlib.suppress(Exception):  # its errors share no base class
            return Graph(onnxsim.simplify(self.model)[0])
        return self

    @cached_property
    def operators(self) -> Counter[str]:
        """How often each operator occurs. Constants, which compute nothing, stay apart."""
        return Counter(node.op_type for node in self.nodes if node.op_type != "Constant")

    @cached_property
    def constants(self) -> dict[str, onnx.TensorProto]:
        """The tensors that are written in the file, by name: initializers and Constant nodes of numbers."""
        found = {tensor.name: tensor for tensor in self.model.graph.initializer}
        for node in self.nodes:
            for entry in node.attribute if node.op_type == "Constant" and node.domain in STANDARD else ():
                if entry.type == onnx.AttributeProto.TENSOR:
                    found[node.output[0]] = entry.t
                elif entry.name not in ("value_string", "value_strings", "sparse_value"):
                    values = np.asarray(helper.get_attribute_value(entry))  # value_float, value_ints, …
                    found[node.output[0]] = numpy_helper.from_array(values)
        return found

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """The value of a tensor that is written in the file."""
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def shape(self, name: str) -> Axes | None:
        """The shape of a tensor, None when inference did not find it."""
        if tensor := self.constants.get(name):
            return tuple(tensor.dims)
        stated = next((value for value in self.inputs if value.name == name), None)
        value = stated or self._values.get(name)  # inference copies all weights, so it is asked last
        known = value is not None and value.type.tensor_type.HasField("shape")
        return axes(value) if value is not None and known else None

    def static_shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor; raises ValueError where a size is not known."""
        shape = self.shape(name)
        sizes = tuple(size for size in shape or () if isinstance(size, int) and size)
        if shape is None or len(sizes) < len(shape):
            raise ValueError(
                f"the shape of {name} is not known: export with a fixed batch and simplify the graph"
            )
        return sizes

    def element_type(self, name: str) -> np.dtype[Any] | None:
        """The type of a tensor's values, None when inference did not find it."""
        if tensor := self.constants.get(name):
            return helper.tensor_dtype_to_np_dtype(tensor.data_type)
        kind = self._values[name].type.tensor_type.elem_type if name in self._values else 0
        return helper.tensor_dtype_to_np_dtype(kind) if kind else None

    def attribute(self, node: onnx.NodeProto, name: str, default: Any = None) -> Any:
        """An attribute's value, else its ONNX default at this opset, else `default`; text as str."""
        for entry in node.attribute:
            if entry.name == name:
                return _plain(helper.get_attribute_value(entry))
        return self._onnx_default(node, name, default)

    def given(self, node: onnx.NodeProto, name: str) -> bool:
        """Whether an attribute is set to other than its ONNX default, or an optional input is connected."""
        if any(entry.name == name for entry in node.attribute):
            value, default = self.attribute(node, name), self._onnx_default(node, name, None)
            return default is None or not np.allclose(value, default, rtol=1e-6, atol=0)
        schema = self._schema(node)
        names = [value.name for value in schema.inputs] if schema else []
        return name in names and input_of(node, names.index(name)) != ""

    def between(self, start: str, end: str) -> list[tuple[str, tuple[int, ...]]]:
        """The operators on the ways from one tensor to another: kind, and the places of those that it reads.

        ValueError where there is no way.
        """
        after, before = {start}, {end}
        for node in self.nodes:
            after.update(node.output if after & set(node.input) else ())
        for node in reversed(self.nodes):
            before.update(node.input if before & set(node.output) else ())
        inside = [node for node in self.nodes if after & set(node.input) and before & set(node.output)]
        if not inside:
            raise ValueError(f"there is no way from {start} to {end} in this graph")
        place = {name: index for index, node in enumerate(inside) for name in node.output}
        reads = ({place[name]: None for name in node.input if name in place} for node in inside)
        return [(node.op_type, tuple(places)) for node, places in zip(inside, reads, strict=True)]

    @cached_property
    def _values(self) -> dict[str, onnx.ValueInfoProto]:
        try:
            graph = onnx.shape_inference.infer_shapes(self.model).graph
        except Exception:  # inference raises RuntimeError and others on graphs that onnx's checker refuses
            graph = self.model.graph
        known = (*graph.input, *graph.value_info, *graph.output)
        return {value.name: copy.deepcopy(value) for value in known}  # else all weights stay in memory twice

    def _schema(self, node: onnx.NodeProto) -> onnx.defs.OpSchema | None:
        """ONNX's definition of the operator at this opset; None for one that ONNX does not define there."""
        try:
            return onnx.defs.get_schema(node.op_type, self.opset, node.domain)
        except onnx.defs.SchemaError:
            return None

    def _onnx_default(self, node: onnx.NodeProto, name: str, default: Any) -> Any:
        schema = self._schema(node)
        defined = schema.attributes.get(name) if schema else None
        if defined is None or not defined.default_value.name:
            return default
        return _plain(helper.get_attribute_value(defined.default_value))


def input_of(node: onnx.NodeProto, index: int) -> str:
    """The tensor that a node reads at a place, "" where an optional input is left out."""
    return node.input[index] if index < len(node.input) else ""


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what C++ code writes to file descriptor 2 meanwhile; Python's exceptions still come through."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
