"""The pocket detector: the authors' RetinaNet on the pocket model, narrow, trained on drawn scenes.

Head, coder and rules are those of `helpers.detect`. Its levels are the backbone's own, strides 16, 32 and 64,
since no object here is small; windows are those of classification at 224 pixels (7, 7 and 4 tokens wide), so
that no map needs padding.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from helpers.detect.boxes import BACKGROUND, IGNORED, AnchorGrid, targets
from helpers.detect.network import Backbone, Detector, RetinaHead, dense, flat
from helpers.files import DATA
from helpers.model.network import rename_timm_weights
from helpers.model.reference import seeded, sigmoid_focal_loss, to_input
from helpers.model.trace import IMAGE, trace
from helpers.model.variants import INPUT_SIZE, POCKET
from helpers.model.weights import load as load_classifier
from helpers.pocket import scenes, training
from helpers.pocket.data import CLASSES
from helpers.pocket.scenes import Scenes
from helpers.pocket.training import Recipe

Tower = Literal["dense", "depth-wise"]
Answers = tuple[Tensor, Tensor]  # what every anchor learns: labels and deltas, `targets`
WEIGHTS = DATA / "weights" / "pocket_detector.safetensors"
WIDTH, DEPTH = 64, 2  # channels of neck and towers, layers of a tower; the authors have 256 and 4
GRID = AnchorGrid(strides=(16, 32, 64), scale=3)  # from 48 pixels on
ANCHORS = GRID.all([(14, 14), (7, 7), (4, 4)])
OUTPUTS = GRID.outputs
RECIPE = Recipe(
    pictures=6000,
    epochs=4,
    batch=8,
    peak_rate=1.5e-3,
    warmup_epochs=0.1,
    label_smoothing=0.0,
    data_version=scenes.VERSION,
)


class PocketFPN(nn.Module):
    """The authors' neck without the levels that it adds to the backbone's: three stages, three levels."""

    def __init__(self, inputs: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in inputs)
        self.output = nn.ModuleList(dense(width) for _ in inputs)

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        levels = [lateral(stage) for lateral, stage in zip(self.lateral, stages, strict=True)]
        for place in reversed(range(1, len(levels))):
            height, width = (int(side) for side in levels[place - 1].shape[2:])
            doubled = functional.interpolate(levels[place], scale_factor=2, mode="nearest")
            levels[place - 1] = levels[place - 1] + doubled[:, :, :height, :width]  # 7 is 2 · 4 less one
        return [output(level) for output, level in zip(self.output, levels, strict=True)]


def depth_wise(width: int) -> nn.Module:
    """3 × 3 within each channel, then 1 × 1 across channels: an eighth of the work."""
    within = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
    return nn.Sequential(within, nn.Conv2d(width, width, 1))


LAYERS: dict[Tower, Callable[[int], nn.Module]] = {"dense": dense, "depth-wise": depth_wise}


def build(tower: Tower = "depth-wise") -> Detector:
    """The detector with fresh weights: images [batch, 3, 224, 224] to six maps, as `Detector` orders them."""
    head = RetinaHead(len(CLASSES), WIDTH, depth=DEPTH, convolution=LAYERS[tower])
    for part in (*head.cls_convs.modules(), *head.reg_convs.modules()):
        if isinstance(part, nn.Conv2d):  # the authors' 0.01 would shrink what passes, for a short training
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
    return Detector(Backbone(POCKET, image_size=INPUT_SIZE), PocketFPN(POCKET.widths, WIDTH), head)


def begin(tower: Tower = "depth-wise", *, seed: int = 0) -> Detector:
    """A detector to be trained: the pocket classifier as its backbone, neck and head drawn from `seed`."""
    with seeded(seed):
        network = build(tower)
    trained = load_classifier("pocket", "pocket").state_dict()
    kept = {name: value for name, value in trained.items() if not name.startswith("head.")}
    network.backbone.load_state_dict(rename_timm_weights(kept))
    return network.eval()


def load(path: Path = WEIGHTS, tower: Tower = "depth-wise") -> Detector:
    """The trained detector of a file, in eval mode; `training.card` reads what it must give."""
    network = build(tower)
    network.load_state_dict(load_file(path))
    return network.eval()


def batches(recipe: Recipe, epoch: int, drawn: Scenes) -> Iterator[tuple[Tensor, Answers]]:
    """One epoch in random order, mirrored, colour channels swapped, drawn from (seed, epoch) alone.

    Scenes that fill no batch are left out; fewer than a batch are one.
    """
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(len(drawn))
    for start in range(0, max(1, len(order) - recipe.batch + 1), recipe.batch):
        pictures, answers = [], []
        for picture, boxes, classes in drawn[np.sort(order[start : start + recipe.batch])]:
            if rng.integers(2):
                picture, boxes = picture[:, ::-1], boxes.copy()
                boxes[:, [0, 2]] = INPUT_SIZE - boxes[:, [2, 0]]
            pictures.append(picture[..., rng.permutation(3)])
            there = classes != BACKGROUND
            answers.append(targets(ANCHORS, boxes[there], classes[there]))
        labels, deltas = (torch.from_numpy(np.stack(part)) for part in zip(*answers, strict=True))
        yield to_input(np.stack(pictures)), (labels, deltas)


def loss_of(_: Recipe, maps: tuple[Tensor, ...], answers: Answers) -> Tensor:
    """RetinaNet's loss over the number of anchors that have an object, weighed as by the authors (mmdet 2.x).

    Focal loss of the classes, each a yes or no of its own (sigmoid): what is right already hardly counts,
    since of all anchors but a few are background. L1 of the boxes of objects.
    """
    half = len(maps) // 2
    logits, deltas = flat(maps[:half], len(CLASSES)), flat(maps[half:], 4)
    labels, wanted = answers
    counted, positive = labels != IGNORED, labels >= 0
    # BACKGROUND, -1, falls on a column that is cut off
    classes = functional.one_hot(labels[counted] % (len(CLASSES) + 1), len(CLASSES) + 1)[:, :-1].to(logits)
    focal: Tensor = sigmoid_focal_loss(logits[counted], classes, alpha=0.25, gamma=2, reduction="sum")
    corners = (deltas[positive] - wanted[positive]).abs().sum()
    objects = positive.sum().clamp(min=1)
    return focal / objects + corners / objects


train = partial(training.train, batches=batches, loss_of=loss_of)
"""The loop of chapter 04 with these batches and this loss: `train(network, recipe, scenes, kept=…)`."""


def macs(network: nn.Module, shape: tuple[int, ...] = IMAGE) -> dict[str, int]:
    """Multiply-accumulates of a detector's parts for an input of `shape`: backbone, neck and head."""
    parts: Counter[str] = Counter()
    for op in trace(network, shape):
        parts[op.module.split(".")[1].removeprefix("bbox_")] += (op.flops or 0) // 2
    return {part: parts[part] for part in ("backbone", "neck", "head")}
