"""The training of the pocket model on the drawn objects of `data`, and the file that keeps its weights.

Pixels, window sizes and normalisation are those of the paper's models, so every later stage of the tutorial
(export, INT8, compile) treats it as it would treat M5.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
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
class Epoch:
    """One line of the training history; `core_seconds` is processor time, summed over threads."""

    epoch: int
    loss: float
    train_accuracy: float
    seconds: float
    core_seconds: float


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a weights file says about itself; `accuracy` is what it must give on the test pictures."""

    accuracy: float
    recipe: dict[str, Any]
    core_minutes: float
    classes: list[str] = field(default_factory=lambda: list(data.CLASSES))
    test_pictures: int = TEST_PICTURES


def _rate(recipe: Recipe, progress: float) -> float:
    """Learning rate after `progress` epochs: linear warm-up, then half a cosine down to zero."""
    if progress <= recipe.warmup_epochs:
        return recipe.peak_rate * progress / recipe.warmup_epochs
    done = (progress - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
    return recipe.peak_rate * (1 + math.cos(math.pi * done)) / 2


def _batches(
    recipe: Recipe, epoch: int, pictures: NDArray[np.uint8], labels: NDArray[np.int64]
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of shuffled batches, mirrored and recoloured, drawn from (seed, epoch) and nothing else.

    Swapping and inverting colour channels makes 12 colourings of each drawing, all as likely as the first.
    """
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(len(pictures))
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        chosen = np.sort(order[start : start + recipe.batch])
        batch = pictures[chosen]
        for position in range(len(batch)):
            if rng.integers(2):
                batch[position] = batch[position, :, ::-1]
            picture = batch[position][..., rng.permutation(3)]
            batch[position] = 255 - picture if rng.integers(2) else picture
        yield to_input(batch), torch.from_numpy(labels[chosen])


def train(
    model: nn.Module,
    recipe: Recipe,
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> list[Epoch]:
    """Trains `model` in place and leaves it in eval mode; returns the history.

    With `checkpoint`, the state is kept there after every epoch and a later call with the same recipe goes on
    from it; the weights come out the same, bit for bit, as without the interruption (same machine, same
    number of threads). Fewer pictures than a batch make one batch. Raises ValueError when the checkpoint
    belongs to another recipe, and for fewer than two pictures: one has no batch statistics.
    """
    if len(pictures) < 2:
        raise ValueError(f"{len(pictures)} pictures: give at least two to train on")
    recipe = replace(recipe, batch=min(recipe.batch, len(pictures)))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # about a tenth faster here
    decayed = [p for p in model.parameters() if p.ndim >= 2 and p.requires_grad]
    kept = [p for p in model.parameters() if p.ndim < 2 and p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    )
    history: list[Epoch] = []
    if checkpoint and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["recipe"] != asdict(recipe):
            raise ValueError(f"{checkpoint} holds another recipe: delete it, or train with {state['recipe']}")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        history = [Epoch(**line) for line in state["history"]]
    steps = len(pictures) // recipe.batch
    model.train()
    for epoch in range(len(history), recipe.epochs):
        started, core_started, loss_sum, right = time.perf_counter(), time.process_time(), 0.0, 0
        bar = tqdm(total=steps, desc=f"epoch {epoch + 1}/{recipe.epochs}", unit="batch", disable=not progress)
        for step, (x, y) in enumerate(_batches(recipe, epoch, pictures, labels)):
            for group in optimizer.param_groups:
                group["lr"] = _rate(recipe, epoch + (step + 1) / steps)
            logits = model(x)
            loss = F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            loss_sum += loss.item()
            right += int((logits.argmax(1) == y).sum())
            bar.set_postfix(loss=f"{loss_sum / (step + 1):.3f}", refresh=False)
            bar.update()
        bar.close()
        history.append(
            Epoch(
                epoch=epoch + 1,
                loss=loss_sum / steps,
                train_accuracy=right / (steps * recipe.batch),
                seconds=time.perf_counter() - started,
                core_seconds=time.process_time() - core_started,
            )
        )
        if checkpoint:
            lines = [asdict(line) for line in history]
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": lines}
            with replacing(checkpoint) as part:
                torch.save({"recipe": asdict(recipe), **state}, part)
    model.eval()
    return history


@torch.inference_mode()
def predict(model: nn.Module, pictures: NDArray[np.uint8], *, batch: int = 100) -> NDArray[np.int64]:
    """The model's label for each picture, int64 [n]."""
    model.eval()
    found = [
        model(to_input(pictures[start : start + batch])).argmax(1) for start in range(0, len(pictures), batch)
    ]
    return torch.cat(found).numpy()


def evaluate(model: nn.Module, pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Share of pictures that the model labels right, 0 to 1."""
    return float((predict(model, pictures) == labels).mean())


def round_to_half(model: nn.Module) -> None:
    """Rounds the weights, in place, to what a half-precision file keeps of them; they stay float32."""
    model.half().float()


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
