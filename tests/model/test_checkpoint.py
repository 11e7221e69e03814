"""Files as they come: official ones with all their extras, damaged, hostile, or no checkpoint at all."""

import argparse
import io
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm.scheduler import create_scheduler_v2
from torch import Tensor, nn

from helpers.model.checkpoint import read
from helpers.model.source import CheckpointError

STATE = {"blocks1.0.c.weight": torch.arange(6.0).reshape(2, 3), "head.l.bias": torch.ones(4)}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def saved(tmp_path: Path, held: object, **options: Any) -> Path:
    path = tmp_path / "my.pth"
    torch.save(held, path, **options)
    return path


def training_file() -> dict[str, object]:
    """What the official training script saves: real states of an optimizer, a scheduler and a scaler."""
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scheduler, _ = create_scheduler_v2(optimizer, sched="cosine", num_epochs=300, warmup_epochs=5)
    return {
        "model": OrderedDict(STATE),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "epoch": 299,
        "model_ema": OrderedDict({key: value + 1 for key, value in STATE.items()}),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
        "args": argparse.Namespace(model="EfficientViT_M0", lr=1e-3, nested=argparse.Namespace(a=1)),
        "max_accuracy": np.float64(63.3),
        "loss": np.float32(1.7),
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_the_training_scripts_file(tmp_path: Path, zipped: bool) -> None:
    path = saved(tmp_path, training_file(), _use_new_zipfile_serialization=zipped)
    allowed = set(torch.serialization.get_safe_globals())
    assert same(read(path), STATE)
    assert set(torch.serialization.get_safe_globals()) == allowed, "no type stays allowed after the reading"


@pytest.mark.parametrize(
    "held",
    [
        STATE,
        {"state_dict": STATE},
        {"model_ema": STATE, "epoch": 3},
        {"model": {f"module.{key}": value for key, value in STATE.items()}},
        {key: nn.Parameter(value) for key, value in STATE.items()},
    ],
    ids=["plain", "state_dict", "only an EMA", "model, distributed", "parameters"],
)
def test_the_ways_to_hold_a_state_dict(tmp_path: Path, held: dict[str, object]) -> None:
    assert same(read(saved(tmp_path, held)), STATE)


def test_safetensors_by_content_not_by_name(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "weights.pth")
    assert same(read(tmp_path / "weights.pth"), STATE)


def test_a_file_of_an_older_numpy(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": STATE, "best": np.float64(1)})
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert same(read(path), STATE)


class Hostile:
    """Makes a directory when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


class EvaluatesText:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return eval, ("print('ran')",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_never_runs(tmp_path: Path, zipped: bool) -> None:
    held = {"model": STATE, "x": Hostile(tmp_path / "mark")}
    path = saved(tmp_path, held, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"posix\.mkdir"):
        read(path)
    assert not (tmp_path / "mark").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "mark").exists(), "the file must be one that would have run its code"


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_the_advised_command_saves_what_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    with pytest.raises(CheckpointError) as refused:
        read(saved(tmp_path, {key: STATE, "args": io.StringIO("x")}))
    advised = re.search(r'python -c "(.*)"', str(refused.value))
    assert advised
    monkeypatch.chdir(tmp_path)
    exec(advised[1], {})
    assert same(read(tmp_path / "my-weights.pth"), STATE)


@pytest.mark.parametrize(
    ("held", "named"),
    [
        (EvaluatesText(), "eval"),
        (nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (io.StringIO(), "StringIO"),
    ],
    ids=["eval", "a whole model", "another type"],
)
def test_a_refusal_names_the_type(tmp_path: Path, held: object, named: str) -> None:
    with pytest.raises(CheckpointError, match=named):
        read(saved(tmp_path, {"model": STATE, "extra": held}))


def test_the_harmless_types_run_nothing_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, {"model": STATE, "args": argparse.Namespace(a=1)})

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the real Namespace was built")

    monkeypatch.setattr(argparse.Namespace, "__init__", refuse)
    monkeypatch.setattr(argparse.Namespace, "__setstate__", refuse, raising=False)
    assert same(read(path), STATE)


def bit_flipped(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        member = next(each for each in archive.infolist() if each.filename.endswith("data/0"))
    content = bytearray(path.read_bytes())
    content[content.index(STATE["blocks1.0.c.weight"].numpy().tobytes(), member.header_offset) + 5] ^= 1
    path.write_bytes(bytes(content))


def larger_than_its_record(path: Path) -> None:
    """A tensor that claims 3 * 2**28 numbers where the archive holds six."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            data = data.replace(b"K\x06tq", b"J\0\0\0\x30tq")
            archive.writestr(name, data.replace(b"K\x02K\x03\x86", b"J\0\0\0\x10K\x03\x86"))


def endless(path: Path) -> None:
    held: dict[str, object] = {}
    held["model"] = held
    torch.save(held, path)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (Path.unlink, "there is no file"),
        (lambda path: (path.unlink(), path.mkdir()), "is a directory"),
        (lambda path: path.write_bytes(b""), "empty"),
        (bit_flipped, "damaged"),
        (larger_than_its_record, "damaged"),
        (lambda path: path.write_text("\n<!DOCTYPE html><html>503</html>"), "no checkpoint"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "no checkpoint"),
        (lambda path: path.write_bytes(pickle.dumps(STATE, protocol=4)), "no checkpoint"),
        (lambda path: torch.save([1, 2], path), "list"),
        (lambda path: torch.save({}, path), "nothing"),
        (lambda path: torch.save({"epoch": 3}, path), "epoch"),
        (lambda path: torch.save(STATE | {"epoch": 3}, path), "epoch"),
        (lambda path: torch.save(STATE | {7: torch.ones(1)}, path), "7"),
        (endless, "model"),
        (lambda path: save_file(STATE, path) or path.write_bytes(path.read_bytes()[:-4]), "truncated"),
        (lambda path: path.write_bytes((9000).to_bytes(8, "little") + b"{}"), "truncated"),
    ],
)
def test_each_fault_has_one_sentence_that_names_the_file(tmp_path: Path, spoil: Any, named: str) -> None:
    path = saved(tmp_path, {"model": STATE})
    spoil(path)
    with pytest.raises(CheckpointError, match=named) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("cut", ["c", "ccollec", "ccollections", "ccollections\n", "ccollections\nOrde"])
def test_a_file_that_ends_within_a_types_name_is_truncated_and_not_suspect(tmp_path: Path, cut: str) -> None:
    path = saved(tmp_path, {"model": OrderedDict(STATE)}, _use_new_zipfile_serialization=False)
    before, _, _ = path.read_bytes().partition(b"ccollections\nOrderedDict")
    path.write_bytes(before + cut.encode())
    with pytest.raises(CheckpointError, match=r"truncated.*get the file again"):
        read(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_at_any_length(tmp_path: Path, zipped: bool, keep: float) -> None:
    path = saved(tmp_path, training_file(), _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(CheckpointError, match=r"truncated.*get the file again"):
        read(path)
