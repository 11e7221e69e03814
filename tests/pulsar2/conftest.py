"""Fixtures of this room: inputs of a Pulsar2 build, and stand-ins for the tool on PATH."""

from pathlib import Path

import pytest
from pulsar2_stand_ins import BUILD_CONFIG, IMAGES, StandIns, install


@pytest.fixture
def build_inputs(tmp_path: Path) -> list[Path]:
    """An ONNX file, a configuration and an archive; the stand-ins look at names and paths only."""
    names = {"model-sim.onnx": "graph", "pulsar2.json": BUILD_CONFIG, "images of cats.tar": "tar"}
    for name, text in names.items():
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in names]


@pytest.fixture
def native_pulsar2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    stand_ins = install(tmp_path, native=True)
    monkeypatch.setenv("PATH", str(stand_ins.path))
    return stand_ins


@pytest.fixture
def docker_pulsar2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    stand_ins = install(tmp_path, images=IMAGES)
    monkeypatch.setenv("PATH", str(stand_ins.path))
    return stand_ins
