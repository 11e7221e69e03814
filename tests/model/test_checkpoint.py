"""Files as they come: official ones with all their extras, damaged, hostile, or no checkpoint at all."""

import argparse
import io
import os
import pickle
import shlex
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors.torch import save_file
from timm.scheduler import create_scheduler_v2
from torch import Tensor, nn

from helpers.model.checkpoint import read
from helpers.model.source import CheckpointError

STATE = {"blocks1.0.c.weight": torch.arange(6.0).reshape(2, 3), "head.l.bias": torch.ones(4)}
AVERAGE = {key: value + 1 for key, value in STATE.items()}


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
        "model_ema": OrderedDict(AVERAGE),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
        "args": argparse.Namespace(model="EfficientViT_M0", lr=1e-3, nested=argparse.Namespace(a=1)),
        "max_accuracy": np.float64(63.3),
        "loss": np.float32(1.7),
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_the_training_scripts_file(tmp_path: Path, zipped: bool) -> None:
    path = saved(tmp_path, training_file(), _use_new_zipfile_serialization=zipped)
    allowed = set(torch.serialization.get_safe_globals())
    assert same(read(path), AVERAGE), "timm's loader takes the average over the training as well"
    assert set(torch.serialization.get_safe_globals()) == allowed, "no type stays allowed after the reading"


def after(prefix: str, state: dict[str, Tensor] = STATE) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


ADAM = {"exp_avg": torch.ones(2, 3), "exp_avg_sq": torch.ones(2, 3)}
PREFIXES = ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "model._orig_mod.")
PREFIXES += ("backbone.", "timm_model.", "net.model.", "encoder.")


@pytest.mark.parametrize(
    "held",
    [
        STATE,
        {key: nn.Parameter(value) for key, value in STATE.items()},
        *({key: STATE, "epoch": 3} for key in ("model", "state_dict", "model_state_dict", "my_state_dict")),
        *({key: STATE, "loss": torch.ones(())} for key in ("net", "network", "weights", "module", "ema")),
        *({"state_dict": STATE, f"best_{metric}1": torch.ones(())} for metric in ("acc", "prec")),
        {"model_ema": STATE, "epoch": 3},
        {"model": AVERAGE, "ema": {"module": STATE, "updates": 9}},
        {"state_dict": AVERAGE, "state_dict_ema": STATE},
        {"state_dict": STATE, "state_dict_ema": None},
        {"ema": {"shadow": {"head.l.bias": torch.zeros(4)}}, "net": STATE},  # an average without all
        {"optimizer": {"state": {0: ADAM}, "param_groups": []}, "model": STATE, "loss_state_dict": ADAM},
        {"optim": after("state.") | after("state.more."), "net": STATE},
        *(after(prefix) for prefix in PREFIXES),
        {"model": after("module.")},
        STATE | {"epoch": 3, "best": np.float64(1)},
        STATE | {7: torch.ones(1)},
        after("module.") | {"n_averaged": torch.ones(())},
        after("model.") | {"criterion.weight": torch.ones(4)} | after("ema.module.", AVERAGE),
        after("ema.module.", AVERAGE) | STATE,
        after("backbone.", {"blocks1.0.c.weight": STATE["blocks1.0.c.weight"]})
        | {"head.l.bias": torch.ones(4)},
        after("ema_model."),
        STATE | {"total_ops": torch.ones(1), "blocks1.0.c.total_params": torch.ones(1)},
    ],
)
def test_the_ways_to_hold_a_state_dict(tmp_path: Path, held: dict[str, object]) -> None:
    assert same(read(saved(tmp_path, held)), STATE)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module."])
def test_what_a_wrapper_puts_before_all_is_taken_off_for_any_network(tmp_path: Path, prefix: str) -> None:
    bare = {"conv.weight": torch.ones(1), "conv.bias": torch.ones(1)}
    assert same(read(saved(tmp_path, {prefix + key: value for key, value in bare.items()})), bare)
    mixed = {"module.conv.weight": torch.ones(1), "conv.bias": torch.ones(1)}
    assert same(read(saved(tmp_path, mixed)), mixed)


@pytest.mark.parametrize("prefix", ["head.", "blocks1.0."])
def test_no_prefix_is_taken_off_for_another_network(tmp_path: Path, prefix: str) -> None:
    held = {f"{prefix}conv.weight": torch.ones(1), f"{prefix}conv.bias": torch.ones(1)}
    assert same(read(saved(tmp_path, held)), held)


def test_what_stands_beside_the_prefix_stays_to_be_refused(tmp_path: Path) -> None:
    two = after("student.") | {"teacher.head.l.bias": torch.zeros(4)}
    assert "teacher.head.l.bias" in read(saved(tmp_path, two))
    more = after("aux.") | {"aux.blocks1.1.c.bias": torch.ones(1)} | STATE
    assert "aux.head.l.bias" in read(saved(tmp_path, more))


