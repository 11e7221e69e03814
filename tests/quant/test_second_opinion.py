"""ONNX Runtime's quantiser, and the one rule that tells it from Pulsar2's on a convolutional network."""

import json
import logging

import numpy as np
import onnx
import pytest
from onnx import helper
from small_graphs import graph as small

from helpers.graph.graph import Graph
from helpers.graph.metrics import nsr
from helpers.graph.preprocess import Preprocessing
from helpers.quant import photographs, second_opinion
from helpers.quant.quantize import calibrate, quantize
from helpers.quant.second_opinion import by_onnxruntime, kept
from helpers.quant.simulate import logits

PICTURES = [np.random.default_rng(seed).normal(size=(1, 4, 8, 8)).astype(np.float32) for seed in range(6)]


@pytest.fixture(scope="module")
def convolutions() -> onnx.ModelProto:
    """Depth-wise and point-wise, with a Clip between them, as in a MobileNet."""
    draw = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["input", "depth"], ["d"], name="d", group=4, pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["d", "zero", "six"], ["c"], name="c"),
        helper.make_node("Conv", ["c", "point"], ["p"], name="p"),
        helper.make_node("GlobalAveragePool", ["p"], ["g"], name="g"),
        helper.make_node("Flatten", ["g"], ["logits"], name="f"),
    ]
    depth, point = (draw.normal(size=size).astype(np.float32) for size in ((4, 1, 3, 3), (8, 4, 1, 1)))
    ends = {"zero": np.float32(0), "six": np.float32(6)}
    return small(*nodes, opset=13, shape=[1, 4, 8, 8], out=[1, 8], depth=depth, point=point, **ends)


def test_its_graph_has_codes_for_weights_and_tensors(
    convolutions: onnx.ModelProto, caplog: pytest.LogCaptureFixture
):
    before, level = convolutions.SerializeToString(), logging.getLogger().level
    found = Graph(by_onnxruntime(convolutions, PICTURES))
    assert convolutions.SerializeToString() == before
    assert not caplog.records and logging.getLogger().level == level
    assert found.operators["QuantizeLinear"] and not found.operators["Clip"]
    weights = [node for node in found.nodes if found.constants.keys() & {node.input[0]}]
    kinds = {
        found.constants[node.input[0]].data_type for node in weights if node.op_type == "DequantizeLinear"
    }
    assert onnx.TensorProto.INT8 in kinds
    scales = {found.constant(node.input[1]).size for node in weights}
    assert {4, 8} <= scales  # one for each output channel


def test_with_its_scale_for_weights_the_simulation_is_its_equal(convolutions: onnx.ModelProto):
    exact = logits(convolutions, PICTURES)
    theirs = logits(by_onnxruntime(convolutions, PICTURES), PICTURES)
    ours, same = (
        logits(quantize(calibrate(convolutions, PICTURES, weight_top=top)), PICTURES) for top in (127.5, 127)
    )
    assert nsr(same, theirs) < 0.2 * nsr(ours, theirs)
    assert nsr(ours, exact) < 0.01


def test_the_photograph_is_what_is_counted():
    exact = np.eye(6, dtype=np.float32)
    found = exact.copy()
    found[1] = -exact[1]
    told = kept(found, exact, of=3)  # shares of 0.5, 1 and 1
    half = 4.303 * np.std([0.5, 1, 1], ddof=1) / np.sqrt(3)
    assert (told["pictures"], told["photographs"]) == (6, 3)
    assert told["agreement"] == pytest.approx(5 / 6)
    assert told["agreement_95"] == pytest.approx((5 / 6 - half, 1))
    assert told["cosine_median"] == 1


def test_the_command_prints_both_and_fails_below_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    few = photographs.fed(1, Preprocessing("rgb", mean=(127,) * 3, std=(128,) * 3))
    monkeypatch.setattr(photographs, "fed", lambda *_: few)
    monkeypatch.setattr(second_opinion, "BARS", {"cosine_median": 0.95, "agreement": 0.5})
    assert second_opinion.main() == 0
    ours, theirs = map(json.loads, capsys.readouterr().out.splitlines())
    assert min(ours["agreement"], theirs["agreement"]) > 0.5
    assert theirs["sqnr_db"] > ours["sqnr_db"] + 0.5 > 10.5  # by its scale for weights
    monkeypatch.setattr(photographs, "crossed", lambda fed, quantizer: -np.eye(14, 1000))
    assert second_opinion.main() == 1
