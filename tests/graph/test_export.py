"""The export as a step: its gates, and what it writes."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from helpers.__main__ import main
from helpers.graph import OPSET, convert, metrics, session
from helpers.graph.export import PARITY_LIMIT, Exported, GateFailed, export
from helpers.graph.graph import axes
from helpers.graph.preprocess import read_metadata
from helpers.model import weights
from helpers.model.variants import VARIANTS, UnknownModel

M0 = "efficientvit_m0"
SIZES = [
    "BatchNormalization",
    "Shape",
    "Gather",
    "Mod",
    "ConstantOfShape",
    "If",
    "Loop",
]  # what must not be left


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(M0, tmp_path_factory.mktemp("m0"), checkpoint="random", board_input="rgb")


@pytest.mark.parametrize("name", VARIANTS)
def test_all_six_pass_the_gates(name: str, tmp_path: Path):
    made = export(name, tmp_path, checkpoint="random")
    graph = onnx.load(made.simplified)
    assert made.parity <= PARITY_LIMIT
    ends = [(value.name, axes(value)) for value in (*graph.graph.input, *graph.graph.output)]
    assert ends == [("input", (1, 3, 224, 224)), ("logits", (1, made.classes))]
    assert [entry.version for entry in graph.opset_import] == [OPSET]
    assert not Counter(node.op_type for node in graph.graph.node).keys() & set(SIZES)
    assert made.nodes_simplified == len(graph.graph.node) < made.nodes_plain


@pytest.mark.parametrize("opset", [11, 12, 14, 15, 16, 17, 18])
def test_the_opset_asked_for_is_the_one_written(opset: int, tmp_path: Path):
    made = export(M0, tmp_path, checkpoint="random", opset=opset)
    assert [entry.version for entry in onnx.load(made.simplified).opset_import] == [opset]


def test_batch_8(tmp_path: Path):
    made = export(M0, tmp_path, checkpoint="random", batch=8)
    assert axes(onnx.load(made.simplified).graph.input[0]) == (8, 3, 224, 224)
    assert made.parity <= PARITY_LIMIT


def test_bgr_bytes_give_what_rgb_gives(exported: Exported, tmp_path: Path):
    bgr = export(M0, tmp_path, checkpoint="random", board_input="bgr")
    pixels = np.random.default_rng(0).standard_normal((1, 3, 224, 224), np.float32)
    takes_rgb, takes_bgr = (session.cpu_session(str(made.simplified)) for made in (exported, bgr))
    expected = session.logits(takes_rgb, pixels)
    assert metrics.parity(session.logits(takes_bgr, pixels[:, ::-1].copy()), expected) < 1e-4
    assert metrics.parity(session.logits(takes_bgr, pixels), expected) > 1e-2
    assert read_metadata(onnx.load(bgr.simplified)) == bgr.preprocessing
    assert bgr.preprocessing.board_input == "bgr"


def test_kept_residuals_are_more_nodes(exported: Exported, tmp_path: Path):
    kept = export(M0, tmp_path, checkpoint="random", keep_residuals=True)
    assert kept.nodes_simplified > exported.nodes_simplified


def test_a_checkpoint_counts_by_its_content(tmp_path: Path):
    for name, seed in (("a.pth", 1), ("b.pth", 1), ("c.pth", 2)):
        convert.torch.save(weights.load(M0, "random", seed=seed).state_dict(), tmp_path / name)
    made = [export(M0, tmp_path / "out", checkpoint=tmp_path / name) for name in ("a.pth", "a.pth", "c.pth")]
    assert [each.remade for each in made] == [True, False, True]
    assert made[0].weights.startswith("file a.pth sha256 ")


def test_a_gate_that_fails_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "parity", lambda *_: float("nan"))
    with pytest.raises(GateFailed, match="nan"):
        export(M0, tmp_path / "out", checkpoint="random")
    assert not (tmp_path / "out").exists()


def test_parity_sees_one_wrong_bias(exported: Exported):
    images = convert.random_images(4)
    with convert.torch.inference_mode():
        expected = weights.load(M0, "random")(images).numpy()

    def distance(graph: onnx.ModelProto) -> float:
        return metrics.parity(session.logits(session.session_of(graph), images.numpy()), expected)

    graph = onnx.load(exported.simplified)
    assert distance(graph) < PARITY_LIMIT
    bias = next(entry for entry in graph.graph.initializer if len(entry.dims) == 1)
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] += 0.1
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    assert distance(graph) > PARITY_LIMIT


def test_the_gate_refuses_another_opset_and_a_dynamic_shape(exported: Exported):
    graph = onnx.load(exported.simplified)
    with pytest.raises(GateFailed, match="12"):
        convert.check(graph, opset=12)
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(GateFailed, match="dynamic"):
        convert.check(graph, opset=OPSET)


@pytest.mark.parametrize("wrong", [{"opset": 10}, {"opset": 19}, {"batch": 0}, {"board_input": "grb"}])
def test_what_is_not_supported_is_refused_before_any_work(wrong: dict[str, object], tmp_path: Path):
    with pytest.raises(ValueError, match="choose"):
        export(M0, tmp_path / "never", checkpoint="random", **wrong)
    with pytest.raises(UnknownModel):
        export("efficientvit_b0", tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["export", "--model", M0, "--out", str(tmp_path)]) == 0
    assert "model-sim.onnx" in capsys.readouterr().out
    files = json.loads((tmp_path / "export.json").read_text())["sha256"]
    assert files.keys() == {"model.onnx", "model-sim.onnx"}
    assert main(["export", "--model", "efficientvit_m9", "--out", str(tmp_path)]) == 2
    assert "choose one of efficientvit_m0" in capsys.readouterr().err


def test_attributes_are_written_out_even_at_their_default():
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "xy"]
    weights_ = onnx.numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weights_])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=8)
    (simplified,) = convert.simplify(model).graph.node
    assert {attribute.name for attribute in simplified.attribute} == {"alpha", "beta", "transA", "transB"}
