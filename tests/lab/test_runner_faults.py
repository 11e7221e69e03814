"""The runner when things go wrong: a killed kernel, a full disk, two at once."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from small_books import CHECKS, book

from helpers.__main__ import main
from helpers.artifacts import alone

STEP = """
import os, signal
from pathlib import Path
from helpers.artifacts import step
print(f"width {{width}}", flush=True)

def work(scratch):
    (scratch / "half").touch()
    if width == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return {{}}

step("step", Path({out!r}), work, files=["half"], arguments={{}}, code="helpers.files")
"""


def test_a_killed_kernel_is_told_and_the_same_command_then_succeeds(
    house: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    made = house / "made"
    book(house / "notebooks" / "01_killed.ipynb", "width = 1", STEP.format(out=str(made)))
    assert main(["run", "01", "-p", "width", "2"]) == 2
    left = house / "build" / "runs" / "01_killed__width=2.failed.ipynb"
    assert capsys.readouterr().err == (
        "run: 01_killed stopped in cell 3 of 3\n"
        "its kernel was killed, mostly for want of memory: close other programs and run it again\n"
        f"What it did up to there: {left}\n"
    )
    assert '"width 2\\n"' in left.read_text(encoding="utf-8")
    assert not caplog.records, "papermill says it too"
    assert [path.name for path in made.iterdir() if path.is_file()] == [".lock"], "half-made, by its own name"
    assert main(["run", "01"]) == 0
    assert {path.name for path in made.iterdir()} == {".lock", "half", "step.json"}


def test_a_full_disk_keeps_the_last_run_whole(
    house: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    full_disk: Callable[[int], AbstractContextManager[None]],
):
    def made() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (house / "build").rglob("*") if path.is_file()}

    history = tmp_path_factory.mktemp("ipython")  # the user's own may be larger than the limit
    monkeypatch.setenv("IPYTHONDIR", str(history))
    path = book(house / "notebooks" / "01_small.ipynb", "width = 2", CHECKS)
    assert main(["tutorial"]) == 0
    before = made()
    book(path, "width = 2", "print('x' * 2_000_000)")
    with full_disk(1_000_000):
        assert main(["tutorial"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("tutorial: ") and told.count("\n") == 1
    assert "File too large" in told
    assert made() == before


def test_a_second_tutorial_is_refused_while_one_runs(house: Path, capsys: pytest.CaptureFixture[str]):
    book(house / "notebooks" / "01_small.ipynb", "width = 2", CHECKS)
    with alone(house / "build"):
        assert main(["tutorial"]) == 2
    assert capsys.readouterr().err == (
        f"tutorial: process {os.getpid()} is at work in build/: wait until it has ended, or end it\n"
    )
    assert not (house / "build" / "notebooks").exists()
