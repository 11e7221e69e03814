"""Models with weights: from a checkpoint file, the timm hub or chapter 04's training, or scrambled."""

import os
import warnings
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from torch import nn

from helpers.model import layout
from helpers.model.checkpoint import CheckpointError, file_hash, listed, read, require_file
from helpers.model.download import Unreachable, download, reachable
from helpers.model.memory import release_memory
from helpers.model.scramble import scramble
from helpers.model.variants import VARIANTS, variant
from helpers.pocket import pocket

__all__ = ["CheckpointError", "Unreachable", "describe", "download", "fresh", "load", "scramble"]

ENVIRONMENT_VARIABLE = "EFFICIENTVIT_CHECKPOINT"
_RANDOM, _HUB, _POCKET = "random", "timm", "pocket"


def load(name: str, checkpoint: str | Path | None = None, *, seed: int = 0) -> nn.Module:
    """A timm EfficientViT in eval mode: images [n, 3, 224, 224] to logits [n, classes].

    `name` is one of the six or "pocket". `checkpoint` is "random" (scrambled from `seed`), "timm" (the hub),
    "pocket" (chapter 04's, whatever the name), or a file: an official checkpoint, a plain state dict in the
    official or timm's layout, or safetensors; none of its code runs. Left out, it is what the environment
    variable EFFICIENTVIT_CHECKPOINT names, else random. A file with another number of classes gives a model
    with that many; a distilled one, with a warning, its two heads merged into one.

    Raises UnknownModel, CheckpointError for a file that cannot be used, and Unreachable without the hub.
    """
    if name != _POCKET:
        variant(name)
    source = _source(checkpoint, name)
    if isinstance(source, Path):
        return _from_file(name, source)
    if source == _HUB:
        return _from_hub(name)
    if source == _POCKET:
        return _from_pocket()
    model = fresh(name, seed=seed)
    scramble(model, seed=seed)
    release_memory()
    return model.eval()


def describe(checkpoint: str | Path | None = None, *, name: str | None = None, seed: int = 0) -> str:
    """What `load` with the same arguments would use, in the words that result rows carry under `weights`.

    Raises CheckpointError for a path where no file is.
    """
    source = _source(checkpoint, name)
    if isinstance(source, Path):
        require_file(source)
        return f"file {source.name} sha256 {file_hash(source)[:8]}…"
    if source == _POCKET:
        return f"pocket, trained in chapter 04, sha256 {file_hash(_pocket_file())[:8]}…"
    return "timm hub" if source == _HUB else f"random (seed {seed}, scrambled)"


def _source(checkpoint: str | Path | None, name: str | None) -> str | Path:
    """One of the three words, or a path."""
    default = _POCKET if name == _POCKET else os.environ.get(ENVIRONMENT_VARIABLE) or _RANDOM
    chosen = checkpoint or default
    return (
        chosen
        if isinstance(chosen, str) and chosen in (_RANDOM, _HUB, _POCKET)
        else Path(chosen).expanduser()
    )


def fresh(name: str, *, seed: int = 0, classes: int = 1000) -> nn.Module:
    """A model as its class initialises it from `seed`, in eval mode; the global random state stays."""
    with torch.random.fork_rng(devices=[]):
        if name == _POCKET:
            return pocket.build(seed=seed).eval()
        torch.default_generator.manual_seed(seed)
        model: nn.Module = timm.create_model(name, num_classes=classes)
        return model.eval()


def _pocket_file() -> Path:
    if not pocket.WEIGHTS.is_file():
        raise CheckpointError(f"there is no {pocket.WEIGHTS.name} in data/weights: train it with chapter 04")
    return pocket.WEIGHTS


def _from_pocket() -> nn.Module:
    model, _ = pocket.load(_pocket_file())
    return model


def _from_file(name: str, path: Path) -> nn.Module:
    held = read(path)
    state = layout.merge_heads(held)
    if len(state) < len(held):
        warnings.warn(
            f"{path.name} was distilled: its two heads are merged into one that gives their mean, "
            "which is what the official code evaluates",
            stacklevel=3,
        )
    classes = layout.classes(state)
    model = fresh(name, classes=classes)
    if reasons := layout.misfit(state, model):
        with torch.device("meta"):
            others = [
                other
                for other in (*VARIANTS, _POCKET)
                if other != name and not layout.misfit(state, fresh(other, classes=classes))
            ]
        if others:
            raise CheckpointError(f"{path} does not fit {name} but {others[0]}: load it as {others[0]!r}")
        raise CheckpointError(f"{path} does not fit {name}, nor another of the models: {'; '.join(reasons)}")
    if broken := layout.unusable(state, model):
        raise CheckpointError(
            f"{path} holds values that cannot be meant (NaN, infinite, integer, or another bias index) in "
            f"{len(broken)} weights: {listed(broken)}; get the file again"
        )
    model.load_state_dict(layout.to_timm(state, model))
    return model  # it never ran, so timm has cached no attention bias of the weights before


def _from_hub(name: str) -> nn.Module:
    """The hub's weights, from its cache on this machine where they are."""
    if name == _POCKET:
        raise CheckpointError("the timm hub has no pocket model: use checkpoint='pocket'")
    instead = "give the official file as checkpoint, or 'random'"
    hub: Any = timm.get_pretrained_cfg(name)
    cached = try_to_load_from_cache(hub.hf_hub_id, "model.safetensors")
    overlay: dict[str, Any] = {"file": cached} if isinstance(cached, str) else {}
    if not overlay and (constants.HF_HUB_OFFLINE or not reachable(constants.ENDPOINT)):
        raise Unreachable(f"the timm hub ({constants.ENDPOINT}) cannot be reached from here: {instead}")
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception as error:  # the hub client's errors share no base class
        reason = str(error).strip().partition("\n")[0]
        raise Unreachable(f"the timm hub gave no weights for {name} ({reason}): {instead}") from error
    return model.eval()
