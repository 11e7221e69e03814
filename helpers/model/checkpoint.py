"""Checkpoint files read as data: no code from the file runs, and a file that cannot be right says why."""

import hashlib
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

LIMIT_BYTES = 2**30
"""No EfficientViT checkpoint comes near: M5 with its EMA and AdamW's two moments is 0.2 GB."""

Format = Literal["zip", "pickle", "safetensors"]


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, unsafe or of another model; the message says what to do next."""


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
_DEPTH = 8  # keys above the weights; known files have one
_DISTRIBUTED = "module."  # what torch's DistributedDataParallel puts before every key


def file_hash(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recorded_hash(path: Path) -> Path:
    """Where the hash of a downloaded checkpoint is kept: beside it, in the format of `sha256sum`."""
    return path.with_name(f"{path.name}.sha256")


def check_recorded_hash(path: Path) -> None:
    """Raises CheckpointError when a hash lies beside `path` and the file no longer has it."""
    record = recorded_hash(path)
    if not record.is_file():
        return
    words = record.read_text(encoding="ascii", errors="replace").split()
    if not words or words[0].lower() != file_hash(path):
        raise CheckpointError(
            f"{path} does not have the hash in {record.name}: the file changed since it was recorded; "
            "get it again, or delete the record if you changed the file yourself"
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _resave(path: Path) -> str:
    """The safe way on for a file that holds more than weights."""
    return (
        "if you trust whoever made it, re-save only the weights where it was made: "
        f"python -c \"import torch; c = torch.load('{path.name}', map_location='cpu', weights_only=False); "
        "c = c.get('model', c.get('state_dict', c)); "
        f"torch.save({{k: v for k, v in c.items()}}, '{path.stem}-weights.pth')\""
    )


def require_file(path: Path) -> None:
    """Raises CheckpointError for a path where nothing is, or a folder."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a directory: give the checkpoint file in it")
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}: check the path, or leave it out for random weights")


def check_format(path: Path) -> Format:
    """What kind of checkpoint `path` holds, by its first bytes and its directory; nothing is unpacked.

    Raises CheckpointError for a missing, empty, truncated or oversized file, for an archive that claims more
    than it holds, and for a text or web page saved under a checkpoint's name.
    """
    require_file(path)
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"{path} is empty: get the file again")
    if size > LIMIT_BYTES:
        limit = _megabytes(LIMIT_BYTES)
        raise CheckpointError(f"{path} has {_megabytes(size)}, over the limit of {limit}; {_resave(path)}")
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"PK\x03\x04"):
        _check_zip(path, size)
        return "zip"
    if start[0] == pickle.PROTO[0]:
        return "pickle"
    text = start.decode("utf-8", "replace").strip()
    if re.match(r"<(!doctype|html|head|\?xml)", text, re.IGNORECASE):
        raise CheckpointError(
            f"{path} is a web page, not weights: an error page was saved; get the file again"
        )
    if "\0" not in text and "\ufffd" not in text[:-3]:
        raise CheckpointError(f"{path} is text, not weights (it begins {text[:40]!r}): get the file again")
    if start[8:9] == b"{":
        _check_safetensors(path, size, start)
        return "safetensors"
    raise CheckpointError(
        f"{path} is no checkpoint (neither PyTorch nor safetensors): give a .pth or .safetensors"
    )


def _check_zip(path: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.filename.endswith("/constants.pkl") for member in members):
                raise CheckpointError(
                    f"{path} is a TorchScript program, not weights: save model.state_dict() with torch.save"
                )
            claimed = sum(member.file_size for member in members)
            # torch.save never compresses; a stored archive cannot hold more than its file does.
            if claimed > size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise CheckpointError(
                    f"{path} claims {_megabytes(claimed)} unpacked in a zip file of {_megabytes(size)}; "
                    "torch.save never does: it may be a zip bomb, get the file from its source again"
                )
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        raise CheckpointError(f"{path} is truncated or damaged ({error}): get the file again") from error
    if damaged:
        raise CheckpointError(f"{path} is damaged in {damaged!r}: get the file again")


def _check_safetensors(path: Path, size: int, start: bytes) -> None:
    (header,) = struct.unpack("<Q", start[:8])
    if 8 + header > size:
        raise CheckpointError(f"{path} is truncated: it ends within its header; get the file again")


def read(path: Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint, under the file's own names less a `module.` before each.

    Takes what the official training script saves (`model` beside optimizer, scheduler, EMA and arguments), a
    plain state dict, one under `state_dict` or an EMA's key, and safetensors. Raises CheckpointError as
    `check_format`, and for a file that holds other types, no state dict, or a hash beside it that it lacks.
    """
    kind = check_format(path)
    check_recorded_hash(path)
    try:
        if kind == "safetensors":
            held: Any = load_file(path)
        else:
            # Mapped, not read: an optimizer costs no memory, and no tensor can reach past the file.
            with safe_globals([(_Discarded, name) for name in _HARMLESS]):
                held = torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "zip")
    except SafetensorError as error:
        raise CheckpointError(f"{path} is truncated or damaged ({error}): get the file again") from error
    except Exception as error:  # a hostile pickle can make the reader raise anything
        raise CheckpointError(_refusal(path, error)) from error
    return _state_dict(path, held)


def _refusal(path: Path, error: Exception) -> str:
    if found := re.search(r"GLOBAL (\S+)|Can only (?:build|create).* got <class '(\S+)'>", str(error)):
        kind = found[1] or found[2]
        return f"{path} holds {kind}, which may run code when loaded, and was not read: {_resave(path)}"
    detail = re.search(r"(?:WeightsUnpickler error: *)?(\S[^\n]*)\s*$", str(error).partition("\n\n")[0])
    cause = detail[1][:120] if detail else type(error).__name__
    return f"{path} is truncated, damaged or no checkpoint ({cause}): get the file again"


def _state_dict(path: Path, held: object, *, depth: int = 0) -> dict[str, Tensor]:
    if depth > _DEPTH:  # or endless: a dict can hold itself
        raise CheckpointError(f"{path} holds dicts within dicts and no weights: get the file again")
    if not isinstance(held, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(held).__name__}, no state dict: save model.state_dict() instead"
        )
    if not any(isinstance(value, Tensor) for value in held.values()):
        for key in _STATE_KEYS:
            if isinstance(held.get(key), Mapping):
                return _state_dict(path, held[key], depth=depth + 1)
        keys = ", ".join(map(repr, list(held)[:5])) or "nothing"
        raise CheckpointError(f"{path} holds no state dict under {_STATE_KEYS} but {keys}: {_resave(path)}")
    strange = [key for key, value in held.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strange:
        raise CheckpointError(f"{path} holds {listed(strange)} beside tensors: {_resave(path)}")
    if all(key.startswith(_DISTRIBUTED) for key in held):
        return {key.removeprefix(_DISTRIBUTED): value for key, value in held.items()}
    return dict(held)


def listed(names: list[str]) -> str:
    """The first five names and how many more."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(str, names[:5])) + more
