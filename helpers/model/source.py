"""Where weights come from: what `checkpoint` may be, and what it is when nothing is said. Needs no torch."""

import os
from dataclasses import dataclass
from pathlib import Path

from helpers.artifacts import file_hash
from helpers.files import DATA
from helpers.model.variants import TIMM, VARIANTS, check_size, variant

ENVIRONMENT_VARIABLE = "EFFICIENTVIT_CHECKPOINT"
RANDOM, HUB, POCKET = "random", "timm", "pocket"
WORDS = (RANDOM, HUB, POCKET)
POCKET_WEIGHTS = DATA / "weights" / "pocket.safetensors"
HUB_ID = "timm/{name}.r224_in1k"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used as it is; the message says why and what to do."""


@dataclass(frozen=True)
class Source:
    """What a checkpoint stands for: one of WORDS or a path, and the file, where it is here already."""

    checkpoint: str | Path
    file: Path | None

    @property
    def words(self) -> str:
        """What result rows carry under `weights`."""
        if self.file is None:
            return "timm hub" if self.checkpoint == HUB else "random (seed 0)"
        name = os.fsencode(self.file.name).decode("utf-8", "replace")  # a name may be in any encoding
        told = {HUB: "timm hub,", POCKET: "pocket, trained in chapter 04,"}
        return f"{told.get(str(self.checkpoint), f'file {name}')} sha256 {file_hash(self.file)[:8]}…"


def find(checkpoint: str | Path | None = None, *, name: str | None = None) -> Source:
    """What `weights.load` uses: `checkpoint`, else what the environment names, else timm's where cached.

    Else weights are random; those of the pocket model are its own, and timm's other models are trained only
    where that is asked for. Raises CheckpointError for a path where no file is.
    """
    default = RANDOM
    if name == POCKET:
        default = POCKET
    elif name and name.startswith(TIMM):
        pass
    elif named := os.environ.get(ENVIRONMENT_VARIABLE):
        default = named
    elif name in VARIANTS and _cached(name):
        default = HUB
    chosen = checkpoint or default
    if chosen == RANDOM:
        return Source(RANDOM, None)
    if chosen == HUB:
        return Source(HUB, _cached(name))
    path = POCKET_WEIGHTS if chosen == POCKET else Path(chosen).expanduser()
    require_file(path)
    return Source(POCKET if chosen == POCKET else path, path)


def ready(checkpoint: str | Path | None = None, *, name: str) -> Source:
    """`find`; the hub's weights that were asked for and are not here yet are fetched, as `load` does it."""
    source = find(checkpoint, name=name)
    if source.checkpoint == HUB and source.file is None:
        from helpers.model.weights import load

        load(name, HUB)
        source = find(HUB, name=name)
    return source


def known(name: str, image_size: int | None = None) -> None:
    """Raises UnknownModel for a name that is no model's, and ValueError for a size that it cannot take."""
    if name.startswith(TIMM):
        from helpers.model.reference import pretrained

        pretrained(name)
    elif name != POCKET:
        variant(name)
    if image_size:
        check_size(name, image_size)


def require_file(path: Path) -> None:
    """Raises CheckpointError for a path where nothing is, or a folder."""
    if not path.is_file():
        ours = str(path) == os.environ.get(ENVIRONMENT_VARIABLE)
        named = f", which {ENVIRONMENT_VARIABLE} names" if ours else ""
        raise CheckpointError(f"there is no file {path}{named}: check the path, or ask for 'random'")


def hub_id(name: str | None) -> str:
    """Where timm's hub keeps a model's weights; raises CheckpointError where it has none."""
    if not (name and name.startswith(TIMM)):
        return HUB_ID.format(name=name)
    from helpers.model.reference import pretrained

    if found := pretrained(name).hf_hub_id:
        return str(found)
    raise CheckpointError(f"timm has no weights of {name}: give a file as checkpoint, or 'random'")


def _cached(name: str | None) -> Path | None:
    """The hub's weights of a model where this machine has them."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub_id(name), "model.safetensors")
    return Path(found) if isinstance(found, str) else None
