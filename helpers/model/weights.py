"""Models with weights: from a checkpoint file, the timm hub or chapter 04's training, or random ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, get_session, hf_hub_download
from torch import nn

from helpers.model import layout
from helpers.model.checkpoint import read
from helpers.model.memory import release_memory
from helpers.model.randomize import randomize
from helpers.model.reference import pocket_model, pretrained, seeded, timm, timm_model
from helpers.model.source import HUB, POCKET, CheckpointError, find, hub_id, known
from helpers.model.variants import INPUT_SIZE, TIMM, VARIANTS, WINDOW


class Unreachable(ConnectionError):
    """Weights that did not come over the network; the message says what to do next."""


def load(
    name: str, checkpoint: str | Path | None = None, *, seed: int = 0, image_size: int | None = None
) -> nn.Module:
    """A timm network in eval mode: images [n, 3, 224, 224] to logits [n, classes].

    `name` is one of the six, "pocket", or timm/NAME for any other of timm's classifiers, at its own size.
    `checkpoint` is "random" (by `randomize`, from `seed`), "timm" (the hub), "pocket" (chapter 04's, whatever
    the name), or a file: what training scripts save or a plain state dict, in the official or timm's layout,
    or safetensors; none of its code runs. Left out, it is what `find` decides, and no host is asked. A file
    with another number of classes gives a model with that many. The global random state stays.

    The six take pictures of another `image_size`, too. Attention stays in the windows that the file was
    trained in, or as large as the map where that is smaller; its bias tables are brought to windows of
    another size as the authors' loader does (layout.at_size), and stay as they are in a file of that size.

    Raises UnknownModel, CheckpointError for a file that cannot be used, Unreachable without the hub, and
    ValueError for a size that cannot be.
    """
    known(name, image_size)
    source = find(checkpoint, name=name)
    if source.checkpoint == HUB:
        return _from_file(name, source.file or _fetch(name), image_size)
    if source.file is not None:
        return _from_file(POCKET if source.checkpoint == POCKET else name, source.file, image_size)
    model = init_model(name, seed=seed, image_size=image_size)
    randomize(model, seed=seed)
    release_memory()
    return model.eval()


def init_model(
    name: str,
    *,
    seed: int = 0,
    classes: int | None = None,
    image_size: int | None = None,
    window: int = WINDOW,
) -> nn.Module:
    """A model as its class initialises it from `seed`, in eval mode; the global random state stays.

    `classes` is the model's own number when left out: 10 for the pocket model, else 1000 as a rule.
    `image_size` and `window` (tokens, attention's side) are for the six.
    """
    with seeded(seed):
        if name == POCKET:
            return pocket_model(classes=classes or 10).eval()
        if name.startswith(TIMM):
            return timm_model(name, seed=seed, classes=classes)
        size = image_size or INPUT_SIZE
        model: Any = timm.create_model(
            name, num_classes=classes or 1000, img_size=size, window_size=(window,) * 3
        )
        model.pretrained_cfg["input_size"] = (3, size, size)  # timm leaves it at 224
        built: nn.Module = model.eval()
        return built


def _from_file(name: str, path: Path, image_size: int | None = None) -> nn.Module:
    state = read(path)
    head = pretrained(name).classifier if name.startswith(TIMM) else "head.linear"
    classes = layout.classes(state, head=head)
    window = image_size and layout.window(state)
    model = init_model(name, classes=classes, image_size=image_size, window=window or WINDOW)
    if image_size:
        state = layout.at_size(state, model)
    if reasons := layout.misfit(state, model):
        for other in {*VARIANTS, POCKET} - {name}:
            with torch.device("meta"):
                candidate = init_model(other, classes=classes)
            if not layout.misfit(state, candidate):
                raise CheckpointError(f"{path} does not fit {name} but {other}: load it as {other!r}")
        raise CheckpointError(f"{path} does not fit {name}, nor another of the models: {'; '.join(reasons)}")
    model.load_state_dict(layout.to_timm(path, state, model))
    return model  # it never ran, so timm has cached no attention bias of the weights before


def fetch_all() -> Iterator[tuple[str, Path, bool]]:
    """The hub's weights of the six, in its cache here: name, file, and whether it was fetched just now.

    What is there and fits is kept, and the hub is not asked. Raises Unreachable, and CheckpointError where
    the hub gives a file that cannot be used; what came before stays.
    """
    for name in VARIANTS:
        file = find(HUB, name=name).file
        try:
            with torch.device("meta"):
                network = init_model(name)
            missing = file is None or layout.misfit(read(file), network)
        except CheckpointError:
            missing = True
        if missing:
            _from_file(name, file := _fetch(name, again=file is not None))
        assert file is not None
        yield name, file, bool(missing)


def _fetch(name: str, *, again: bool = False) -> Path:
    """The hub's weights of a model, put into its cache on this machine; `again` replaces those there."""
    try:
        get_session().head(constants.ENDPOINT, timeout=4)  # a download would try for longer
        return Path(hf_hub_download(hub_id(name), "model.safetensors", force_download=again))
    except Exception as error:  # the hub client's errors share no base class
        reason = str(error).strip().partition("\n")[0]
        raise Unreachable(
            f"the timm hub ({constants.ENDPOINT}) gave no weights for {name} ({reason}): "
            "give the official file as checkpoint, or 'random'"
        ) from error
