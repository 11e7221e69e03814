"""Fine-tuning on pictures of one's own: a folder per class, first the new head, then all weights.

The authors' recipe (microsoft/Cream, issue 172: AdamW, 1e-3, weight decay 1e-8), small enough for two cores:
20 epochs instead of 300, batch 32 instead of 256, pictures cropped and mirrored only. A head that fits before
the rest moves keeps what the network knew (Kumar et al., 2022, arXiv 2202.10054).
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from helpers.artifacts import Facts, Made, file_hash, step
from helpers.files import replacing
from helpers.graph.preprocess import SHORT_SIDE, Pixels, as_rgb, centre_crop
from helpers.model.checkpoint import listed
from helpers.model.memory import release_memory
from helpers.model.reference import create_transform, one_thread, seeded, to_input
from helpers.model.source import POCKET, RANDOM, ready
from helpers.model.variants import INPUT_SIZE, variant
from helpers.model.weights import init_model, load
from helpers.paired import interval
from helpers.pocket.training import Recipe, evaluate, train
from helpers.quant.accuracy import ImagesError, Labels, class_names, labelled

HELD_OUT = 0.2  # share of each class's pictures
FROM_SCRATCH, FROM_WEIGHTS = 3e-3, 1e-3  # peak rates
MIDDLE = (slice((SHORT_SIDE - INPUT_SIZE) // 2, (SHORT_SIDE + INPUT_SIZE) // 2),) * 2


def finetune(
    model: str,
    images: Path | str,
    out: Path,
    *,
    checkpoint: str | Path | None = None,
    epochs: int = 20,
    seed: int = 0,
) -> Made:
    """Writes `finetuned.safetensors` and `finetune.json` into `out`, or keeps those of the same pictures.

    The folders in `images`, sorted by name, are the classes. A fifth of each is held out, by the pictures'
    content and `seed`; `held-out/` links to them. At 0 `epochs` the head alone learns; where weights would be
    random, all learns from scratch. An interrupted call goes on after its last epoch and ends in the same
    bytes (same machine). Raises ImagesError, UnknownModel, and what `weights.load` raises.
    """
    if model != POCKET:
        variant(model)
    if epochs < 0:
        raise ValueError(f"epochs {epochs}: give 0 or more")
    weights = ready(checkpoint, name=model)
    names, fresh = class_names(Path(images)), weights.checkpoint == RANDOM
    if len(names) < 2:
        raise ImagesError(f"{images}: {len(names)} folders; give two or more, one of pictures per class")
    learned, held, content = split(labelled(Path(images), classes=len(names)), names, seed=seed)
    paths, labels = [path for path, _ in learned + held], np.array([label for _, label in learned + held])
    recipe = Recipe(
        seed=seed,
        pictures=len(learned),
        epochs=epochs,
        batch=32,
        peak_rate=FROM_SCRATCH if fresh else FROM_WEIGHTS,
        weight_decay=1e-8,
    )

    @one_thread()
    def work(scratch: Path) -> Facts:
        pictures, count = squares(paths, out / ".pictures"), len(learned)
        tuned: Any = init_model(model, seed=seed, classes=len(names))
        kept = out / f".training-{content[:8]}.pt"
        if not fresh:
            head, tuned = tuned.head, load(model, weights.file)
            tuned.head = head
            if not kept.exists():
                fit_head(tuned, pictures[:count], labels[:count])
        train(tuned, recipe, pictures[:count], labels[:count], kept=kept, batches=crops)
        state = {key: value.contiguous() for key, value in tuned.state_dict().items()}
        with replacing(scratch / "finetuned.safetensors") as part:  # one entry: several come in any order
            part.write_bytes(save(state, {"classes": json.dumps(names)}))
        release_memory()  # of the gradients: M0 stays below 1 GB
        accuracy = evaluate(tuned, pictures[count:, *MIDDLE], labels[count:])
        largest = np.bincount(labels[:count]).argmax()
        return {
            "classes": names,
            "learned": count,
            "held_out": len(held),
            "accuracy": accuracy,
            "interval": interval(accuracy, len(held)),
            "guessing": 1 / len(names),
            "largest_class": float((labels[count:] == largest).mean()),
            "weights": "none: from scratch" if fresh else weights.words,
        }

    files = ["finetuned.safetensors"]
    arguments = asdict(recipe) | {"model": model, "weights": weights.words, "content": content}
    made = step("finetune", out, work, files=files, arguments=arguments, packages=["torch", "timm", "pillow"])
    if made.remade:
        for left in out.glob(".[pt]*"):
            left.unlink()
        shutil.rmtree(out / "held-out", ignore_errors=True)
        for path, label in held:
            link = out / "held-out" / names[label] / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    return made


Pairs = list[tuple[Path, int]]


def split(pairs: Pairs, names: list[str], *, seed: int) -> tuple[Pairs, Pairs, str]:
    """Those to learn from, those held out, and a hash of all; equal pictures of a class fall on one side.

    Raises ImagesError for a class of fewer than two different ones.
    """
    contents = [f"{file_hash(path)} {label}" for path, label in tqdm(pairs, "hashing", leave=False)]
    apart = set[str]()
    for label, name in enumerate(names):
        mine = {content for content, (_, its) in zip(contents, pairs, strict=True) if its == label}
        if len(mine) < 2:
            raise ImagesError(f"{name}: {len(mine)} different pictures; give two or more, as one is held out")
        drawn = sorted(mine, key=lambda content: hashlib.sha256(f"{seed} {content}".encode()).digest())
        apart.update(drawn[: max(1, round(HELD_OUT * len(mine)))])
    halves: tuple[Pairs, Pairs] = [], []
    for content, pair in zip(contents, pairs, strict=True):
        halves[content in apart].append(pair)
    return *halves, hashlib.sha256(repr([names, contents]).encode()).hexdigest()


def squares(paths: list[Path], kept: Path) -> Pixels:
    """Each picture's middle as the board sees it, with a margin to crop from: uint8 [n, 256, 256, 3].

    They lie in the file `kept` and are read through the page cache. ImagesError names what cannot be read.
    """
    broken = []
    with replacing(kept) as part, part.open("wb") as file:  # not mapped: a full disk would kill the process
        for path in tqdm(paths, "reading pictures", unit="picture"):
            try:
                with Image.open(path) as image:
                    square = centre_crop(as_rgb(image), SHORT_SIDE)
            except Exception:  # decoders raise nearly anything on damaged files
                broken.append(str(path))
            else:
                file.write(square.tobytes())
        if broken:
            raise ImagesError(f"no pictures that can be read: {listed(broken)}; take them out of the folder")
    return np.memmap(kept, np.uint8, "r", shape=(len(paths), SHORT_SIDE, SHORT_SIDE, 3))


def fit_head(model: Any, pictures: Pixels, labels: Labels) -> None:
    """Trains the head alone, on features that are computed once: the rest of the network stays."""
    found = []
    with torch.no_grad():
        for start in tqdm(range(0, len(pictures), 32), "head"):
            features = model.forward_features(to_input(pictures[start : start + 32, *MIDDLE]))
            found.append(model.forward_head(features, pre_logits=True))
    seen, answers = torch.cat(found), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.head.train().parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(model.head(seen), answers).backward()
        optimizer.step()


def crops(recipe: Recipe, epoch: int, pictures: Pixels, labels: Labels) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order, cropped and mirrored by timm, drawn from (seed, epoch) and nothing else."""
    change = create_transform(INPUT_SIZE, is_training=True, scale=(0.35, 1.0), color_jitter=0.0)
    with seeded(10_000 * recipe.seed + epoch):
        order = torch.randperm(len(pictures)).numpy()
        for start in range(0, max(1, len(order) - recipe.batch + 1), recipe.batch):
            chosen = order[start : start + recipe.batch]
            images = torch.stack([change(Image.fromarray(pictures[place])) for place in chosen])
            yield images.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels[chosen])
