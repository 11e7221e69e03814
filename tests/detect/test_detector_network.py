"""The authors' detector: its size, a file in their layout against another implementation, and other files."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from helpers.detect import weights
from helpers.detect.network import flat, m4_retinanet
from helpers.model import layout
from helpers.model.reference import timm
from helpers.model.source import CheckpointError
from helpers.model.trace import trace
from helpers.model.weights import load as load_classifier

M4 = "efficientvit_m4"
SHAPES = {
    **{f"neck.lateral_convs.{i}.conv": (256, width, 1, 1) for i, width in enumerate((128, 256, 384))},
    **{f"neck.fpn_convs.{i}.conv": (256, width, 3, 3) for i, width in enumerate((256, 256, 256, 384))},
    "neck.extra_trans_convs.0.conv": (256, 256, 2, 2),
    "neck.extra_fpn_convs.0.conv": (256, 256, 3, 3),
    **{f"bbox_head.{of}_convs.{i}.conv": (256, 256, 3, 3) for of in ("cls", "reg") for i in range(4)},
    "bbox_head.retina_cls": (720, 256, 3, 3),
    "bbox_head.retina_reg": (36, 256, 3, 3),
}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """What the authors' file holds: 730 tensors, none of them degenerate."""
    template = timm.create_model(M4, img_size=448, num_classes=0)
    trained = layout.at_size(load_classifier(M4, "random").state_dict(), template)
    held = {key: value for key, value in trained.items() if not key.startswith("head.")}
    held |= {key: value for key, value in template.named_buffers() if key.endswith("attention_bias_idxs")}
    held = {f"backbone.{layout.official_name(key)}": value for key, value in held.items()}
    draw = torch.Generator().manual_seed(0)
    for name, shape in SHAPES.items():
        fan_in = shape[1] * shape[2] * shape[3]
        held[f"{name}.weight"] = torch.randn(shape, generator=draw) * (2 / fan_in) ** 0.5
        outputs = shape[1 if "trans" in name else 0]
        held[f"{name}.bias"] = torch.rand(outputs, generator=draw) - 0.5
    assert len(held) == 730
    return held


def saved(state: Mapping[str, Tensor], path: Path) -> Path:
    moments = {0: {"step": 3, "exp_avg": torch.zeros(4)}}
    meta = {"epoch": 12, "mmdet_version": "2.19.1", "CLASSES": ("person", "bicycle")}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    torch.save({"meta": meta, "state_dict": dict(state), "optimizer": optimizer}, path)
    return path


@torch.no_grad()
def maps(state: Mapping[str, Tensor], images: Tensor) -> list[Tensor]:
    """The ten maps by timm's backbone and plain functions, from the published code's description."""
    held = {
        layout.timm_name(key.removeprefix("backbone.")): value
        for key, value in state.items()
        if key.startswith("backbone.") and not key.endswith("idxs")
    }
    backbone = timm.create_model(M4, img_size=images.shape[-1], num_classes=0).eval()
    backbone.load_state_dict(held)
    x, stages = backbone.patch_embed(images), []
    for stage in backbone.stages:
        stages.append(x := stage(x))

    def conv(x: Tensor, name: str, **options: int) -> Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    p4, p5, p6 = (conv(stage, f"neck.lateral_convs.{i}.conv") for i, stage in enumerate(stages))
    p5 = p5 + p6.repeat_interleave(2, 2).repeat_interleave(2, 3)
    p4 = p4 + p5.repeat_interleave(2, 2).repeat_interleave(2, 3)
    up = "neck.extra_trans_convs.0.conv"
    p3 = functional.conv_transpose2d(p4, state[f"{up}.weight"], state[f"{up}.bias"], stride=2)
    levels = [conv(p3, "neck.extra_fpn_convs.0.conv", padding=1)]
    levels += [conv(p, f"neck.fpn_convs.{i}.conv", padding=1) for i, p in enumerate((p4, p5, p6))]
    levels.append(conv(stages[2], "neck.fpn_convs.3.conv", stride=2, padding=1))
    found = []
    for tower in ("cls", "reg"):
        for x in levels:
            for i in range(4):
                x = conv(x, f"bbox_head.{tower}_convs.{i}.conv", padding=1).relu()
            found.append(conv(x, f"bbox_head.retina_{tower}", padding=1))
    return found


@pytest.mark.parametrize("size", [448, 640])
@torch.no_grad()
def test_a_file_in_the_authors_layout_gives_their_maps(state: dict[str, Tensor], tmp_path: Path, size: int):
    network = weights.load(saved(state, tmp_path / "retinanet.pth"))
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(size))
    for found, expected in zip(network(images), maps(state, images), strict=True):
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < 1e-4 * expected.std()


def test_it_has_the_published_size_and_work():
    network = m4_retinanet()
    parts = [sum(p.numel() for p in part.parameters()) for part in network.children()]
    assert parts == [8_418_856, 3_705_088, 6_463_220] and sum(parts) == 18_587_164
    for size, gmacs in ((448, 30.85), (512, 40.39), (640, 62.98)):
        operations = sum(op.flops or 0 for op in trace(network, (1, 3, size, size)))
        assert operations / 2e9 == pytest.approx(gmacs, rel=0.01)


def test_a_fresh_head_sees_an_object_in_one_of_a_hundred_anchors():
    assert m4_retinanet().bbox_head.retina_cls.bias.sigmoid().unique().item() == pytest.approx(0.01)


def test_maps_are_flattened_in_the_order_of_the_anchors():
    level = torch.arange(2 * 3 * 2 * 2.0).reshape(1, 6, 2, 2)  # two anchors of three values, four cells
    assert flat([level], 3)[0, 3].tolist() == [level[0, c, 0, 1].item() for c in (3, 4, 5)]


def test_a_classifier_becomes_the_backbone_its_small_windows_grown():
    classifier = load_classifier(M4, "random")
    network = weights.from_classifier("random")
    tables = classifier.state_dict()
    for stage, side in ((0, 7), (1, 7), (2, 4)):
        old = tables[f"stages.{stage}.blocks.0.mixer.m.attn.attention_biases"]
        wanted = functional.interpolate(old.reshape(1, 4, side, side), (7, 7), mode="bicubic")[0].flatten(1)
        heads = network.backbone.stages[stage].blocks[0].attention.body.attention.heads
        torch.testing.assert_close(torch.stack([head.bias_table for head in heads]), wanted)


def without(*names: str, **more: Tensor):
    return lambda state: (
        {key: value for key, value in state.items() if not key.startswith(names or "-")}
        | {key.replace("__", "."): value for key, value in more.items()}
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("neck", "bbox_head"), "classifier's checkpoint, without neck and head"),
        (without("neck.fpn_convs.3"), r"another neck: 2 missing: neck\.fpn_convs\.3\.conv"),  # a pool instead
        (
            without("bbox_head", rpn_head__rpn_cls__weight=torch.zeros(3, 256, 1, 1)),
            "no RetinaNet .*rpn_head",
        ),
        (without(neck__lateral_convs__0__conv__bias=torch.full((256,), torch.nan)), "cannot be meant"),
    ],
)
def test_another_file_is_refused_in_one_sentence(state, tmp_path: Path, change, said: str):
    with pytest.raises(CheckpointError, match=said) as refusal:
        weights.load(saved(change(state), tmp_path / "other.pth"))
    assert not re.search(r"\n", str(refusal.value))


def test_the_hub_has_no_detector():
    with pytest.raises(CheckpointError, match="no detector"):
        weights.load("timm")
