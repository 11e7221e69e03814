"""INT8 simulated: losses by layer and group, the choice of 16 bits, and which pictures do what."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import helper
from small_graphs import graph as small
from small_graphs import node

from helpers.graph import convert
from helpers.graph.fold import FOLDS, fold
from helpers.graph.metrics import nsr
from helpers.model import weights
from helpers.quant import quantize, simulate
from helpers.quant.statistics import TensorReader

PICTURES = [np.random.default_rng(seed).normal(size=(1, 3, 224, 224)).astype(np.float32) for seed in range(3)]


def toy() -> onnx.ModelProto:
    """A product, a constant added to it, and an addition of two activations."""
    nodes = [
        helper.make_node("MatMul", ["input", "input"], ["product"], name="product"),
        helper.make_node("Add", ["product", "table"], ["biased"], name="bias"),
        helper.make_node("Add", ["biased", "input"], ["sum"], name="residual"),
        helper.make_node("Conv", ["sum", "kernel"], ["filtered"], name="conv"),
        helper.make_node("Relu", ["filtered"], ["kept"], name="fused"),
        helper.make_node("Relu", ["sum"], ["other"], name="alone"),
        helper.make_node("Add", ["kept", "other"], ["logits"], name="last"),
    ]
    table, kernel = np.full((1, 1, 4, 4), 0.3, np.float32), np.ones((1, 1, 1, 1), np.float32)
    return small(*nodes, shape=[1, 1, 4, 4], table=table, kernel=kernel)


def test_every_operator_that_computes_is_in_one_group(graph: onnx.ModelProto):
    found = simulate.groups(graph)
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
    assert simulate.groups(helper.make_model(helper.make_graph(nodes, "g", [], []))) == {
        "first convolution": ["first"],
        "other convolutions": ["point-wise", "plain"],
        "depth-wise convolutions": ["depth-wise"],
    }


def test_an_entry_does_not_reach_what_is_fused():
    assert simulate.reached(toy(), "Add") == ["residual", "last"]
    assert simulate.reached(toy(), "Relu") == ["alone"]


def test_an_entry_reaches_what_only_looks_fused():
    model = toy()
    model.graph.node.extend(
        [
            helper.make_node("Add", ["other", "table"], ["shifted"], name="constant, but no product"),
            helper.make_node("Add", ["product", "input"], ["joined"], name="product, but no constant"),
            helper.make_node("Sigmoid", ["filtered"], ["gate"], name="behind a convolution"),
        ]
    )
    assert simulate.reached(model, "Add")[2:] == ["constant, but no product", "product, but no constant"]
    assert simulate.reached(model, "Sigmoid") == ["behind a convolution"]


def test_layer_losses_are_cosine_and_mean_squared_error():
    model = toy()
    values = [np.random.default_rng(0).normal(size=(1, 1, 4, 4)).astype(np.float32)]
    rounded = quantize.quantize(quantize.calibrate(model, values))
    losses = simulate.layer_losses(model, rounded, values)
    assert [entry.operator for entry in losses] == ["product", "bias", "residual", "fused", "alone", "last"]
    exact, found = (simulate.logits(entry, values) for entry in (model, rounded))
    assert losses[-1].mse == pytest.approx(float(np.mean((exact - found) ** 2)), rel=1e-4)
    cosine = float((exact * found).sum() / np.linalg.norm(exact) / np.linalg.norm(found))
    assert losses[-1].cosine == pytest.approx(cosine, abs=1e-6)
    inside = (
        TensorReader(model, ["sum"])(values[0])["sum"]
        - TensorReader(rounded, ["sum_rounded"])(values[0])["sum_rounded"]
    )
    assert losses[2].mse == pytest.approx(float(np.mean(inside**2)), rel=1e-4) != 0


def test_an_operator_that_gives_only_zeros_loses_nothing():
    model, values = small(node("Relu"), shape=[1, 1, 4, 4]), [np.zeros((1, 1, 4, 4), np.float32)]
    (loss,) = simulate.layer_losses(model, quantize.quantize(quantize.calibrate(model, values)), values)
    assert (loss.cosine, loss.mse) == (1, 0)


def test_the_choice_lowers_the_noise_and_leaves_convolutions_alone(graph: onnx.ModelProto):
    calibration = quantize.calibrate(graph, PICTURES[:2])
    chosen = simulate.choose(calibration, PICTURES[2:])
    assert 1 <= len(chosen) <= simulate.FEW
    exact, noises = simulate.logits(graph, PICTURES[2:]), []
    for count in range(len(chosen) + 1):
        wide = simulate.reached(graph, *chosen[:count])
        rounded = quantize.quantize(calibration, int16_nodes=wide)
        noises.append(nsr(simulate.logits(rounded, PICTURES[2:]), exact))
    assert all(after <= simulate.WORTHWHILE * before for before, after in pairwise(noises))
    assert not {*chosen} & {"Conv", "Gemm"}


def chosen_by(
    noises: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    kinds: Sequence[str] = ("Add", "Conv", "Div", "Exp", "Mul", "Reshape"),
) -> list[str]:
    """What `choose` takes when the noise is this by the first letters of the kinds at 16 bits, else 1."""
    nodes = [helper.make_node(kind, [f"read by {kind}"], [kind], name=kind) for kind in kinds]
    model = helper.make_model(helper.make_graph(nodes, "kinds", [], []))

    def rounded(_: quantize.Calibration, *, int16_nodes: list[str]) -> str:
        return "".join(sorted(name[0] for name in int16_nodes))

    monkeypatch.setattr(simulate, "quantize", rounded)
    monkeypatch.setattr(simulate, "outputs", lambda graph, _: graph)
    monkeypatch.setattr(simulate, "mean_nsr", lambda found, _: noises.get(found, 1.0))
    return simulate.choose(quantize.Calibration(model, {}), PICTURES)


@pytest.mark.parametrize(
    ("noises", "kinds"),
    [
        ({"M": 0.6, "D": 0.7, "A": 0.8, "E": 0.9, "DM": 0.5, "ADM": 0.4, "ADEM": 0}, ["Mul", "Div", "Add"]),
        ({"M": 0.6, "D": 0.7, "A": 0.8, "DM": 0.52, "AM": 0.5}, ["Mul", "Add"]),  # Div adds too little
        ({"M": 0.85}, ["Mul"]),
        ({"M": 0.86, "A": 0.9}, []),
        ({"M": 0.5, "DM": 0.43}, ["Mul"]),
        ({"A": 0.5, "D": 0.5, "E": 0.5, "M": 0.5}, ["Add"]),  # alike: the first by name
    ],
)
def test_kinds_are_taken_in_the_order_of_what_each_does_alone_if_worthwhile(
    noises: dict[str, float], kinds: list[str], monkeypatch: pytest.MonkeyPatch
):
    assert chosen_by(noises, monkeypatch) == kinds


@pytest.mark.parametrize("others", [[], ["Add"], ["Add", "Div"]])
def test_a_graph_of_few_kinds_can_run_out_of_them(others: list[str], monkeypatch: pytest.MonkeyPatch):
    noises = {"A": 0.5, "D": 0.6, "AD": 0.2}
    assert chosen_by(noises, monkeypatch, ["Conv", "Gemm", *others]) == others


def test_a_folded_residual_costs_precision(graph: onnx.ModelProto):
    """What chapter 06 tells: the fold is exact in float and not in INT8."""
    folds = tuple(name for name in FOLDS if name != "residuals")
    model = weights.load("efficientvit_m0", "random")
    kept = convert.simplify(convert.to_onnx(fold(model, folds=folds)))
    noises = [
        nsr(
            simulate.logits(quantize.quantize(quantize.calibrate(entry, PICTURES[:2])), PICTURES[2:]),
            simulate.logits(entry, PICTURES[2:]),
        )
        for entry in (graph, kept)
    ]
    assert noises[1] < 0.8 * noises[0]


def ramps(count: int) -> list[np.ndarray]:
    """Pictures from 0 to 1, from 0 to 2, …"""
    return [np.linspace(0, top, 16, dtype=np.float32).reshape(1, 1, 4, 4) for top in range(1, count + 1)]


@pytest.mark.parametrize(("count", "held_out"), [(2, 1), (9, 1), (11, 2)])
def test_the_last_fifth_measures_and_the_others_calibrate_and_choose(
    count: int, held_out: int, monkeypatch: pytest.MonkeyPatch
):
    pictures = ramps(count)
    choosing = []
    monkeypatch.setattr(simulate, "WORTHWHILE", 100.0)  # whatever was chosen is confirmed

    def choose(calibration: quantize.Calibration, given: list[np.ndarray]):
        assert calibration.stats["input"].high == count - held_out
        choosing.extend(given)
        return ["Add", "Relu"]

    monkeypatch.setattr(simulate, "choose", choose)
    quantized, made = simulate.simulate_int8(toy(), pictures)
    assert [int(picture.max()) for picture in choosing] == list(range(1, held_out + 1))
    assert (made["int16"], made["pictures"]) == (["Add", "Relu"], held_out)
    measured = pictures[-held_out:]
    calibration = quantize.calibrate(toy(), pictures[:-held_out])
    assert quantized == quantize.quantize(calibration)
    mixed = quantize.quantize(calibration, int16_nodes=["residual", "last", "alone"])
    for graph, noise in ((quantized, made["nsr"]), (mixed, made["nsr_mixed"])):
        found, exact = (simulate.logits(each, measured) for each in (graph, toy()))
        assert noise == pytest.approx(nsr(found, exact)) and noise > 0
    assert made["nsr_mixed"] != made["nsr"]
    losses = simulate.layer_losses(toy(), quantized, measured)
    assert made["layers"] == [asdict(layer) for layer in losses]


@pytest.mark.parametrize(("picked", "worthwhile"), [({"Add": 0.25}, 0.0), ({}, simulate.WORTHWHILE)])
def test_without_a_choice_that_other_pictures_confirm_the_mixed_graph_is_the_plain_one(
    picked: dict[str, float], worthwhile: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(simulate, "choose", lambda *_, **__: (0.5, picked))
    monkeypatch.setattr(simulate, "WORTHWHILE", worthwhile)
    _, made = simulate.simulate_int8(toy(), ramps(2))
    assert made["nsr_mixed"] == made["nsr"] > 0
    assert made["int16"] == []


def test_one_picture_cannot_calibrate_and_measure():
    with pytest.raises(ValueError, match="1 picture"):
        simulate.simulate_int8(toy(), PICTURES[:1])
