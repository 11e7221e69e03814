"""Ablations: the pocket model with one part of EfficientViT taken out, all else and the training equal.

The small counterpart of rows 5, 6, 9 and 10 of the paper's Table 6. `python -m helpers.pocket.ablations`
trains the model and its ablations and writes data/pocket_ablations.json, and the weights of the model's first
seed to data/weights/pocket.safetensors. Accuracy, head similarity and speed stand there as they came out.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.files import BUILD, DATA
from helpers.model.batchnorm import fuse_batchnorm
from helpers.model.reference import (
    CascadedGroupAttention,
    ConvNorm,
    LayerNorm2d,
    ResidualDrop,
    fresh_copy,
    one_thread,
    pocket_model,
    seeded,
    to_input,
)
from helpers.model.source import POCKET_WEIGHTS
from helpers.model.variants import INPUT_SIZE
from helpers.pocket import data
from helpers.pocket.training import TEST_PICTURES, Card, Recipe, batches, evaluate, save, train
from helpers.timing import in_turn, ratio

RECORD = DATA / "pocket_ablations.json"
GPU_RECORD = DATA / "pocket_ablations_gpu.json"
SIMILARITY_PICTURES = 200
"""Test pictures that head similarity is averaged over."""
ABOUT = (
    "One entry in runs per trained network. accuracy: share of the test pictures. head_similarity: per "
    "block, the mean over heads and windows of a head's greatest cosine similarity to another. minutes: "
    "wall time, which other programs lengthen; core_minutes: processor time of one core, half of it the "
    "time on two idle ones. speed: one thread, batch 16, forward, all in turn, as a ratio to the folded "
    "model in the same round, median and middle half; folded: with BatchNorm merged away."
)


class Uncascaded(CascadedGroupAttention):
    """Group attention whose heads do not hand their output to the next head."""

    all_channels = False

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to the same shape."""
        n, _, height, width = x.shape
        sizes = [self.key_dim, self.key_dim, self.val_dim]
        seen = [x] * self.num_heads if self.all_channels else x.chunk(self.num_heads, dim=1)
        heads = []
        for feat, qkv, dw, bias in zip(
            seen, self.qkvs, self.dws, self.get_attention_biases(x.device), strict=True
        ):
            q, k, v = qkv(feat).split(sizes, dim=1)
            q, k, v = dw(q).flatten(2), k.flatten(2), v.flatten(2)
            attention = (q.transpose(1, 2) @ k * self.scale + bias).softmax(dim=-1)
            heads.append((v @ attention.transpose(1, 2)).view(n, self.val_dim, height, width))
        projected: Tensor = self.proj(torch.cat(heads, dim=1))
        return projected


class MultiHead(Uncascaded):
    """Multi-head self-attention: every head projects all channels, as in a plain transformer."""

    all_channels = True

    def __init__(self, dim: int, key_dim: int, **options: Any) -> None:
        super().__init__(dim, key_dim, **options)
        self.qkvs = nn.ModuleList(ConvNorm(dim, 2 * self.key_dim + self.val_dim) for _ in self.qkvs)


