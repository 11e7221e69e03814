"""The rehearsal: losses by layer and group, the choice of 16 bits, and files that vouch for their inputs."""

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from helpers.deploy import export, quantize, rehearsal
from helpers.deploy.fold import FOLDS, fold
from helpers.deploy.pulsar2_config import validate
from helpers.model import weights

PICTURES = [np.random.default_rng(seed).normal(size=(1, 3, 224, 224)).astype(np.float32) for seed in range(3)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    graph = export.simplify(
        export.to_onnx(fold(weights.load("efficientvit_m0", "random")), folder / "m.onnx")
    )
    onnx.save(graph, folder / "model-sim.onnx")
    return folder / "model-sim.onnx"


@pytest.fixture(scope="module")
def graph(path: Path) -> onnx.ModelProto:
    return onnx.load(path)


def toy() -> onnx.ModelProto:
    """A product, a constant added to it, and an addition of two activations."""
    value = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, 4, 4])
    nodes = [
        helper.make_node("MatMul", ["input", "input"], ["product"], name="product"),
        helper.make_node("Add", ["product", "table"], ["biased"], name="bias"),
        helper.make_node("Add", ["biased", "input"], ["sum"], name="residual"),
        helper.make_node("Conv", ["sum", "kernel"], ["filtered"], name="conv"),
        helper.make_node("Relu", ["filtered"], ["kept"], name="fused"),
        helper.make_node("Relu", ["sum"], ["other"], name="alone"),
        helper.make_node("Add", ["kept", "other"], ["out"], name="last"),
    ]
    constants = {
        "table": np.full((1, 1, 4, 4), 0.3, np.float32),
        "kernel": np.ones((1, 1, 1, 1), np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "toy",
        [value],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 1, 4, 4])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def test_every_operator_that_computes_is_in_one_group(graph: onnx.ModelProto):
    found = rehearsal.groups(graph)
    named = [name for names in found.values() for name in names]
    computing = [node.name for node in graph.graph.node if node.op_type not in quantize.MOVING]
    assert sorted(named) == sorted(computing)
    assert found["first convolution"] == ["/patch_embed/conv1/Conv"]
    assert {name.rsplit("/")[-1] for name in found["softmax"]} == {"Softmax"}
    assert len(found["depth-wise convolutions"]) > 20


def test_an_entry_does_not_reach_what_is_fused():
    assert rehearsal.reached(toy(), "Add") == ["residual", "last"]
    assert rehearsal.reached(toy(), "Relu") == ["alone"]


def test_layer_losses_are_cosine_and_mean_squared_error():
    model = toy()
    values = [np.random.default_rng(0).normal(size=(1, 1, 4, 4)).astype(np.float32)]
    rounded = quantize.quantize(quantize.calibrate(model, values))
    losses = rehearsal.layer_losses(model, rounded, values)
    assert [entry.operator for entry in losses] == ["product", "bias", "residual", "fused", "alone", "last"]
    exact, found = (rehearsal.logits(entry, values) for entry in (model, rounded))
    assert losses[-1].mse == pytest.approx(float(np.mean((exact - found) ** 2)), rel=1e-4)
    cosine = float((exact * found).sum() / np.linalg.norm(exact) / np.linalg.norm(found))
    assert losses[-1].cosine == pytest.approx(cosine, abs=1e-6)


def test_the_choice_lowers_the_noise_and_is_a_configuration(graph: onnx.ModelProto):
    observed = quantize.calibrate(graph, PICTURES[:2])
    plain, chosen = rehearsal.choose(observed, PICTURES[2:])
    assert 1 <= len(chosen) <= rehearsal.FEW
    noises = [plain, *(choice.noise for choice in chosen)]
    assert all(after <= rehearsal.WORTHWHILE * before for before, after in pairwise(noises))
    assert not {choice.op_type for choice in chosen} & {"Conv", "Gemm"}
    (entry,) = rehearsal.layer_configs(chosen)
    assert validate({"quant": {"layer_configs": [entry.model_dump(exclude_unset=True)]}})
    wide = {name for choice in chosen for name in rehearsal.reached(graph, choice.op_type)}
    again = rehearsal.noise(
        rehearsal.logits(quantize.quantize(observed, wide=wide), PICTURES[2:]),
        rehearsal.logits(graph, PICTURES[2:]),
    )
    assert again == pytest.approx(chosen[-1].noise)


def test_no_choice_is_no_configuration():
    assert rehearsal.layer_configs([]) == []


def test_a_folded_residual_costs_precision(tmp_path: Path, graph: onnx.ModelProto):
    """What chapter 06 tells: the fold is exact in float and not in INT8."""
    folds = tuple(name for name in FOLDS if name != "residuals")
    model = weights.load("efficientvit_m0", "random")
    kept = export.simplify(export.to_onnx(fold(model, folds=folds), tmp_path / "m.onnx"))
    noises = [
        rehearsal.noise(
            rehearsal.logits(quantize.quantize(quantize.calibrate(entry, PICTURES[:2])), PICTURES[2:]),
            rehearsal.logits(entry, PICTURES[2:]),
        )
        for entry in (graph, kept)
    ]
    assert noises[1] < 0.8 * noises[0]


def test_the_files_are_used_again_only_for_the_same_inputs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rehearsal, "choose", lambda *_, **__: (0.5, [rehearsal.Choice("Add", 0.25)]))
    first = rehearsal.rehearse(path, tmp_path, pictures=PICTURES)
    assert first.quantized.is_file() and first.noise_mixed == 0.25
    assert len(first.layers) > 100

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(rehearsal, "choose", refuse)
    os.utime(path, (2**32, 2**32))
    os.utime(first.quantized, (0, 0))  # a clock that is wrong: dates say nothing
    assert rehearsal.rehearse(path, tmp_path, pictures=PICTURES) == first
    with pytest.raises(AssertionError, match="made again"):
        rehearsal.rehearse(path, tmp_path, pictures=PICTURES[:2])
    report = tmp_path / "rehearsal.json"
    said = json.loads(report.read_text())
    first.quantized.write_bytes(b"cut off")
    with pytest.raises(AssertionError, match="made again"):
        rehearsal.rehearse(path, tmp_path, pictures=PICTURES)
    report.write_text(json.dumps(said)[:100])
    with pytest.raises(AssertionError, match="made again"):
        rehearsal.rehearse(path, tmp_path, pictures=PICTURES)


def test_one_picture_cannot_calibrate_and_measure(path: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="needs two or more"):
        rehearsal.rehearse(path, tmp_path, pictures=PICTURES[:1])
