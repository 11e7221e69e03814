"""Fixtures of this room: a sshd on the loopback that plays the board."""

import sys
from collections.abc import Iterator
from pathlib import Path

import far_side
import pytest
from far_side import FarSide

from helpers.board.ssh import Board


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarSide]:
    if far_side.SSHD is None:
        pytest.skip("there is no sshd here: install openssh-server to test runs on a board")
    with far_side.started(tmp_path_factory.mktemp("sshd")) as far:
        yield far


@pytest.fixture
def far(sshd: FarSide) -> FarSide:
    sshd.fresh()
    return sshd


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """This machine as the board: its python3 is ours, with what lies in `engine` as pyaxengine."""
    for name in ("bin", "far", "engine", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'engine'}:{':'.join(p for p in sys.path if 'site-' in p)}")
    return Board(host="local", folder=str(tmp_path / "far"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.axmodel"
    path.write_bytes(bytes(range(256)) * 400)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "fox.jpg"
    path.write_bytes(b"\xff\xd8 a picture")
    return path