def test_a_choice_between_two_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(saved(tmp_path, {"state_dict": STATE, "state_dict_ema": AVERAGE}))
    assert "'state_dict_ema'" in caplog.text and "average" in caplog.text
    caplog.clear()
    read(saved(tmp_path, {"state_dict": STATE, "epoch": 3}))
    assert not caplog.text


@pytest.mark.parametrize(
    "name", [b"mod\xe8le.pth", b"\x83\x82\x83f\x83\x8b.pth", "模型.pth".encode(), b"it's $(x) `y`.pth"]
)
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_name_in_any_encoding(tmp_path: Path, name: bytes, kind: str) -> None:
    path = tmp_path / os.fsdecode(name)
    with path.open("wb") as file:
        if kind == "safetensors":
            file.write(safetensors.torch.save(STATE))
        else:
            torch.save(STATE, file, _use_new_zipfile_serialization=kind == "zip")
    assert same(read(path), STATE)


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


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_never_runs(tmp_path: Path, zipped: bool) -> None:
    held = {"model": STATE, "x": Hostile(tmp_path / "mark")}
    path = saved(tmp_path, held, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"posix\.mkdir"):
        read(path)
    assert not (tmp_path / "mark").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "mark").exists(), "the file must be one that would have run its code"


def network() -> nn.Module:
    """Of torch's classes alone, with the names of STATE."""
    block, head = nn.ModuleDict({"c": nn.Linear(3, 2)}), nn.ModuleDict({"l": nn.Linear(3, 4)})
    return nn.ModuleDict({"blocks1": nn.ModuleList([block]), "head": head})


ARRAYS = {key: value.numpy() for key, value in STATE.items()}
NETWORK = network()


@pytest.mark.parametrize(
    ("held", "expected", "told"),
    [
        (NETWORK, NETWORK.state_dict(), r"a whole pickled network, torch\.nn\.modules\.\w+\.Module"),
        (
            {"model": NETWORK, "epoch": 3, "optimizer": torch.optim.SGD(NETWORK.parameters())},
            NETWORK.state_dict(),
            "whole",
        ),
        ({"model": network(), "ema": NETWORK}, NETWORK.state_dict(), "whole"),
        *(({key: STATE, "args": Path("x")}, STATE, "Path") for key in ("model", "my_state_dict", "net")),
        ({"model": AVERAGE, "ema": {"module": STATE}, "args": io.StringIO()}, STATE, "StringIO"),
        (ARRAYS, STATE, "numpy"),
        ({"net": ARRAYS, "epoch": 3, "names": np.array(["cat"])}, STATE, "numpy"),
    ],
)
def test_the_advised_command_saves_what_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: object, expected: dict[str, Tensor], told: str
) -> None:
    with pytest.raises(CheckpointError, match=rf"{told}.*only if you trust its author") as refused:
        read(saved(tmp_path, held))
    monkeypatch.chdir(tmp_path)
    exec(advised(refused.value), {})
    assert same(read(tmp_path / "my-weights.pth"), expected)


def advised(refusal: CheckpointError) -> str:
    """The code in the command that a refusal ends in."""
    *_, python, option, code = shlex.split(str(refusal).partition("where it was made: ")[2])
    assert (python, option) == ("python", "-c")
    return code


@pytest.mark.parametrize("name", [b"it's $(touch mark).pth", b"mod\xe8le.pth"])
def test_a_shell_runs_the_advised_command(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    with path.open("wb") as file:
        torch.jit.save(torch.jit.script(nn.Linear(3, 2)), file)
    with pytest.raises(CheckpointError, match="TorchScript") as refused:
        read(path)
    command = str(refused.value).partition("where it was made: ")[2].replace("python", sys.executable, 1)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert read(path.with_name(f"{path.stem}-weights.pth")).keys() == {"weight", "bias"}
    assert not (tmp_path / "mark").exists()


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
        (lambda path: (path.unlink(), path.mkdir()), "there is no file"),
        (lambda path: path.write_bytes(b""), "empty"),
        (bit_flipped, "damaged"),
        (larger_than_its_record, "damaged"),
        (lambda path: path.write_text("\n<!DOCTYPE html><html>503</html>"), "is a web page"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "no checkpoint"),
        (lambda path: path.write_bytes(pickle.dumps(STATE, protocol=4)), "no checkpoint"),
        (lambda path: torch.save([1, 2], path), "list"),
        (lambda path: torch.save({}, path), "nothing"),
        (lambda path: torch.save({"epoch": 3}, path), "epoch"),
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
