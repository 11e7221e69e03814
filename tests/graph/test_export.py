"""The step from a checkpoint to a gated graph, and the graphs that its parts make."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_graphs import graph, node
from torch import nn

from helpers import artifacts
from helpers.graph import OPSET, OPSETS, convert, metrics
from helpers.graph.export import Exported, GateFailed, export
from helpers.graph.fold import ANY_AXIS, fold, folds_at
from helpers.graph.graph import Graph, GraphError
from helpers.graph.preprocess import read_metadata
from helpers.graph.session import cpu_session, outputs
from helpers.model import reference, weights
from helpers.model.variants import VARIANTS, UnknownModel

M0 = "efficientvit_m0"
NEVER = {"BatchNormalization", "Shape", "Gather", "Mod", "ConstantOfShape", "If", "Loop"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(M0, tmp_path_factory.mktemp("m0"), checkpoint="random", board_input="rgb")


@pytest.fixture(scope="module")
def folded() -> nn.Module:
    return fold(weights.load(M0, "random"))


@pytest.mark.parametrize("name", VARIANTS)
def test_all_six_pass_the_gates(name: str, tmp_path: Path):
    made = export(name, tmp_path, checkpoint="random")
    found = Graph(onnx.load(made.simplified))
    assert made.parity <= 1e-4 and made.classes == 1000
    assert found.ends == {"input": (1, 3, 224, 224), "logits": (1, 1000)} and found.opset == OPSET
    assert not found.operators.keys() & NEVER
    assert made.nodes_simplified == len(found.nodes) < made.nodes_plain
    assert read_metadata(found.model) == made.preprocessing and made.preprocessing.board_input == "bgr"


@pytest.mark.parametrize("name", ["timm/test_byobnet", "timm/test_efficientnet", "timm/test_vit"])
def test_any_of_timms_classifiers_goes_the_same_way(name: str, tmp_path: Path):
    made, trained = export(name, tmp_path, checkpoint="random"), reference.pretrained(name)
    assert made.parity <= 1e-4 and made.weights == "random (seed 0)"
    assert Graph(onnx.load(made.simplified)).ends["input"] == (1, *trained.input_size)
    fed = made.preprocessing
    assert (fed.size, fed.short_side) == (160, int(160 / trained.crop_pct)) and fed.board_input == "bgr"
    assert np.allclose(fed.mean[::-1], 255 * np.array(trained.mean))


def test_a_picture_that_two_convolutions_see_is_refused_in_another_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class TwoStems(nn.Module):
        pretrained_cfg = weights.load("timm/test_vit").pretrained_cfg

        def __init__(self) -> None:
            super().__init__()
            self.stems = nn.ModuleList(nn.Conv2d(3, 4, 16, 16) for _ in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.stems[0](x) * self.stems[1](x)).mean((2, 3))

    monkeypatch.setattr(weights, "load", lambda *_, **__: TwoStems().eval())
    with pytest.raises(GateFailed, match="more than one convolution sees the picture"):
        export("timm/test_vit", tmp_path, checkpoint="random")


@pytest.mark.parametrize("size", [256, 384])
def test_another_size_passes_the_gates(size: int, tmp_path: Path):
    made = export(M0, tmp_path, checkpoint="random", image_size=size)
    assert made.parity <= 1e-4 and made.preprocessing.size == size
    found = Graph(onnx.load(made.simplified))
    assert found.ends["input"] == (1, 3, size, size) and not found.operators.keys() & NEVER


def test_every_opset_is_written_as_asked_and_from_13_on_gives_the_same_operators():
    model = weights.load(M0, "random")
    made = {
        opset: convert.simplify(convert.to_onnx(fold(model, folds=folds_at(opset)), opset=opset))
        for opset in OPSETS
    }
    for opset, found in made.items():
        convert.check(found, opset=opset)
    operators = [Graph(found).operators for found in made.values()]
    older, newer = operators[: ANY_AXIS - OPSETS[0]], operators[ANY_AXIS - OPSETS[0] :]
    assert older.count(older[0]) == len(older) and newer.count(newer[0]) == len(newer)
    heads = sum(len(heads.qkvs) for heads in model.modules() if hasattr(heads, "qkvs"))
    assert older[0] - newer[0] == {"Transpose": heads}


def test_a_batch_is_a_size_and_no_structure(exported: Exported, tmp_path: Path):
    eight = export(M0, tmp_path, checkpoint="random", batch=8, board_input="rgb")
    assert Graph(onnx.load(eight.simplified)).ends["input"] == (8, 3, 224, 224)
    assert eight.nodes_simplified == exported.nodes_simplified
    images = convert.random_images(8).numpy()
    found = [outputs(cpu_session(str(made.simplified)), images)[0] for made in (eight, exported)]
    assert metrics.parity(*found) < 1e-4


def test_bgr_bytes_give_what_rgb_gives(exported: Exported, tmp_path: Path):
    bgr = export(M0, tmp_path, checkpoint="random")
    pixels = convert.random_images(1).numpy()
    (expected,) = outputs(cpu_session(str(exported.simplified)), pixels)
    session = cpu_session(str(bgr.simplified))
    assert metrics.parity(outputs(session, pixels[:, ::-1].copy())[0], expected) < 1e-4
    assert metrics.parity(outputs(session, pixels)[0], expected) > 1e-2


def test_kept_residuals_are_more_nodes(exported: Exported, tmp_path: Path):
    kept = export(M0, tmp_path, checkpoint="random", keep_residuals=True)
    assert kept.nodes_simplified > exported.nodes_simplified


def test_an_export_is_kept_until_the_checkpoints_content_or_an_argument_changes(tmp_path: Path):
    for name, seed in (("a.pth", 1), ("c.pth", 2)):
        torch.save(weights.load(M0, "random", seed=seed).state_dict(), tmp_path / name)
    asked = (("a.pth", OPSET), ("a.pth", OPSET), ("c.pth", OPSET), ("c.pth", 11))
    made = [export(M0, tmp_path / "out", checkpoint=tmp_path / name, opset=opset) for name, opset in asked]
    assert [each.remade for each in made] == [True, False, True, True]
    assert made[1] == dataclasses.replace(made[0], remade=False)
    assert made[0].weights.startswith("file a.pth sha256 ")
    assert Graph(onnx.load(made[3].simplified)).opset == 11


def test_a_gate_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "parity", lambda *_: float("nan"))
    with pytest.raises(GateFailed, match="nan"):
        export(M0, tmp_path / "out", checkpoint="random")
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".onnx", ".json")]


@pytest.mark.parametrize(
    ("distances", "passes"), [((5e-4, 2e-4), True), ((5e-4, 1e-5), False), ((2e-3,), False)]
)
def test_the_gate_takes_what_float32_itself_does_to_a_network_and_no_more(
    distances: tuple[float, ...], passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The first distance is to PyTorch's float32, the second that one's to float64."""
    left = iter(distances)
    monkeypatch.setattr(metrics, "parity", lambda *_: next(left))
    if passes:
        assert export(M0, tmp_path, checkpoint="random").parity == distances[0]
    else:
        with pytest.raises(GateFailed, match="standard deviations"):
            export(M0, tmp_path, checkpoint="random")


