"""Checkpoint files read as data: no code from the file runs, and a file that cannot be right says why."""

import logging
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors
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
# Where an EfficientViT's own name of a weight begins, in the official layout and in timm's.
_OURS = re.compile(r"(?<![^.])(patch_embed\.(conv)?\d|blocks[123]\.\d|stages\.\d|head\.(bn|l|linear)\.)")
_EMA = re.compile(r"(?<![a-z])ema(?![a-z])", re.IGNORECASE)  # an average of the weights over the training
_WEB_PAGE = (b"<!doctype", b"<html", b"<?xml")  # what downloads leave instead, by its first letters
# What wrappers put before every name.
_WRAPPERS = ("_orig_mod.module.", "module._orig_mod.", "module.", "_orig_mod.")
# What belongs to optimizer, loss or EMA, and thop's totals.
_ASIDE = re.compile(r"optim(izer|_|\b)|criteri|loss|n_averaged|total_(ops|params)$", re.IGNORECASE)


def read(path: Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint, under the file's own names less what wrappers put before them.

    Takes a plain state dict, safetensors, and what training scripts save: of all mappings in the file the one
    with most weights of an EfficientViT; of two alike an EMA's, as timm's loader does, and says so. Beside
    them, what optimizer, loss and EMA hold is left out. Raises CheckpointError for a file that is missing or
    damaged, or holds other types or no weights.
    """
    require_file(path)
    with path.open("rb") as file:  # torch and safetensors cannot take every name that a file may have
        begin = file.read(32)
        is_safetensors = begin[8:9] == b"{"  # its header's length, then its header in JSON
        if begin.lstrip().lower().startswith(_WEB_PAGE):
            raise CheckpointError(f"{path} is a web page: get the file again")
        file.seek(0)
        try:
            if is_safetensors:
                held: Any = safetensors.load(file.read())
            else:
                if zipfile.is_zipfile(file) and (spoilt := zipfile.ZipFile(file).testzip()):
                    raise ValueError(f"wrong checksum of {spoilt}")  # torch does not look at it
                file.seek(0)
                with safe_globals([(_Discarded, name) for name in _HARMLESS]):
                    held = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a hostile pickle can make the reader raise anything
            raise CheckpointError(_refusal(path, error)) from error
    return _state_dict(path, held)


def _resave(path: Path) -> str:
    """The way on for a file that holds more than weights: it keeps the tensors, and `read` picks."""
    code = (
        "import numpy, torch; "
        r"exec('try: import helpers.model.reference\nexcept ImportError: pass'); "  # its shim, where it is
        "g = lambda c: g(c.state_dict()) if hasattr(c, 'state_dict') else "
        "{str(k): g(c[k]) for k in c} if isinstance(c, dict) else "
        "c if isinstance(c, torch.Tensor) else "
        "torch.as_tensor(c) if isinstance(c, numpy.ndarray) and c.dtype.kind in 'iuf' else None; "
        f"c = torch.load(open({path.name!r}, 'rb'), map_location='cpu', weights_only=False); "
        f"torch.save(g(c), open({path.stem + '-weights.pth'!r}, 'wb'))"
    )
    shell = re.sub(r"([$`\"])", r"\\\1", code)
    return f'only if you trust its author, re-save the weights where it was made: python -c "{shell}"'


def _refusal(path: Path, error: Exception) -> str:
    if found := re.search(r"GLOBAL (\S+)|Can only (?:build|create).* got <class '(\S+)'>", str(error)):
        kind = found[1] or found[2]
        module, _, name = kind.rpartition(".")
        content = path.read_bytes()
        if found[1] and not zipfile.is_zipfile(path) and f"{module}\n{name}\n".encode() not in content:
            return _damaged(path, "it ends within the name of a type")
        what = "a whole pickled network, " if b"torch.nn.modules." in content else ""
        return f"{path} holds {what}{kind}, which may run code when loaded, and was not read: {_resave(path)}"
    if "TorchScript" in str(error):
        return f"{path} is a whole network in TorchScript, which is code, and was not read: {_resave(path)}"
    detail = re.search(r"(?:WeightsUnpickler error: *)?(\S[^\n]*)\s*$", str(error).partition("\n\n")[0])
    cause = detail[1][:120] if detail else type(error).__name__
    return _damaged(path, cause)


def _damaged(path: Path, cause: str) -> str:
    return f"{path} is empty, truncated, damaged or no checkpoint ({cause}): get the file again"


def _state_dict(path: Path, held: object) -> dict[str, Tensor]:
    found = _mappings(held)
    if not found:
        keys = listed(list(held)) or "nothing" if isinstance(held, Mapping) else f"a {type(held).__name__}"
        raise CheckpointError(f"{path} holds {keys} and no weights: save model.state_dict() instead")
    ours = {
        place: sum(bool(_OURS.search(str(key)) and not _ASIDE.search(f"{place}.{key}")) for key in each)
        for place, each in found.items()
    }
    place = max(found, key=lambda at: (ours[at], bool(_EMA.search(at)), len(found[at])))
    alike = [at for at in found if ours[at] or (not ours[place] and len(found[at]) == len(found[place]))]
    if others := [other for other in alike if other != place]:
        average = ", the average over the training, as timm's loader does" if _EMA.search(place) else ""
        text = "%s: taken are the weights under %r%s, not those under %s"
        logging.getLogger(__name__).warning(text, path, place, average, listed(others))
    return _unwrapped(
        {key: each for key, each in found[place].items() if isinstance(key, str) and isinstance(each, Tensor)}
    )


def _mappings(held: object) -> dict[str, Mapping[Any, Any]]:
    """Every mapping in it that holds tensors, by the keys that lead there; the outer ones first."""
    found, left, seen = dict[str, Mapping[Any, Any]](), [("", held)], set[int]()
    for place, each in left:  # which grows meanwhile
        if isinstance(each, Mapping) and id(each) not in seen:
            seen.add(id(each))
            if any(isinstance(value, Tensor) for value in each.values()):
                found[place] = each
            left += [(f"{place}.{key}".lstrip("."), value) for key, value in each.items()]
    return found


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix before an EfficientViT's names, or before all, and what is not the network's.

    Names that would fall on others stay as they are.
    """
    prefixes = Counter(key[: own.start()] for key in state if (own := _OURS.search(key)))
    common = next((each for each in _WRAPPERS if all(key.startswith(each) for key in state)), "")
    prefix = max(prefixes, key=lambda p: (not _EMA.search(p), prefixes[p], p != ""), default=common)
    bare = {key: key.removeprefix(prefix) for key in state}
    named = {key if bare[key] in state else bare[key]: value for key, value in state.items()}
    return {
        key: value
        for key, value in named.items()
        if not _ASIDE.search(key) and (_OURS.match(key) or not _EMA.search(key.partition(".")[0]))
    }


def listed(names: list[str]) -> str:
    """The first five names and how many more."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(str, names[:5])) + more
