"""The rehearsal: losses by layer and group, the choice of 16 bits, and files that vouch for their inputs."""

import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from helpers.graph import export
from helpers.graph.fold import FOLDS, fold
from helpers.model import weights
from helpers.pulsar2.config import validate
from helpers.quant import quantize, rehearsal
from helpers.quant.ranges import Runs

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


def test_a_convolution_is_depth_wise_by_its_number_of_groups():
    counts = {"first": 4, "point-wise": 1, "depth-wise": 4}
    nodes = [
        helper.make_node("Conv", ["input", "w"], [name], name=name, group=count)
        for name, count in counts.items()
    ]
    nodes.append(helper.make_node("Conv", ["input", "w"], ["plain"], name="plain", dilations=[2, 2]))
    assert rehearsal.groups(helper.make_model(helper.make_graph(nodes, "g", [], []))) == {
        "first convolution": ["first"],
        "other convolutions": ["point-wise", "plain"],
        "depth-wise convolutions": ["depth-wise"],
    }


def test_noise_is_the_squared_error_in_units_of_the_variance():
    exact, found = np.array([[0, 4]], np.float32), np.array([[1, 3]], np.float32)
    assert rehearsal.noise(found, exact) == 1 / 4


def test_an_entry_does_not_reach_what_is_fused():
    assert rehearsal.reached(toy(), "Add") == ["residual", "last"]
    assert rehearsal.reached(toy(), "Relu") == ["alone"]


def test_an_entry_reaches_what_only_looks_fused():
    model = toy()
    model.graph.node.extend(
        [
            helper.make_node("Add", ["other", "table"], ["shifted"], name="constant, but no product"),
            helper.make_node("Add", ["product", "input"], ["joined"], name="product, but no constant"),
            helper.make_node("Sigmoid", ["filtered"], ["gate"], name="behind a convolution"),
        ]
    )
    assert rehearsal.reached(model, "Add")[2:] == ["constant, but no product", "product, but no constant"]
    assert rehearsal.reached(model, "Sigmoid") == ["behind a convolution"]


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
    inside = Runs(model, ["sum"])(values[0])["sum"] - Runs(rounded, ["sum_rounded"])(values[0])["sum_rounded"]
    assert losses[2].mse == pytest.approx(float(np.mean(inside**2)), rel=1e-4) != 0


def test_an_operator_that_gives_only_zeros_loses_nothing():
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("input", "out")]
    nodes = [helper.make_node("Relu", ["input"], ["out"], name="relu")]
    model = helper.make_model(
        helper.make_graph(nodes, "zeros", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 11)],
        ir_version=8,
    )
    values = [np.zeros((1, 1, 4, 4), np.float32)]
    rounded = quantize.quantize(quantize.calibrate(model, values))
    (loss,) = rehearsal.layer_losses(model, rounded, values)
    assert (loss.cosine, loss.mse) == (1, 0)


def test_the_choice_lowers_the_noise_and_is_a_configuration(graph: onnx.ModelProto):
    observed = quantize.calibrate(graph, PICTURES[:2])
    plain, chosen = rehearsal.choose(observed, PICTURES[2:])
    assert 1 <= len(chosen) <= rehearsal.FEW
    noises = [plain, *(choice.noise for choice in chosen)]
    assert all(after <= rehearsal.WORTHWHILE * before for before, after in pairwise(noises))
    assert not {choice.op_type for choice in chosen} & {"Conv", "Gemm"}
    (entry,) = rehearsal.layer_configs(chosen)
    assert validate({"quant": {"layer_configs": [entry]}})
    wide = {name for choice in chosen for name in rehearsal.reached(graph, choice.op_type)}
    again = rehearsal.noise(
        rehearsal.logits(quantize.quantize(observed, wide=wide), PICTURES[2:]),
        rehearsal.logits(graph, PICTURES[2:]),
    )
    assert again == pytest.approx(chosen[-1].noise)


