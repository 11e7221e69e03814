"""The runner when things go wrong: a killed kernel, a full disk, two at once."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from small_books import CHECKS, book

from helpers.__main__ import main
from helpers.artifacts import alone

EXPORT = """
import os, signal
from pathlib import Path
from helpers.graph import convert
from helpers.graph.export import export
if width == 2:
    convert.check = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # both graphs are written by then
print(export("efficientvit_m0", Path({out!r})).nodes_simplified)
"""


def test_a_killed_kernel_is_told_and_the_same_command_then_succeeds(
    house: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    made = house / "made"
    book(house / "notebooks" / "01_killed.ipynb", "width = 1", EXPORT.format(out=str(made)))
    assert main(["run", "01", "-p", "width", "2"]) == 2
    left = house / "build" / "runs" / "01_killed__width=2.failed.ipynb"
    assert capsys.readouterr().err == (
        "run: 01_killed stopped in cell 3 of 3\n"
        "its kernel was killed, mostly for want of memory: close other programs and run it again\n"
        f"What it did up to there: {left}\n"
    )
    assert left.exists()
    assert not caplog.records, "papermill says it too"
    assert [path.name for path in made.iterdir() if path.is_file()] == [".lock"], "half-made, by its own name"
    assert main(["run", "01"]) == 0
    said = json.loads((made / "export.json").read_text())
    assert said["sha256"].keys() == {path.name for path in made.glob("*.onnx")}


def test_a_chapter_that_fails_takes_its_old_page_along(house: Path, capsys: pytest.CaptureFixture[str]):
    """A page is there only where its chapter ran to its end: the web book goes by that."""
    built = house / "build" / "notebooks"
    path = book(house / "notebooks" / "01_once.ipynb", "width = 2", CHECKS)
    assert main(["tutorial"]) == 0
    assert (built / "01_once.html").exists()
    book(path, "width = 2", "import os\nos.kill(os.getpid(), 9)")
    assert main(["tutorial"]) == 1
    assert "01_once stopped in cell 2 of 2\nits kernel was killed" in capsys.readouterr().out
    assert {file.name for file in built.glob("01*")} == {"01_once.ipynb", "01_once.failed.ipynb"}
    assert json.loads((house / "build" / "results.json").read_text())["notebooks"] == []


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
    assert main(["tutorial"]) == 0
