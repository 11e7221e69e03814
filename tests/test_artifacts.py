"""The step: what makes it work again, what it keeps, and what it leaves when something goes wrong."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from helpers import artifacts
from helpers.artifacts import Busy, Facts, GateFailed, Made, alone, code_hash, step


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `helpers` of three modules: `maker` uses `tool`, and neither uses `other`."""
    package = tmp_path / "helpers"
    (package / "room").mkdir(parents=True)
    (package / "maker.py").write_text('"""Makes."""\nfrom helpers.room import tool\n')
    (package / "room" / "__init__.py").write_text("")
    (package / "room" / "tool.py").write_text('def tool():\n    """A tool."""\n    return 1\n')
    (package / "other.py").write_text("x = 1\n")
    monkeypatch.setattr(artifacts, "HELPERS", package)
    return package


@pytest.fixture(autouse=True)
def fresh_caches():
    """As in a new process."""
    yield
    artifacts._read.cache_clear()


def run(out: Path, *, arguments: Facts | None = None, source: Path | None = None, text: str = "made") -> Made:
    artifacts._read.cache_clear()

    def work(scratch: Path) -> Facts:
        (scratch / "thing.txt").write_text(text)
        return {"length": len(text)}

    return step(
        "make",
        out,
        work,
        files=["thing.txt"],
        arguments=arguments or {"size": (1, 2)},
        code="helpers.maker",
        inputs={"source": source} if source else {},
        packages=["numpy"],
    )


def test_a_second_call_keeps_what_is_there(tmp_path: Path, code: Path):
    first = run(tmp_path / "out")
    second = run(tmp_path / "out", text="would be another")
    assert (first.remade, second.remade) == (True, False)
    assert second.facts == first.facts == {"length": 4}
    assert second.path("thing.txt").read_text() == "made"


@pytest.mark.parametrize(
    ("edit", "again"),
    [
        (("room/tool.py", "return 1", "return 2"), True),
        (("room/tool.py", '"""A tool."""', '"""The same tool."""'), False),
        (("maker.py", '"""Makes."""', '"""Makes things.\n\nIn two lines.\n"""  # a comment'), False),
        (("other.py", "1", "2"), False),
    ],
)
def test_code_counts_and_docstrings_do_not(
    tmp_path: Path, code: Path, edit: tuple[str, str, str], again: bool
):
    run(tmp_path / "out")
    name, old, new = edit
    text = (code / name).read_text()
    assert old in text
    (code / name).write_text(text.replace(old, new))
    assert run(tmp_path / "out").remade is again


def test_arguments_inputs_and_a_touched_file_count(tmp_path: Path, code: Path):
    source = tmp_path / "source"
    source.write_text("one")
    out = tmp_path / "out"
    assert run(out, source=source).remade
    assert run(out, source=source, arguments={"size": (1, 3)}).remade
    assert not run(out, source=source, arguments={"size": [1, 3]}).remade
    source.write_text("two")
    assert run(out, source=source, arguments={"size": [1, 3]}).remade
    (out / "thing.txt").write_text("by hand")
    assert run(out, source=source, arguments={"size": [1, 3]}).path("thing.txt").read_text() == "made"
    (out / "make.json").write_text("{")
    assert run(out, source=source).remade


def test_the_report_tells_no_date_and_no_place(tmp_path: Path, code: Path):
    for place in ("a", "b"):
        run(tmp_path / place)
    told = [(tmp_path / place / "make.json").read_bytes() for place in ("a", "b")]
    assert told[0] == told[1]
    assert str(tmp_path) not in told[0].decode()
    assert json.loads(told[0])["made_from"]["packages"].keys() == {"numpy"}


@pytest.mark.parametrize("failure", [GateFailed("no"), OSError(28, "full"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path: Path, code: Path, failure: BaseException):
    out = tmp_path / "out"
    run(out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def work(scratch: Path) -> Facts:
        (scratch / "thing.txt").write_text("half")
        raise failure

    with pytest.raises(type(failure)):
        step("make", out, work, files=["thing.txt"], arguments={}, code="helpers.maker")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_first_try_that_fails_leaves_no_folder(tmp_path: Path, code: Path):
    def work(scratch: Path) -> Facts:
        raise GateFailed("no")

    with pytest.raises(GateFailed):
        step("make", tmp_path / "out", work, files=["thing.txt"], arguments={}, code="helpers.maker")
    assert not (tmp_path / "out").exists()


def test_scratch_of_a_killed_process_is_cleared(tmp_path: Path, code: Path):
    left = tmp_path / "out" / ".make-killed"
    left.mkdir(parents=True)
    (left / "thing.txt").write_text("half")
    run(tmp_path / "out")
    assert not left.exists()


def test_the_real_chain_is_reached_from_the_step():
    reached = artifacts._reached("helpers.graph.export")
    makes_weights = {f"helpers.model.{name}" for name in ("weights", "randomize", "layout", "checkpoint")}
    assert makes_weights | {"helpers.graph.fold", "helpers.model.batchnorm"} <= reached.keys()
    assert not {name for name in reached if name.startswith(("helpers.view", "helpers.lab"))}
    assert code_hash("helpers.graph.export") != code_hash("helpers.graph.fold")


HOLDER = """
import sys, time
from pathlib import Path
from helpers.artifacts import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], **pipes) as first:
        assert first.stdout and first.stdin
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(Busy, match=str(first.pid)), alone(tmp_path):
            pass
        threading.Timer(0.5, first.kill).start()  # the system lets go of the lock
        with alone(tmp_path, wait=True):
            assert (tmp_path / ".lock").read_text() == str(os.getpid())
    assert str(first.pid) in capfd.readouterr().err
