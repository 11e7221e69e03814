"""Faults as the commands meet them: one sentence, the status, and nothing lost or written elsewhere.

Faults of single parts are tested beside them.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.__main__ import main
from helpers.files import ROOT
from helpers.graph.preprocess import Preprocessing
from helpers.pulsar2 import archive as archives
from helpers.pulsar2 import config as configs
from helpers.pulsar2.schema import NpuMode
from helpers.quant import accuracy

RGB = Preprocessing.of(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), board_input="rgb")
EXPORT = ["export", "--model", "efficientvit_m0"]


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_picture_too_large_to_decode(tmp_path: Path):
    huge = tmp_path / "huge.png"
    Image.new("1", (14_000, 14_000)).save(huge)  # 24 KB on the disk, 590 MB decoded
    with pytest.raises(archives.ArchiveError, match="huge"):
        archives.calibrate(tmp_path / "out", RGB, images=huge.parent)
    with pytest.raises(accuracy.ImagesError):
        list(accuracy.samples([(huge, 0)], RGB))


def test_a_full_disk_costs_nothing_that_was_there(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    full_disk: Callable[[int], AbstractContextManager[None]],
):
    def export(opset: str) -> int:
        return main([*EXPORT, "--out", str(tmp_path / "export"), "--opset", opset])

    def archive(count: int) -> None:
        archives.calibrate(tmp_path / "calibration", RGB, images=tmp_path / f"photos-{count}")

    def config(mode: NpuMode) -> None:
        configs.configure(tmp_path / "config", RGB, calibration=Path("a.tar"), npu_mode=mode)

    noise = np.random.default_rng(0)
    for count in (1, 3):
        (folder := tmp_path / f"photos-{count}").mkdir()
        for index in range(count):
            pixels = noise.integers(0, 256, (224, 224, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    assert export("11") == 0
    archive(1)
    config("NPU1")
    before = contents(tmp_path)
    capsys.readouterr()

    with full_disk(1 << 16):
        assert export("12") == 2
    told = capsys.readouterr().err
    assert told.startswith("export: ") and told.count("\n") == 1
    for attempt in (lambda: archive(3), lambda: config("NPU3")):
        with full_disk(16), pytest.raises(OSError, match="File too large"):
            attempt()
    assert contents(tmp_path) == before, "an old file changed, or a half-written one was left"


def unshared(flags: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A command under `unshare`, in the checkout; skips where this machine gives no mounts or networks."""
    whole = ["unshare", flags, *command]
    try:
        done = subprocess.run(["unshare", flags, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `unshare` here")
    if done.returncode:
        pytest.skip(f"this machine does not allow `unshare {flags}`")
    return subprocess.run(whole, capture_output=True, text=True, cwd=ROOT, check=False)


def test_a_checkout_that_may_only_be_read():
    commands = (
        ["tutorial"],
        ["run", "02"],
        [*EXPORT, "--out", "build/faults"],
        ["parse-log", "tests/logs/logs/ax_run_model.log"],
    )
    script = f"from helpers.__main__ import main; print([main(command) for command in {commands!r}])"
    mount = 'mount --bind . . && mount -o remount,bind,ro . && cd "$PWD" && exec "$@"'
    done = unshared("-rm", "sh", "-c", mount, "sh", sys.executable, "-c", script)
    assert done.stdout.splitlines()[-1] == "[2, 2, 2, 0]", done.stderr
    told = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in told] == ["tutorial", "run", "export"]
