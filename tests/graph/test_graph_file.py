"""ONNX files that must not be read."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from small_graphs import graph, node

from helpers.graph import graph_file
from helpers.graph.graph_file import GraphError, load


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
    with pytest.raises(GraphError, match="outside its folder"):
        load(external)


def test_missing_external_data_are_named(external: Path) -> None:
    (external.parent / "weights.bin").unlink()
    with pytest.raises(GraphError, match=r"weights\.bin is missing"):
        load(external)


def test_a_huge_file_is_refused(external: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = external.stat().st_size
    monkeypatch.setattr(graph_file, "SIZE_LIMIT", size)
    with pytest.raises(GraphError, match="with its data"):
        load(external)
    monkeypatch.setattr(graph_file, "SIZE_LIMIT", size - 1)
    with pytest.raises(GraphError, match="too large"):
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
