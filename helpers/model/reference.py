"""timm's EfficientViT, the reference. Everything takes timm from here, so that the shim below runs first.

timm imports torchvision, and a CPU build of torch beside a CUDA build of torchvision (what PyPI gives on
Linux) dies there with "operator torchvision::nms does not exist". Both operators only need a schema, so
they are declared here where they are missing.
"""

import copy
import difflib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from helpers.model.variants import INPUT_SIZE, POCKET, TIMM, UnknownModel

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_LIBRARIES: list[torch.library.Library] = []  # a Library undoes its definitions when it is collected


try:
    import torchvision  # noqa: F401
except RuntimeError:
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            _LIBRARIES.append(torch.library.Library("torchvision", "FRAGMENT"))
            _LIBRARIES[-1].define(schema)

import timm as timm
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.data.imagenet_info import ImageNetInfo as ImageNetInfo
from timm.data.transforms_factory import create_transform as create_transform
from timm.layers.norm import LayerNorm2d as LayerNorm2d
from timm.layers.norm_act import BatchNormAct2d as BatchNormAct2d
from timm.models.efficientvit_msra import CascadedGroupAttention as CascadedGroupAttention
from timm.models.efficientvit_msra import ConvNorm as ConvNorm
from timm.models.efficientvit_msra import EfficientVitMsra as EfficientVitMsra
from timm.models.efficientvit_msra import LocalWindowAttention as LocalWindowAttention
from timm.models.efficientvit_msra import NormLinear as NormLinear
from timm.models.efficientvit_msra import ResidualDrop as ResidualDrop
from timm.utils.model import reparameterize_model as reparameterize_model
from torchvision.ops import sigmoid_focal_loss as sigmoid_focal_loss


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, weights and timm's augmentation are drawn from `seed` alone; after it, the global random states
    of torch and Python are what they were.
    """
    before = random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: threads of many small operators wait for each other, and for busy neighbours."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fresh_copy(model: nn.Module) -> nn.Module:
    """A deep copy of a model in eval mode; `model` keeps its own mode.

    timm caches the attention biases; after a forward pass with gradients that cache cannot be copied, so
    it is emptied.
    """
    caching: list[Any] = [module for module in model.modules() if hasattr(module, "attention_bias_cache")]
    for module in caching:
        module.attention_bias_cache = {}
    return copy.deepcopy(model).eval()


def to_input(pictures: NDArray[np.uint8]) -> Tensor:
    """Pictures uint8 [n, h, w, 3] to float32 [n, 3, h, w], normalised as for ImageNet, channels last."""
    mean, std = (torch.tensor(values) * 255 for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    return torch.tensor(pictures).float().sub_(mean).div_(std).permute(0, 3, 1, 2)


def pretrained(name: str) -> Any:
    """timm's `pretrained_cfg` of a model, tag or not: size, mean, std, crop, hub.

    Raises UnknownModel, with close matches, for a name that timm does not have.
    """
    name = name.removeprefix(TIMM)
    try:
        found = timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # a tag that is not there
        tags = ", ".join(each for each in timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise UnknownModel(f"{str(error).rstrip('.')}: choose one of {tags}") from None
    if found is None:
        close = ", ".join(TIMM + each for each in difflib.get_close_matches(name, timm.list_models()))
        hint = f"did you mean {close}?" if close else "timm.list_models() has all names"
        raise UnknownModel(f"timm has no model {name!r}: {hint}")
    return found


def timm_model(name: str, *, seed: int = 0, classes: int | None = None) -> nn.Module:
    """Any of timm's models with fresh weights, in eval mode, for its own classes or so many.

    Attention runs as two products and a softmax, as in the papers' code; PyTorch's fused kernel would hide
    them from a profiler and an exporter. The global random state stays. UnknownModel as `pretrained`.
    """
    pretrained(name)
    own: dict[str, Any] = {"num_classes": classes} if classes else {}
    with seeded(seed):
        model: nn.Module = timm.create_model(name.removeprefix(TIMM), **own)
    attentions: list[Any] = [module for module in model.modules() if hasattr(module, "fused_attn")]
    for attention in attentions:
        attention.fused_attn = False
    return model.eval()


def pocket_model(*, classes: int = 10) -> EfficientVitMsra:
    """A fresh pocket model in training mode, timm's own class: [n, 3, 224, 224] to logits [n, classes]."""
    model = EfficientVitMsra(
        num_classes=classes,
        embed_dim=POCKET.widths,
        depth=POCKET.depths,
        num_heads=POCKET.heads,
        kernels=POCKET.kernels,
    )
    colours = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
    model.pretrained_cfg = colours | {"input_size": (3, INPUT_SIZE, INPUT_SIZE), "crop_pct": 0.875}  # type: ignore[assignment]
    return model


@cache
def class_name(class_id: int) -> str:
    """The first name of an ImageNet-1k class, 0 to 999, from timm's list."""
    return str(ImageNetInfo("imagenet-1k").index_to_description(class_id)).split(",")[0]
