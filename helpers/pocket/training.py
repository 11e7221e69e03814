"""The training of the pocket model on the drawn objects of `data`, and the file that keeps its weights.

Pixels, window sizes and normalisation are those of the paper's models, so every later stage of the tutorial
(export, INT8, compile) treats it as it would treat M5.
"""

import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from helpers.files import replacing
from helpers.model.reference import to_input
from helpers.model.source import POCKET_WEIGHTS
from helpers.pocket import data

TEST_PICTURES = 2000
"""Pictures of the test split that an accuracy in this project is measured on."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model was trained: these values and the machine decide the weights.

    `seed` is that of the first weights and of the order of the batches; all seeds see the same pictures.
    """

    seed: int = 0
    pictures: int = 6000
    epochs: int = 8
    batch: int = 64
    peak_rate: float = 3e-3
    warmup_epochs: float = 1.0
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    data_version: int = data.VERSION


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a weights file says about itself; `accuracy` is what it must give on the test pictures."""

    accuracy: float
    recipe: dict[str, Any]
    core_minutes: float
    classes: list[str] = field(default_factory=lambda: list(data.CLASSES))
    test_pictures: int = TEST_PICTURES


# Chapter 04 holds the code of these four as well; a test compares them.
def rate(recipe: Recipe, epochs_done: float) -> float:
    """Learning rate: linear warm-up, then half a cosine down to zero."""
    if epochs_done <= recipe.warmup_epochs:
        return recipe.peak_rate * epochs_done / recipe.warmup_epochs
    part = (epochs_done - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
    return recipe.peak_rate * (1 + math.cos(math.pi * part)) / 2


def batches(
    recipe: Recipe, epoch: int, pictures: NDArray[np.uint8], labels: NDArray[np.int64]
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order, mirrored and recoloured, drawn from (seed, epoch) and nothing else.

    Swapping and inverting colour channels makes 12 colourings of each drawing, all as likely as the first.
    Pictures that fill no batch are left out; fewer than a batch are one.
    """
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(len(pictures))
    for start in range(0, max(1, len(order) - recipe.batch + 1), recipe.batch):
        chosen = np.sort(order[start : start + recipe.batch])
        batch = pictures[chosen]
        for place, picture in enumerate(batch):
            mirrored = picture[:, ::-1] if rng.integers(2) else picture
            swapped = mirrored[..., rng.permutation(3)]
            batch[place] = 255 - swapped if rng.integers(2) else swapped
        yield to_input(batch), torch.from_numpy(labels[chosen])


def smoothed(recipe: Recipe, logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with smoothed labels."""
    return F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)


def train(
    model: nn.Module,
    recipe: Recipe,
    *drawn: NDArray[Any],
    kept: Path | None = None,
    batches: Callable[..., Iterator[tuple[Tensor, Any]]] = batches,
    loss_of: Callable[[Recipe, Any, Any], Tensor] = smoothed,
) -> list[float]:
    """Trains `model` in place, leaves it in eval mode, and returns the loss of each epoch.

    `batches` makes images and answers of (recipe, epoch, *drawn); `loss_of` takes the recipe, what the model
    says to the images, and the answers. The state is kept in the file `kept` after every epoch; an
    interrupted training goes on from it and ends in the same weights, bit for bit (same machine, same number
    of threads).
    """
    model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]  # a tenth faster here
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]  # scales and biases do not decay
    decay = {"params": matrices, "weight_decay": recipe.weight_decay}
    optimizer = torch.optim.AdamW([decay, {"params": vectors, "weight_decay": 0.0}], fused=True)
    losses = resume(kept, recipe, model, optimizer)
    for epoch in range(len(losses), recipe.epochs):
        total, steps = 0.0, max(1, len(drawn[0]) // recipe.batch)
        bar = tqdm(batches(recipe, epoch, *drawn), desc=f"epoch {epoch + 1}", total=steps)
        for step, (images, answers) in enumerate(bar, start=1):
            for group in optimizer.param_groups:
                group["lr"] = rate(recipe, epoch + step / steps)
            loss = loss_of(recipe, model(images), answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            bar.set_postfix(loss=f"{total / step:.3f}", refresh=False)
        losses.append(total / steps)
        keep(kept, recipe, model, optimizer, losses)
    model.eval()
    return losses


def resume(
    kept: Path | None, recipe: Recipe, model: nn.Module, optimizer: torch.optim.Optimizer
) -> list[float]:
    """Puts the state back that an interrupted training left, and returns its losses; none without the file.

    Raises ValueError when the file is of another recipe.
    """
    if kept is None or not kept.exists():
        return []
    state = torch.load(kept, weights_only=True)
    if other := dict(state["recipe"].items() - asdict(recipe).items()):
        raise ValueError(f"{kept} holds another recipe: delete it, or train with {other}")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return list(state["losses"])


def keep(
    kept: Path | None,
    recipe: Recipe,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    losses: list[float],
) -> None:
    """Writes what `resume` reads."""
    if kept:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "losses": losses}
        buffer = io.BytesIO()  # written by Python: where torch writes, a full disk is an error without a name
        torch.save({"recipe": asdict(recipe)} | state, buffer)
        with replacing(kept) as part:
            part.write_bytes(buffer.getbuffer())


@torch.inference_mode()
def evaluate(model: nn.Module, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Share of pictures that the model labels right, 0 to 1."""
    model.eval()
    parts = (slice(start, start + 100) for start in range(0, len(pictures), 100))
    right = sum((model(to_input(pictures[part])).argmax(1).numpy() == labels[part]).sum() for part in parts)
    return float(right / len(labels))


def save(model: nn.Module, path: Path, card: Card) -> None:
    """Writes half-precision safetensors; `card`, its metadata, holds the accuracy of the rounded weights."""
    tensors = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    with replacing(path) as part:
        save_file(tensors, part, metadata={key: json.dumps(value) for key, value in asdict(card).items()})


def card(path: Path = POCKET_WEIGHTS) -> Card:
    """What a weights file says about itself; `helpers.model.weights.load` reads the weights."""
    with safe_open(path, framework="pt") as file:
        held = file.metadata()
    return Card(**{entry.name: json.loads(held[entry.name]) for entry in fields(Card)})
