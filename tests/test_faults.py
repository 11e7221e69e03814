"""Faults as the commands meet them: one clear sentence, status 2, and nothing lost or written elsewhere.

Faults of single parts are tested beside them: checkpoints and downloads in tests/model, archives, graphs,
configurations and full disks in tests/deploy, logs in tests/board, the runner in tests/lab.
"""

import os
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from full_disk import may_mount, unshared
from PIL import Image

from helpers.__main__ import main
from helpers.graph.preprocess import Preprocessing
from helpers.pulsar2 import archive
from helpers.quant import accuracy

ROOT = Path(__file__).parents[1]
RGB = Preprocessing.of(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), board_input="rgb")


def fresh(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


class Hostile:
    """Writes a file when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": Hostile()}, protocol=2))


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("my/data.pkl", bytes(50_000_000))


@pytest.mark.parametrize(
    ("made", "said"),
    [(pickled, r"which may run code when loaded, and was not read"), (zip_bomb, r"it may be a zip bomb")],
)
def test_a_hostile_checkpoint(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    made: Callable[[Path], None],
    said: str,
):
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "my.pth")
    command = ["export", "--model", "efficientvit_m0", "--checkpoint", "my.pth", "--out", "out"]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert fresh(tmp_path) == {"my.pth"}


def escaping_tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("../escaped.png"))


def large_config(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50_000_000)


def reaching_graph(path: Path) -> None:
    """Its weights lie in a folder above its own, and exist."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [64])
    weight = onnx.numpy_helper.from_array(np.ones(64, np.float32), "w")
    add = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [64])
    path.parent.mkdir()
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([add], "g", [value], [out], [weight])),
        path,
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    path.with_name("w.bin").rename(path.parents[1] / "w.bin")
    graph = onnx.load(path, load_external_data=False)
    for entry in graph.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../w.bin"
    path.write_bytes(graph.SerializeToString())


@pytest.mark.parametrize(
    ("option", "name", "made", "said"),
    [
        ("--calibration", "a.tar", escaping_tar, "could land outside its folder; do not unpack it"),
        ("--config", "a.json", large_config, "a.json: cannot be parsed"),
        ("--onnx", "in/a.onnx", reaching_graph, "external data cannot be read"),
    ],
)
def test_a_hostile_input_to_preflight(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    name: str,
    made: Callable[[Path], None],
    said: str,
):
    monkeypatch.chdir(tmp_path)
    made(tmp_path / name)
    before = fresh(tmp_path)
    given = [option, name] if option == "--onnx" else ["--onnx", "none.onnx", option, name]
    assert main(["preflight", *given]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if said in line]
    assert line.startswith("fail")
    assert fresh(tmp_path) == before


def test_a_picture_of_30000_by_30000_pixels(tmp_path: Path):
    """A whole one, 110 KB on the disk and 2.7 GB decoded."""
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.MAX_IMAGE_PIXELS, limit = None, Image.MAX_IMAGE_PIXELS
    try:
        Image.new("1", (30_000, 30_000)).save(photos / "huge.png")
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    assert (photos / "huge.png").stat().st_size < 200_000
    for attempt in (
        lambda: archive.archive_for(photos, tmp_path / "a.tar", RGB),
        lambda: archive.crops_of_one_photo(photos / "huge.png", 1, size=224),
    ):
        with pytest.raises(archive.ArchiveError, match="exceeds limit"):
            attempt()
    with pytest.raises(accuracy.ImagesError, match="take it out of the folder"):
        list(accuracy.samples([(photos / "huge.png", 0)], RGB))
    assert fresh(tmp_path) == {"photos", "photos/huge.png"}


def test_a_checkout_that_may_only_be_read():
    if not may_mount():
        pytest.skip("this machine lets no process mount its own view of the checkout")
    commands = (
        ["tutorial"],
        ["run", "02"],
        ["export", "--model", "efficientvit_m0", "--out", "build/faults"],
        ["parse-log", "tests/logs/logs/ax_run_model.log"],
    )
    script = f"from helpers.__main__ import main; print([main(command) for command in {commands!r}])"
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'
    done = unshared("-rm", "sh", "-c", mount, str(ROOT), sys.executable, "-c", script)
    assert done.stdout.splitlines()[-1] == "[2, 2, 2, 0]", done.stderr
    told = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in told] == ["tutorial", "run", "export"]
    assert all("may not be read or written: use a folder that belongs to you" in line for line in told)


@pytest.mark.timeout(60)
def test_without_any_network_the_hub_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if unshared("-rn", "true").returncode:
        pytest.skip("this machine lets no process leave its network")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    command = ["export", "--model", "efficientvit_m0", "--checkpoint", "timm", "--out", str(tmp_path / "out")]
    done = unshared("-rn", sys.executable, "-m", "helpers", *command, folder=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "cannot be reached from here: give the official file as checkpoint" in done.stderr
    assert not (tmp_path / "out").exists()