@pytest.mark.parametrize("opset", [11, 13])
def test_one_entry_is_picked_by_an_index_that_the_npu_has(opset: int):
    before = graph(node("Gather", ["input", "place"], axis=2), opset=opset, out=[1, 3, 8], place=5)
    after = convert.simplify(before)
    gathered = Graph(after)
    assert [gathered.shape(each.input[1]) for each in gathered.nodes if each.op_type == "Gather"] == [(1,)]
    picture = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    said = [
        cpu_session(each.SerializeToString()).run(None, {"input": picture})[0] for each in (before, after)
    ]
    np.testing.assert_array_equal(*said)


def test_what_torch_or_onnx_runtime_cannot_do_is_one_sentence(capfd: pytest.CaptureFixture[str]):
    class Fourier(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft2(x).real.mean((2, 3))

    with pytest.raises(GateFailed, match="torch cannot export it at opset 13"):
        convert.to_onnx(Fourier(), image_size=8)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(GraphError, match="ONNX Runtime cannot run this graph"):
        cpu_session(graph(node("Nonsense")).SerializeToString())


def test_the_gate_refuses_another_opset_and_a_dynamic_shape(exported: Exported):
    found = onnx.load(exported.simplified)
    with pytest.raises(GateFailed, match="opset 12"):
        convert.check(found, opset=12)
    found.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(GateFailed, match="batch"):
        convert.check(found, opset=OPSET)
    found.graph.node[0].input[0] = "nobody"
    with pytest.raises(GateFailed, match="checker"):
        convert.check(found, opset=OPSET)


@pytest.mark.parametrize(
    "wrong", [{"opset": 10}, {"opset": 19}, {"batch": 0}, {"board_input": "BGR"}, {"image_size": 300}]
)
def test_what_is_not_supported_is_refused_before_any_work(
    wrong: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(artifacts, "step", lambda *_, **__: pytest.fail("it went to work"))
    with pytest.raises(ValueError, match=r"choose|multiple of 32"):
        export(M0, tmp_path / "never", checkpoint="random", **wrong)  # type: ignore[arg-type]
    with pytest.raises(UnknownModel):
        export("efficientvit_b0", tmp_path / "never")


def test_any_batch_runs_where_a_runtime_takes_it(folded: nn.Module, tmp_path: Path):
    made = convert.to_onnx(folded, opset=17, any_batch=True)
    assert not Graph(made).operators.keys() & {"Shape", "Gather"}
    onnx.save(made, tmp_path / "any.onnx")
    session, images = cpu_session(str(tmp_path / "any.onnx")), convert.random_images(3).numpy()
    two, one = (session.run(None, {"input": part})[0] for part in (images[:2], images[2:]))
    assert (
        metrics.parity(np.concatenate([two, one]), folded(convert.random_images(3)).detach().numpy()) < 1e-4
    )


def test_attributes_are_written_out_even_at_their_default():
    gemm = graph(node("Gemm", ["input", "w"]), shape=[1, 2], w=np.eye(2, dtype=np.float32))
    (simplified,) = convert.simplify(gemm).graph.node
    assert {attribute.name for attribute in simplified.attribute} == {"alpha", "beta", "transA", "transB"}
