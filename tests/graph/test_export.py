import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from helpers.__main__ import main
from helpers.graph import export
from helpers.graph.export import GateFailed, board_ready
from helpers.graph.fold import fold
from helpers.graph.preprocess import read_metadata
from helpers.model import weights
from helpers.model.variants import VARIANTS, UnknownModel


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> export.Exported:
    return board_ready("efficientvit_m0", tmp_path_factory.mktemp("m0"))


def shape(value: onnx.ValueInfoProto) -> list[int]:
    return [axis.dim_value for axis in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("name", VARIANTS)
def test_all_six_pass_the_gates(name: str, tmp_path: Path):
    made = board_ready(name, tmp_path)
    graph = onnx.load(made.simplified)
    assert made.parity <= 1e-4
    assert [(value.name, shape(value)) for value in graph.graph.input] == [("input", [1, 3, 224, 224])]
    assert [(value.name, shape(value)) for value in graph.graph.output] == [("logits", [1, 1000])]
    assert [entry.version for entry in graph.opset_import] == [11]
    kinds = Counter(node.op_type for node in graph.graph.node)
    assert not kinds.keys() & {
        "BatchNormalization",
        "Shape",
        "Gather",
        "Mod",
        "ConstantOfShape",
        "If",
        "Loop",
    }
    assert made.nodes_simplified == len(graph.graph.node) < made.nodes_plain


@pytest.mark.parametrize("opset", range(12, 19))
def test_the_opset_asked_for_is_the_one_written(opset: int, tmp_path: Path):
    made = board_ready("efficientvit_m0", tmp_path, opset=opset)
    assert [entry.version for entry in onnx.load(made.simplified).opset_import] == [opset]


def test_batch_8(tmp_path: Path):
    made = board_ready("efficientvit_m0", tmp_path, batch=8)
    assert shape(onnx.load(made.simplified).graph.input[0]) == [8, 3, 224, 224]
    assert made.parity <= 1e-4


def test_bgr_bytes_give_what_rgb_gives(exported: export.Exported, tmp_path: Path):
    bgr = board_ready("efficientvit_m0", tmp_path, board_input="bgr")
    pixels = np.random.default_rng(0).standard_normal((1, 3, 224, 224), np.float32)
    run = {path: export.cpu_session(str(path)) for path in (exported.simplified, bgr.simplified)}
    (expected,) = run[exported.simplified].run(None, {"input": pixels})
    (swapped,) = run[bgr.simplified].run(None, {"input": pixels[:, ::-1].copy()})
    (unswapped,) = run[bgr.simplified].run(None, {"input": pixels})
    assert np.abs(swapped - expected).max() / expected.std() < 1e-4
    assert np.abs(unswapped - expected).max() / expected.std() > 1e-2
    said = read_metadata(onnx.load(bgr.simplified))
    assert said is not None
    assert said.board_input == "bgr"


def test_an_export_is_used_again_until_what_it_was_made_from_or_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = board_ready("efficientvit_m0", tmp_path)
    calls = []
    monkeypatch.setattr(export, "to_onnx", lambda *args, **kwargs: calls.append(1) or pytest.skip.Exception)
    assert board_ready("efficientvit_m0", tmp_path) == made
    assert not calls

    monkeypatch.undo()
    written = made.simplified.stat().st_mtime_ns
    assert board_ready("efficientvit_m0", tmp_path, opset=13).made_from.opset == 13
    assert made.simplified.stat().st_mtime_ns != written
    monkeypatch.setattr(export, "code_hash", lambda: "of an edited fold")
    assert board_ready("efficientvit_m0", tmp_path, opset=13).made_from.code == "of an edited fold"
    monkeypatch.undo()

    made.simplified.write_bytes(b"half a file")
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))  # a clock that is wrong: dates say nothing
    assert board_ready("efficientvit_m0", tmp_path, opset=13).nodes_simplified > 0
    onnx.checker.check_model(onnx.load(made.simplified))


def test_a_gate_that_fails_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(export, "parity", lambda *args, **kwargs: float("nan"))
    with pytest.raises(GateFailed, match="differ by nan standard deviations"):
        board_ready("efficientvit_m0", tmp_path)
    assert not list(tmp_path.iterdir())


def test_parity_sees_one_wrong_bias(exported: export.Exported):
    expected = export.reference(weights.load("efficientvit_m0", "random"))
    graph = onnx.load(exported.simplified)
    assert export.parity(expected, export.cpu_session(graph.SerializeToString())) < 1e-4
    bias = next(entry for entry in graph.graph.initializer if len(entry.dims) == 1)
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] += 0.1
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    assert export.parity(expected, export.cpu_session(graph.SerializeToString())) > 1e-4


def test_the_gate_refuses_another_opset_and_a_dynamic_shape(exported: export.Exported):
    graph = onnx.load(exported.simplified)
    with pytest.raises(GateFailed, match="opset 12 was asked for"):
        export.check(graph, opset=12)
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(GateFailed, match="dynamic shape"):
        export.check(graph, opset=11)


@pytest.mark.parametrize("wanted", [{"opset": 10}, {"opset": 19}, {"batch": 0}])
def test_what_is_not_served_is_refused(wanted: dict[str, int], tmp_path: Path):
    with pytest.raises(ValueError, match="choose"):
        export.to_onnx(fold(weights.init_model("efficientvit_m0").eval()), tmp_path / "model.onnx", **wanted)


def test_an_unknown_model_is_refused_before_any_work(tmp_path: Path):
    with pytest.raises(UnknownModel):
        board_ready("efficientvit_b0", tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["export", "--model", "efficientvit_m0", "--out", str(tmp_path)]) == 0
    assert "model-sim.onnx" in capsys.readouterr().out
    assert set(json.loads((tmp_path / "export.json").read_text())["sha256"]) == {
        "model.onnx",
        "model-sim.onnx",
    }

    assert main(["export", "--model", "efficientvit_m9", "--out", str(tmp_path)]) == 2
    assert "choose one of efficientvit_m0" in capsys.readouterr().err


def test_a_batch_of_nothing_is_refused_before_any_work(tmp_path: Path):
    with pytest.raises(ValueError, match="batch 0 is not a batch size"):
        export.board_ready("efficientvit_m0", tmp_path / "out", batch=0)
    assert not (tmp_path / "out").exists()


def test_attributes_are_written_out_even_at_their_default():
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "xy"]
    weights_ = onnx.numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weights_])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=8)
    (simplified,) = export.simplify(model).graph.node
    assert {attribute.name for attribute in simplified.attribute} == {"alpha", "beta", "transA", "transB"}