def _replace(model: nn.Module, kind: type | tuple[type, ...], make: Callable[[Any], nn.Module]) -> None:
    """Puts `make(module)` in the place of every module of a kind."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))


def _attention(kind: type[Uncascaded]) -> Callable[[nn.Module], None]:
    """A change of every group attention into another kind of the same width, heads and kernels."""

    def swap(old: Any) -> nn.Module:
        return kind(
            old.qkvs[0].conv.in_channels * old.num_heads,
            old.key_dim,
            num_heads=old.num_heads,
            attn_ratio=old.attn_ratio,
            resolution=old.resolution,
            kernels=tuple(dw.conv.kernel_size[0] for dw in old.dws),
        )

    return lambda model: _replace(model, CascadedGroupAttention, swap)


def _layer_norm(over_maps: Callable[[int], nn.Module]) -> Callable[[nn.Module], None]:
    """A change of every BatchNorm into one without batch statistics; zero-initialised scales stay zero."""

    def swap(old: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
        new = (over_maps if isinstance(old, nn.BatchNorm2d) else nn.LayerNorm)(old.num_features)
        new.load_state_dict({"weight": old.weight, "bias": old.bias})
        return new

    return lambda model: _replace(model, (nn.BatchNorm1d, nn.BatchNorm2d), swap)


def _no_depthwise(model: nn.Module) -> None:
    """Takes out the depth-wise convolution before each FFN; those on the queries stay."""
    _replace(model, ResidualDrop, lambda branch: nn.Identity() if isinstance(branch.m, ConvNorm) else branch)


ABLATIONS: dict[str, Callable[[nn.Module], None]] = {
    "efficientvit": lambda model: None,
    "mhsa": _attention(MultiHead),
    "no_cascade": _attention(Uncascaded),
    "layer_norm": _layer_norm(LayerNorm2d),
    "layer_norm_map": _layer_norm(partial(nn.GroupNorm, 1)),
    "no_depthwise": _no_depthwise,
}
"""Name to change; the first is the pocket model. Of two readings of LayerNorm, `layer_norm` normalises
the channels at each position, `layer_norm_map` all channels and positions of one picture or window."""


def build(ablation: str, *, seed: int = 0) -> nn.Module:
    """A fresh ablation in training mode, same input and output as the pocket model."""
    with seeded(seed):
        model = pocket_model()
        ABLATIONS[ablation](model)
    return model


@torch.inference_mode()
def head_similarity(model: nn.Module, pictures: NDArray[np.uint8]) -> list[float]:
    """Mean over heads and windows of a head's greatest cosine similarity to another, one value per block.

    The measure of the paper's Fig. 4, on the heads' outputs before the projection.
    """
    found: list[float] = []

    def look(attention: CascadedGroupAttention, _: nn.Module, inputs: tuple[Tensor]) -> None:
        heads = F.normalize(inputs[0].reshape(len(inputs[0]), attention.num_heads, -1), dim=-1)
        cosine = heads @ heads.mT - 2 * torch.eye(attention.num_heads)
        found.append(float(cosine.amax(-1).mean()))

    attentions = [module for module in model.modules() if isinstance(module, CascadedGroupAttention)]
    hooks = [module.proj.register_forward_pre_hook(partial(look, module)) for module in attentions]
    model.eval()(to_input(pictures))
    for hook in hooks:
        hook.remove()
    return found


@torch.inference_mode()
def speeds(*, batch: int = 16, rounds: int = 50) -> dict[str, dict[str, float]]:
    """Speed of every ablation as built and folded, as a ratio to the folded model in the same round.

    The median of `rounds` in which all take turns, and the bounds of the middle half. The paper's CPU
    protocol is one thread, batch 16, BatchNorm folded (microsoft/Cream, speed_test.py).
    """
    models = {name: build(name).eval() for name in ABLATIONS}
    models |= {f"{name}, folded": fuse_batchnorm(fresh_copy(model)) for name, model in models.items()}
    images = torch.randn(batch, 3, INPUT_SIZE, INPUT_SIZE)
    with one_thread():
        taken = in_turn({name: partial(model, images) for name, model in models.items()}, rounds=rounds)
    faster = {name: ratio(taken["efficientvit, folded"], seconds) for name, seconds in taken.items()}
    return {name: {"ratio": one.median, "low": one.low, "high": one.high} for name, one in faster.items()}


def _batches_on(device: str, *given: Any) -> Iterator[tuple[Tensor, Tensor]]:
    return ((images.to(device), answers.to(device)) for images, answers in batches(*given))


def measure(ablation: str, seed: int, *, folder: Path, recipe: Recipe, device: str = "cpu") -> dict[str, Any]:
    """One entry of the record: an ablation trained on `device` and measured, or what `folder` holds of it.

    Its weights are rounded to half precision first, as the shipped ones are, and kept beside it. Products
    and convolutions are float32 on every device (no TF32).
    """
    found = folder / f"{ablation}-{seed}.json"
    if found.exists():
        return dict(json.loads(found.read_text()))
    recipe = replace(recipe, seed=seed)
    drawings = data.dataset(recipe.pictures, split="train", folder=folder)
    test, answers = data.dataset(TEST_PICTURES, split="test", folder=folder)
    model = build(ablation, seed=seed)
    torch.backends.cudnn.allow_tf32 = False
    started, core_started = time.perf_counter(), time.process_time()
    train(model.to(device), recipe, *drawings, batches=partial(_batches_on, device))
    core_minutes, minutes = (time.process_time() - core_started) / 60, (time.perf_counter() - started) / 60
    model.cpu().half().float()
    accuracy = evaluate(model, test, answers)
    card = Card(accuracy=accuracy, recipe=asdict(recipe), core_minutes=core_minutes)
    save(model, found.with_suffix(".safetensors"), card)
    run = {
        "ablation": ablation,
        "seed": seed,
        "accuracy": accuracy,
        "head_similarity": head_similarity(model, test[:SIMILARITY_PICTURES]),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "minutes": minutes,
        "core_minutes": core_minutes,
    }
    found.write_text(json.dumps(run))
    return run


def main() -> None:
    """Trains what build/pocket does not hold yet, then writes the record and the weights of the first seed.

    On a GPU only a record of its own: it says how far seeds differ, and the shipped weights stay as they are.
    """
    parser = argparse.ArgumentParser(prog="python -m helpers.pocket.ablations", description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    folder, runs = BUILD / "pocket", []
    for seed in options.seeds:
        for ablation in ABLATIONS:
            run = measure(ablation, seed, folder=folder, recipe=Recipe(), device=options.device)
            print(f"{ablation}, seed {seed}: {run['accuracy']:.2%}", flush=True)
            runs.append(run)
    on_gpu = options.device == "cuda"
    cpu = f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
    record = {
        "about": ABOUT,
        "command": " ".join(["python -m helpers.pocket.ablations", *sys.argv[1:]]),
        "machine": {
            "processor": torch.cuda.get_device_name() if on_gpu else cpu,
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
        "recipe": asdict(Recipe()),
        "test_pictures": TEST_PICTURES,
        "similarity_pictures": SIMILARITY_PICTURES,
        "runs": runs,
    }
    if not on_gpu:
        record["speed"] = speeds()
        shutil.copyfile(folder / f"efficientvit-{options.seeds[0]}.safetensors", POCKET_WEIGHTS)
    (GPU_RECORD if on_gpu else RECORD).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
