"""Graph files that must not be read, and the index of those that are."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from small_graphs import graph, node

from helpers.graph.graph import Graph, GraphError, load


def diamond() -> Graph:
    """Two branches from the input, one over a named size; a constant node; an initializer listed as input."""
    nodes = [
        helper.make_node("Constant", [], ["two"], value_floats=[2.0]),
        helper.make_node("Relu", ["input"], ["left"], name="left"),
        helper.make_node("Transpose", ["input"], ["right"], name="right", perm=[0, 1, 3, 2]),
        helper.make_node("Mul", ["right", "two"], ["scaled"], name="scale"),
        node("Add", ["left", "scaled"]),
    ]
    model = graph(*nodes, opset=13, shape=["n", 3, 8, 4], out=["n", 3, 8, 8], w=np.ones((2, 5), np.int8))
    model.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.INT8, [2, 5]))
    return Graph(model)


def test_who_writes_and_who_reads():
    index = diamond()
    assert index.writer["scaled"].name == "scale" and "input" not in index.writer
    assert [reader.name for reader in index.readers["input"]] == ["left", "right"]
    assert index.readers["logits"] == []
    assert [value.name for value in index.inputs] == ["input"]
    assert index.operators == {"Relu": 1, "Transpose": 1, "Mul": 1, "Add": 1} and index.opset == 13


def test_the_ends_are_as_the_file_states_them():
    assert diamond().ends == {"input": ("n", 3, 8, 4), "logits": ("n", 3, 8, 8)}


def test_only_what_lies_on_the_way_between_two_tensors():
    index = diamond()
    assert index.between("right", "logits") == [("Mul", ()), ("Add", (0,))]
    assert index.between("input", "logits") == [
        ("Relu", ()),
        ("Transpose", ()),
        ("Mul", (1,)),
        ("Add", (0, 2)),
    ]
    with pytest.raises(ValueError, match="no way"):
        index.between("left", "right")


def test_constants_shapes_and_types():
    index = diamond()
    assert set(index.constants) == {"two", "w"}
    assert index.constant("two").tolist() == [2.0] and index.constant("left") is None
    assert (index.shape("right"), index.shape("w"), index.shape("nowhere")) == (("n", 3, 4, 8), (2, 5), None)
    assert index.static_shape("w") == (2, 5)
    for name in ("right", "nowhere"):
        with pytest.raises(ValueError, match=name):
            index.static_shape(name)
    assert (index.element_type("w"), index.element_type("scaled")) == (np.int8, np.float32)
    assert index.element_type("nowhere") is None


def test_an_attribute_is_what_is_written_else_onnx_default_else_the_callers():
    gemm = node("Gemm", ["input", "w"], transB=1)
    index = Graph(graph(gemm))
    assert [index.attribute(gemm, name, 7) for name in ("transB", "transA", "alpha", "pads")] == [
        1,
        0,
        1.0,
        7,
    ]
    assert index.attribute(gemm, "pads") is None
    assert index.attribute(node("Pad", mode="reflect"), "mode") == "reflect"


@pytest.fixture
def external(tmp_path: Path) -> Path:
    model = graph(node("Add", ["input", "c"]), c=np.ones((1, 3, 8, 8), np.float32))
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def relocate(path: Path, location: str) -> None:
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())


def test_external_data_in_the_folder_are_loaded(external: Path) -> None:
    onnx.checker.check_model(load(external))
    assert onnx.numpy_helper.to_array(load(external).graph.initializer[0]).sum() == 192


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "link.bin"])
def test_external_data_elsewhere_are_refused(external: Path, location: str) -> None:
    outside = external.parent.parent / "weights.bin"
    outside.write_bytes((external.parent / "weights.bin").read_bytes())
    (external.parent / "link.bin").symlink_to(outside)
    relocate(external, location)
    with pytest.raises(GraphError, match="external data"):
        load(external)


def test_missing_external_data_are_named(external: Path) -> None:
    (external.parent / "weights.bin").unlink()
    with pytest.raises(GraphError, match=r"weights\.bin"):
        load(external)


def test_what_is_no_graph_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for content, says in ((b"PK\x03\x04 a .pth file", "not an ONNX file"), (b"", "no graph")):
        path.write_bytes(content)
        with pytest.raises(GraphError, match=says):
            load(path)
    with pytest.raises(GraphError, match="no such file"):
        load(tmp_path / "none.onnx")
    onnx.save(graph(node("neu mode")), path)
    with pytest.raises(GraphError, match="already compiled"):
        load(path)
