"""RetinaNet on EfficientViT, as its authors built it for COCO (microsoft/Cream, EfficientViT/downstream).

Images [batch, 3, height, width], normalised as for ImageNet, become two maps per level of the pyramid: the
logits of every class for every anchor, and its deltas. Nothing is decoded here (`helpers.detect.results`).
Weights of neck and head have the authors' names, so that their file fits as it is.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.detect.boxes import COCO_GRID
from helpers.model.attention import WindowAttention
from helpers.model.network import EfficientViT
from helpers.model.variants import VARIANTS, Variant

CLASSES = 80  # of COCO
WIDTH = 256  # channels of every level, and of the towers
TOWER = 4  # convolutions of each of the two
PRIOR = 0.01  # what a fresh head says of every class: almost nothing is an object


class PaddedWindows(WindowAttention):
    """Attention in windows on a map of any size: zeros fill the last ones, below and to the right.

    The zeros are tokens like others, as in the published code: no mask keeps attention off them.
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = int(x.shape[2]), int(x.shape[3])
        if (height, width) == (self.side, self.side):
            mixed: Tensor = self.attention(x)
            return mixed
        missing = (0, -width % self.side, 0, -height % self.side)
        if not any(missing):
            return super().forward(x)
        return super().forward(functional.pad(x, missing))[:, :, :height, :width]


class Backbone(nn.Module):
    """EfficientViT without its head: the maps of its three stages, of strides 16, 32 and 64.

    Windows are those of a classifier for pictures of `image_size`, min(7, side of the map) wide; the authors'
    detector has 7 in every stage, which are those of 448.
    """

    def __init__(self, variant: Variant, *, image_size: int = 448) -> None:
        super().__init__()
        whole = EfficientViT(
            widths=variant.widths,
            depths=variant.depths,
            heads=variant.heads,
            kernels=variant.kernels,
            image_size=image_size,
        )
        self.patch_embedding, self.stages = whole.patch_embedding, whole.stages
        for parent in [*self.modules()]:
            for name, child in parent.named_children():
                if isinstance(child, WindowAttention):
                    setattr(parent, name, PaddedWindows(child.attention, child.side))

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [self.patch_embedding(images)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]


def layer(convolution: nn.Module) -> nn.Sequential:
    """What the authors' framework makes of a convolution: one level more in the names of weights."""
    return nn.Sequential(OrderedDict(conv=convolution))


def dense(width: int) -> nn.Conv2d:
    """The authors' layer of a tower: 3 × 3 over all channels."""
    return nn.Conv2d(width, width, 3, padding=1)


class EfficientViTFPN(nn.Module):
    """Three stages to five levels of one width, strides 8 to 128; neither norm nor activation.

    What is deep and coarse is added to what is fine. Stride 8 comes from a transposed convolution, since the
    backbone begins at 16; stride 128 from the raw last stage.
    """

    def __init__(self, inputs: Sequence[int], width: int = WIDTH) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(layer(nn.Conv2d(channels, width, 1)) for channels in inputs)
        self.fpn_convs = nn.ModuleList(layer(dense(width)) for _ in inputs)
        self.fpn_convs.append(layer(nn.Conv2d(inputs[-1], width, 3, stride=2, padding=1)))
        self.extra_trans_convs = nn.ModuleList([layer(nn.ConvTranspose2d(width, width, 2, stride=2))])
        self.extra_fpn_convs = nn.ModuleList([layer(dense(width))])

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        levels = [lateral(stage) for lateral, stage in zip(self.lateral_convs, stages, strict=True)]
        for place in reversed(range(1, len(levels))):
            size = [int(side) for side in levels[place - 1].shape[2:]]
            levels[place - 1] = levels[place - 1] + functional.interpolate(levels[place], size)  # nearest
        finest = self.extra_fpn_convs[0](self.extra_trans_convs[0](levels[0]))
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, [*levels, stages[-1]], strict=True)]
        return [finest, *outputs]


class RetinaHead(nn.Module):
    """Two towers of convolutions, the same on every level: what is in each anchor, and where its box ends.

    A level [batch, width, h, w] -> logits [batch, anchors · classes, h, w] and deltas [batch, anchors · 4,
    h, w]. `convolution(width)` makes one layer of a tower.
    """

    def __init__(
        self,
        classes: int = CLASSES,
        width: int = WIDTH,
        *,
        depth: int = TOWER,
        convolution: Callable[[int], nn.Module] = dense,
    ) -> None:
        super().__init__()
        self.cls_convs = nn.ModuleList(layer(convolution(width)) for _ in range(depth))
        self.reg_convs = nn.ModuleList(layer(convolution(width)) for _ in range(depth))
        self.retina_cls = nn.Conv2d(width, COCO_GRID.per_cell * classes, 3, padding=1)
        self.retina_reg = nn.Conv2d(width, COCO_GRID.per_cell * 4, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.constant_(cast(Tensor, self.retina_cls.bias), -math.log((1 - PRIOR) / PRIOR))

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        classes = boxes = level
        for to_classes, to_boxes in zip(self.cls_convs, self.reg_convs, strict=True):
            classes, boxes = to_classes(classes).relu(), to_boxes(boxes).relu()
        return self.retina_cls(classes), self.retina_reg(boxes)


class Detector(nn.Module):
    """Backbone, neck and head: images -> all class maps, then all box maps, each from stride 8 to 128."""

    def __init__(self, backbone: Backbone, neck: nn.Module, bbox_head: RetinaHead) -> None:
        super().__init__()
        self.backbone, self.neck, self.bbox_head = backbone, neck, bbox_head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        classes, boxes = zip(*map(self.bbox_head, self.neck(self.backbone(images))), strict=True)
        return (*classes, *boxes)


def m4_retinanet(classes: int = CLASSES) -> Detector:
    """The authors' detector with fresh weights: 18,587,164 parameters with COCO's 80 classes."""
    m4 = VARIANTS["efficientvit_m4"]
    return Detector(Backbone(m4), EfficientViTFPN(m4.widths), RetinaHead(classes))


def flat(maps: Sequence[Tensor], values: int) -> Tensor:
    """Maps of all levels, [batch, anchors · values, h, w] each, as one row an anchor: [batch, n, values].

    In the order of `AnchorGrid.all`; `values` is the number of classes, or 4 for the box maps.
    """
    return torch.cat([level.permute(0, 2, 3, 1).reshape(len(level), -1, values) for level in maps], dim=1)
