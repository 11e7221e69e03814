"""Checkpoint files read as data: no code from the file runs, and a file that cannot be right says why."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

from helpers.model.source import CheckpointError, require_file


class _Discarded:
    """Stands in for harmless objects beside the weights, so that not even their own code runs."""

    def __new__(cls, *_: object) -> "_Discarded":
        return super().__new__(cls)

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


# The official training script keeps its arguments beside tensors, numbers and strings (microsoft/Cream,
# classification/main.py). Numpy scalars come from scripts that note a best accuracy; numpy 2 renamed them.
_HARMLESS = (
    "argparse.Namespace",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)
# The official loader takes "model" (classification/model/build.py). Its EMA, never evaluated, comes last.
_STATE_KEYS = ("model", "state_dict", "model_ema", "state_dict_ema")
_DISTRIBUTED = "module."  # what torch's DistributedDataParallel puts before every key


def read(path: Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint, under the file's own names less a `module.` before each.

    Takes what the official training script saves (`model` beside optimizer, scheduler, EMA and arguments), a
    plain state dict, one under `state_dict` or an EMA's key, and safetensors. Raises CheckpointError for a
    file that is missing, damaged, or holds other types or no state dict.
    """
    require_file(path)
    with path.open("rb") as file:
        safetensors = file.read(9)[8:] == b"{"  # its header's length, then its header in JSON
    try:
        if safetensors:
            held: Any = load_file(path)
        else:
            if zipfile.is_zipfile(path) and (spoilt := zipfile.ZipFile(path).testzip()):
                raise ValueError(f"wrong checksum of {spoilt}")  # torch does not look at it
            with safe_globals([(_Discarded, name) for name in _HARMLESS]):
                held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile pickle can make the reader raise anything
        raise CheckpointError(_refusal(path, error)) from error
    return _state_dict(path, held)


def _resave(path: Path) -> str:
    """The safe way on for a file that holds more than weights."""
    return (
        "if you trust whoever made it, re-save only the weights where it was made: "
        f"python -c \"import torch; c = torch.load('{path.name}', map_location='cpu', weights_only=False); "
        "c = c.get('model', c.get('state_dict', c)); "
        f"torch.save({{k: v for k, v in c.items()}}, '{path.stem}-weights.pth')\""
    )


def _refusal(path: Path, error: Exception) -> str:
    if found := re.search(r"GLOBAL (\S+)|Can only (?:build|create).* got <class '(\S+)'>", str(error)):
        kind = found[1] or found[2]
        module, _, name = kind.rpartition(".")
        whole = f"{module}\n{name}\n".encode()
        if found[1] and not zipfile.is_zipfile(path) and whole not in path.read_bytes():
            return _damaged(path, "it ends within the name of a type")
        return f"{path} holds {kind}, which may run code when loaded, and was not read: {_resave(path)}"
    detail = re.search(r"(?:WeightsUnpickler error: *)?(\S[^\n]*)\s*$", str(error).partition("\n\n")[0])
    cause = detail[1][:120] if detail else type(error).__name__
    return _damaged(path, cause)


def _damaged(path: Path, cause: str) -> str:
    return f"{path} is empty, truncated, damaged or no checkpoint ({cause}): get the file again"


def _state_dict(path: Path, held: object) -> dict[str, Tensor]:
    if isinstance(held, Mapping) and not any(isinstance(value, Tensor) for value in held.values()):
        held = next((held[key] for key in _STATE_KEYS if isinstance(held.get(key), Mapping)), held)
    if not isinstance(held, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(held).__name__}, no state dict: save model.state_dict() instead"
        )
    strange = [key for key, value in held.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strange or not held:
        found = f"{listed(strange)} beside or instead of tensors" if strange else "nothing"
        raise CheckpointError(f"{path} holds {found}: {_resave(path)}")
    if all(key.startswith(_DISTRIBUTED) for key in held):
        return {key.removeprefix(_DISTRIBUTED): value for key, value in held.items()}
    return dict(held)


def listed(names: list[str]) -> str:
    """The first five names and how many more."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(str, names[:5])) + more