def chosen_by(
    noises: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    kinds: Sequence[str] = ("Add", "Conv", "Div", "Exp", "Mul", "Reshape"),
) -> list[str]:
    """What `choose` takes when the noise is this by the first letters of the kinds at 16 bits, else 1."""
    nodes = [helper.make_node(kind, [f"read by {kind}"], [kind], name=kind) for kind in kinds]
    model = helper.make_model(helper.make_graph(nodes, "kinds", [], []))

    def quantized(_: quantize.Observed, *, method: str, wide: list[str]) -> str:
        assert method == "KL"
        return "".join(sorted(name[0] for name in wide))

    monkeypatch.setattr(rehearsal, "quantize", quantized)
    monkeypatch.setattr(rehearsal, "logits", lambda graph, _: graph)
    monkeypatch.setattr(rehearsal, "noise", lambda found, _: noises.get(found, 1.0))
    plain, chosen = rehearsal.choose(quantize.Observed(model, {}), PICTURES, method="KL")
    letters = [choice.op_type[0] for choice in chosen]
    found = ["".join(sorted(letters[:count])) for count in range(len(letters) + 1)]
    assert [plain, *(choice.noise for choice in chosen)] == [noises.get(wide, 1.0) for wide in found]
    return [choice.op_type for choice in chosen]


@pytest.mark.parametrize(
    ("noises", "kinds"),
    [
        ({"A": 0.9, "M": 0.8, "AM": 0.7, "DM": 0.6, "ADM": 0.5, "ADEM": 0.1}, ["Mul", "Div", "Add"]),
        ({"M": 0.85}, ["Mul"]),
        ({"M": 0.86, "A": 0.9}, []),
        ({"M": 0.5, "DM": 0.43}, ["Mul"]),
        ({"A": 0.5, "D": 0.5, "E": 0.5, "M": 0.5}, ["Add"]),  # alike: the first by name
    ],
)
def test_kinds_are_taken_one_by_one_while_each_is_worthwhile(
    noises: dict[str, float], kinds: list[str], monkeypatch: pytest.MonkeyPatch
):
    assert chosen_by(noises, monkeypatch) == kinds


@pytest.mark.parametrize("others", [[], ["Add"], ["Add", "Div"]])
def test_a_graph_of_few_kinds_can_run_out_of_them(others: list[str], monkeypatch: pytest.MonkeyPatch):
    noises = {"A": 0.5, "D": 0.6, "AD": 0.2}
    assert chosen_by(noises, monkeypatch, ["Conv", "Gemm", *others]) == others


def test_a_choice_is_one_entry_of_16_bits():
    (entry,) = rehearsal.layer_configs([rehearsal.Choice("Add", 0.2), rehearsal.Choice("Mul", 0.1)])
    assert entry == {"op_types": ["Add", "Mul"], "data_type": "U16"}


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
    assert not {layer.type for layer in first.layers} & quantize.MOVING

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


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (9, 1), (11, 2)])
def test_the_last_fifth_measures_and_the_others_set_the_ranges(
    count: int, held_out: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pictures = [np.full((1, 1, 4, 4), place, np.float32) for place in range(1, count + 1)]
    onnx.save(toy(), tmp_path / "toy.onnx")
    measured = []

    def choose(observed: quantize.Observed, given: list[np.ndarray], *, method: str):
        assert observed.seen["input"].high == count - held_out
        assert method == "Percentile"
        measured.extend(given)
        return 0.5, [rehearsal.Choice("Add", 0.25), rehearsal.Choice("Relu", 0.125)]

    monkeypatch.setattr(rehearsal, "choose", choose)
    made = rehearsal.rehearse(tmp_path / "toy.onnx", tmp_path / "out", pictures=pictures, method="Percentile")
    assert [int(picture.max()) for picture in measured] == list(range(count - held_out + 1, count + 1))
    assert (made.noise, made.noise_mixed) == (0.5, 0.125)
    observed = quantize.calibrate(toy(), pictures[: count - held_out])
    assert onnx.load(made.quantized) == quantize.quantize(observed, method="Percentile")
    assert made.layers == tuple(rehearsal.layer_losses(toy(), onnx.load(made.quantized), measured))


def test_without_a_choice_the_mixed_graph_is_the_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    onnx.save(toy(), tmp_path / "toy.onnx")
    monkeypatch.setattr(rehearsal, "choose", lambda *_, **__: (0.5, []))
    pictures = [np.full((1, 1, 4, 4), place, np.float32) for place in (1, 2)]
    made = rehearsal.rehearse(tmp_path / "toy.onnx", tmp_path / "out", pictures=pictures)
    assert (made.noise, made.noise_mixed, made.layer_configs) == (0.5, 0.5, ())


def test_one_picture_cannot_calibrate_and_measure(path: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="needs two or more"):
        rehearsal.rehearse(path, tmp_path, pictures=PICTURES[:1])
