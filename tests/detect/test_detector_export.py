"""The detector on its way to the board, as a small network of the same kind."""

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from helpers import chain
from helpers.detect import export as exports
from helpers.detect import weights
from helpers.detect.export import MODEL, export
from helpers.detect.network import Backbone, Detector, EfficientViTFPN, RetinaHead
from helpers.detect.results import OUTPUTS, detections
from helpers.graph.graph import Graph, load
from helpers.model.source import CheckpointError
from helpers.model.variants import POCKET
from helpers.pulsar2 import config
from helpers.pulsar2.archive import pictures
from helpers.pulsar2.preflight import preflight
from helpers.pulsar2.rehearse import preprocessing_of
from helpers.quant import quantize


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Detector:
    torch.manual_seed(0)
    network = Detector(Backbone(POCKET), EfficientViTFPN(POCKET.widths, 16), RetinaHead(2, 16, depth=1))
    for module in network.bbox_head.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    monkeypatch.setattr(weights, "load", lambda _: network.eval())
    return network


@pytest.mark.parametrize(("opset", "size"), [(11, 640), (13, 512), (18, 448)])
def test_ten_static_maps_that_preflight_takes(tmp_path: Path, opset: int, size: int):
    made = export(MODEL, tmp_path, checkpoint="random", opset=opset, image_size=size)
    graph = Graph(load(made.simplified))
    assert graph.opset == opset
    sides = [size // 8, size // 16, size // 32, size // 64, -(-size // 128)]
    shapes = [(1, channels, side, side) for channels in (18, 36) for side in sides]
    assert graph.ends == {"input": (1, 3, size, size), **dict(zip(OUTPUTS, shapes, strict=True))}
    assert OUTPUTS[0] == "class_8" and OUTPUTS[-1] == "box_128"
    assert ("Pad" in graph.operators) == (size != 448)
    assert not {"BatchNormalization", "Shape", "NonMaxSuppression"} & graph.operators.keys()
    assert made.classes == 2
    assert not [found for found in preflight(made.simplified) if found.level == "fail"]
    if opset == 11:  # whose Resize reads an empty constant, which has no range
        assert quantize.calibrate(graph.model, [np.ones((1, 3, size, size), np.float32)]).stats


def test_deploy_takes_it_to_preflight_with_letterboxed_pictures(tmp_path: Path, small: Detector):
    steps = chain.deploy(MODEL, tmp_path, checkpoint="random")
    done = {each.step: each for each in itertools.takewhile(lambda each: each.step != "build", _until(steps))}
    assert [*done] == ["export", "calibrate", "rehearse", "configure", "preflight"]
    rehearsed = onnx.load(done["rehearse"].artifact)
    assert [value.name for value in rehearsed.graph.output] == OUTPUTS
    written = config.read(done["configure"].artifact)
    assert written.quant.input_configs[0].calibration_mean == pytest.approx((103.53, 116.28, 123.675))
    fed = export(MODEL, tmp_path, checkpoint="random").preprocessing  # kept
    assert preprocessing_of(onnx.load(done["export"].artifact), done["configure"].artifact).fit == fed.fit
    (picture,) = pictures(done["calibrate"].artifact, fed, 1)
    assert np.abs(picture[0, :, -1, -1]).max() < 0.01  # the mean colour below the picture
    with torch.inference_mode():
        maps = [each.numpy() for each in small(torch.tensor(picture[:, ::-1].copy()))]
    assert all(0 <= found.box[0] <= found.box[2] <= 300 for found in detections(maps, (300, 300), (448, 448)))


def _until(steps):
    try:
        yield from steps
    except chain.CannotGoOn:
        return


@pytest.mark.parametrize(("size", "said"), [(384, "7 × 7 tokens"), (450, "multiple of 64"), (704, "to 640")])
def test_a_size_that_cannot_be_is_refused_with_the_reason(tmp_path: Path, size: int, said: str):
    with pytest.raises(ValueError, match=said):
        export(MODEL, tmp_path / "out", image_size=size)
    assert not (tmp_path / "out").exists()


def test_another_model_goes_the_classifiers_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exports.classifiers, "export", lambda model, out, **_: (model, out))
    assert export("efficientvit_m0", tmp_path) == ("efficientvit_m0", tmp_path)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(CheckpointError, match="there is no file"):
        export(MODEL, tmp_path / "out", checkpoint=tmp_path / "none.pth")
