"""The official checkpoints' names for the weights, timm's names, and whether a file fits a model.

The mapping was checked by strict loads and bit-identical outputs of all six models against the official code
(microsoft/Cream at 4a13c409, EfficientViT/classification/model).
"""

from collections.abc import Mapping
from itertools import takewhile
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.model.checkpoint import listed
from helpers.model.source import CheckpointError

_BLOCKS = [f"blocks.{block}" for block in range(4)]  # of the deepest stage, M5's last
_LATER = ["downsample.res1", "downsample.patchmerge", "downsample.res2", *_BLOCKS]
_MODULES = {
    **{f"patch_embed.{2 * i}.": f"patch_embed.conv{i + 1}." for i in range(4)},
    **{
        f"blocks{stage + 1}.{i}.": f"stages.{stage}.{module}."
        for stage, modules in enumerate((_BLOCKS, _LATER, _LATER))
        for i, module in enumerate(modules)
    },
}
_LEAVES = {".c.": ".conv.", ".l.": ".linear."}
_BIASES = ".attention_bias"  # tables, and the index into them: as many entries as a window has places
_COUNTER = ".num_batches_tracked"  # in files by torch before 0.4.1 there is none, and torch does without
_TABLE = ".attention_biases"
_FIRST_TABLE = f"stages.0.blocks.0.mixer.m.attn{_TABLE}"
_BIAS_INDEX = ".attention_bias_idxs"  # a buffer: kept in official files, recomputed by timm


def timm_name(official: str) -> str:
    """timm's name for a weight of the official code; a name that is timm's already comes back as it is."""
    return _renamed(official, _MODULES, _LEAVES)


def official_name(timm: str) -> str:
    """The inverse of `timm_name`."""
    modules, leaves = ({ours: theirs for theirs, ours in names.items()} for names in (_MODULES, _LEAVES))
    return _renamed(timm, modules, leaves)


def _renamed(name: str, modules: Mapping[str, str], leaves: Mapping[str, str]) -> str:
    module = next((module for module in modules if name.startswith(module)), "")
    if not module and not name.startswith("head"):
        return name  # of neither layout, such as a detector's neck
    name = modules.get(module, "") + name.removeprefix(module)
    for leaf, other in leaves.items():
        name = name.replace(leaf, other)
    return name


def classes(state: Mapping[str, Tensor], *, head: str = "head.linear") -> int | None:
    """How many classes the `head`, by timm's name, was trained for; None where it does not say."""
    biases = [value for key, value in state.items() if timm_name(key) == f"{head}.bias"]
    return len(biases[0]) if biases and biases[0].ndim == 1 else None


def window(state: Mapping[str, Tensor]) -> int | None:
    """The side of the first stage's attention windows, in tokens; None where there is no table."""
    tables = [value for key, value in state.items() if timm_name(key) == _FIRST_TABLE and value.ndim == 2]
    return isqrt(tables[0].shape[1]) if tables else None


def at_size(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The weights with each attention bias table, [heads, side²], in the size of the model's windows.

    Bicubic, as load_model in the official code (classification/utils.py). A table that fits stays as it is;
    of one that does not, the index goes as well, which timm computes.
    """
    needed = model.state_dict()
    fitted = dict(state)
    for key, table in state.items():
        wanted = needed.get(timm_name(key))
        if not timm_name(key).endswith(_TABLE) or wanted is None or table.shape == wanted.shape:
            continue
        old, new = isqrt(table.shape[-1]), isqrt(wanted.shape[1])
        if table.shape == (len(wanted), old**2):
            square = table.float().reshape(1, len(table), old, old)
            fitted[key] = functional.interpolate(square, (new, new), mode="bicubic").flatten(2)[0]
            fitted.pop(key.replace(_TABLE, _BIAS_INDEX), None)
    return fitted


def misfit(state: Mapping[str, Tensor], model: nn.Module) -> list[str]:
    """What keeps `state` from fitting `model`: missing, surplus and mis-shaped weights; empty if it fits.

    A 1x1 convolution may be stored as a matrix, as older official files do, and a BatchNorm may lack its
    counter. What the whole may be comes first. Names are those of the file's layout. Values play no part,
    so `model` may be on the meta device.
    """
    named = official_name if any(key.startswith("blocks1.") for key in state) else str
    needed = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    allowed = needed | {
        key: tuple(value.shape) for key, value in model.named_buffers() if key.endswith(_BIAS_INDEX)
    }
    held = {timm_name(key): (key, tuple(value.shape)) for key, value in state.items()}
    missing = [named(key) for key in needed if not held.keys() & {key, key.replace(_COUNTER, ".running_var")}]
    surplus = [own for key, (own, _) in held.items() if key not in allowed]
    shapes = [
        f"{own} {shape} instead of {allowed[key]}"
        for key, (own, shape) in held.items()
        if key in allowed and shape != allowed[key] and (*shape, 1, 1) != allowed[key]
    ]
    doubled = [key for key in state if held[timm_name(key)][0] != key]
    found = (("missing", missing), ("surplus", surplus), ("mis-shaped", shapes), ("in both layouts", doubled))
    reasons = [f"{len(names)} {what}: {listed(names)}" for what, names in found if names]
    words = zip(*(key.split(".")[:-1] for key in state), strict=False)
    shared = ".".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, words))
    stems = [key.rpartition(".")[0] for key in held if key not in allowed]
    if shared and not held.keys() & allowed.keys():
        reasons.insert(0, f"every key begins with '{shared}.'")
    elif any(f"{stem}.conv.weight" in needed for stem in stems):
        reasons.insert(0, "its BatchNorm is fused into the convolutions: give the file from before that")
    elif len(reasons) == 1 and shapes and all(_BIASES in name for name in shapes):
        reasons.insert(0, "it was trained at another image size: give that as image_size")
    return reasons


def to_timm(path: Path, state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The state in `path`, which fits `model`, under timm's names and in timm's shapes, for a strict load.

    Raises CheckpointError for values that cannot be meant: not finite, integers, or another bias index.
    Official files carry `attention_bias_idxs`: which entry of a head's bias table each pair of tokens reads.
    timm computes it, so a file with another one would give wrong logits without a word.
    """
    needed, buffers = model.state_dict(), dict(model.named_buffers())

    def wrong(key: str, value: Tensor) -> bool:
        if key.endswith(_BIAS_INDEX):
            return not torch.equal(value.long(), buffers[timm_name(key)])
        if key.endswith(_COUNTER):
            return False
        return not value.is_floating_point() or not bool(value.isfinite().all())

    if broken := [key for key, value in state.items() if wrong(key, value)]:
        raise CheckpointError(
            f"{path} holds values that cannot be meant (NaN, infinite, integer, or another bias index) in "
            f"{len(broken)} weights: {listed(broken)}; get the file again"
        )
    return {
        timm_name(key): value.reshape(needed[timm_name(key)].shape)
        for key, value in state.items()
        if not key.endswith(_BIAS_INDEX)
    }
