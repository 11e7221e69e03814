"""Weights of the detector: a file in the authors' layout, a classifier's as backbone, or random ones.

The published file could not be had; its names were derived from the published code, and a file of our own
making is held against them. The names of the backbone are those of a classifier's file, and read as such.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from helpers.detect.boxes import COCO_GRID
from helpers.detect.export import MODEL, SIZE
from helpers.detect.network import CLASSES, Detector, m4_retinanet
from helpers.model import layout
from helpers.model.checkpoint import read
from helpers.model.network import rename_timm_weights
from helpers.model.reference import one_thread, seeded, timm
from helpers.model.source import RANDOM, CheckpointError, find
from helpers.model.weights import load as load_classifier

M4 = "efficientvit_m4"
_OURS = re.compile(r"^(?:.*\.)?(?=(?:neck|bbox_head|rpn_head|roi_head)\.)")  # before what no classifier has


def load(checkpoint: str | Path | None = None) -> Detector:
    """The detector in eval mode, with as many classes as the file has (80 for COCO).

    `checkpoint` is a file in the authors' layout, of which no code runs, or "random"; left out, it is what
    `find` decides. Raises CheckpointError, with the reason, for a file that does not fit.
    """
    source = find(checkpoint, name=MODEL)
    if source.file:
        return _from_file(source.file)
    if source.checkpoint != RANDOM:
        raise CheckpointError("timm's hub has no detector: give a file in the authors' layout, or 'random'")
    return _random()


def from_classifier(checkpoint: str | Path | None, *, classes: int = CLASSES) -> Detector:
    """A detector to be trained: M4's ImageNet weights as its backbone, neck and head fresh; in eval mode.

    `checkpoint` is what `helpers.model.weights.load` takes, and its errors are those. The last stage's bias
    tables, 4 × 4, become 7 × 7 by bicubic interpolation, as in the authors' loader.
    """
    with seeded(0):
        network = m4_retinanet(classes)
    trained = layout.at_size(load_classifier(M4, checkpoint).state_dict(), _template())
    kept = {key: value for key, value in trained.items() if not key.startswith("head.")}
    network.backbone.load_state_dict(rename_timm_weights(kept))
    return network.eval()


def _template() -> Any:
    """timm's M4 with the detector's windows and no head: which weights a backbone has."""
    return timm.create_model(M4, img_size=SIZE, num_classes=0)


@one_thread()
@torch.no_grad()
def _random() -> Detector:
    """Scrambled, so that an error anywhere shows: logits vary by 1 around the prior's, deltas by 0.3."""
    network = from_classifier("random")
    head, generator = network.bbox_head, torch.Generator().manual_seed(0)
    for part in (*network.neck.modules(), *head.modules()):
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            part.weight.normal_(std=(2 / part.weight[0].numel()) ** 0.5, generator=generator)
            if part is not head.retina_cls and part.bias is not None:
                part.bias.uniform_(-0.1, 0.1, generator=generator)
    maps = network(torch.randn(1, 3, SIZE, SIZE, generator=generator))
    for last, level, spread in ((head.retina_cls, maps[0], 1.0), (head.retina_reg, maps[5], 0.3)):
        last.weight.mul_(float(f"{spread / level.std():.2g}"))  # two digits, the same on every machine
    return network


def _from_file(path: Path) -> Detector:
    state = {_OURS.sub("", key): value for key, value in read(path).items()}
    if not any(_OURS.match(key) for key in state):
        raise CheckpointError(
            f"{path} is a classifier's checkpoint, without neck and head: give a detector's, or train one "
            "that begins with it (helpers.detect.weights.from_classifier)"
        )
    bias = state.get("bbox_head.retina_cls.bias")
    network = m4_retinanet(CLASSES if bias is None else max(1, bias.numel() // COCO_GRID.per_cell))
    template = _template()
    template.neck, template.bbox_head = network.neck, network.bbox_head
    if reasons := layout.misfit(state, template):
        neck = any("neck." in reason for reason in reasons)
        what = "a detector with another neck" if neck else "no RetinaNet on EfficientViT-M4"
        raise CheckpointError(f"{path} holds {what}: {'; '.join(reasons)}")
    fitting = layout.to_timm(path, state, template)
    others = {key: fitting.pop(key) for key in [*fitting] if _OURS.match(key)}
    backbone = {f"backbone.{key}": value for key, value in rename_timm_weights(fitting).items()}
    network.load_state_dict(backbone | others)
    return network.eval()
