"""The notebook runner, on small notebooks made here."""

import json
import multiprocessing
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from small_books import CHECKS, RESULT, book
from waiting import PATIENCE, wait_until

from helpers import artifacts, files
from helpers.lab import notebooks, runner
from helpers.lab.progress import Progress
from helpers.lab.runner import NotebookFailed, NotebookRun
from helpers.model.source import ENVIRONMENT_VARIABLE
from helpers.view import journey


def test_a_run_takes_parameters_and_leaves_checks_results_time_and_its_peak_of_memory(house: Path):
    grow = "block = bytearray(400_000_000)\nblock[::4096] = b'x' * len(block[::4096])\ndel block"
    bar = "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass\nprint('done')"
    path = book(house / "notebooks" / "01_small.ipynb", "width: int = 3", f"{CHECKS}\n{RESULT}", grow, bar)
    done = runner.run(path, output=house / "out.ipynb", parameters={"width": 2})
    assert [entry["claim"] for entry in done.checks] == ["two is two"]
    assert [entry["value"] for entry in done.results] == [2]
    assert done.peak_mb > 400, "of an array that is gone again"
    assert done.seconds > 0
    text = (house / "out.ipynb").read_text()
    assert "done" in text and "widget-view" not in text, "a bar that ended is a dead widget"


def test_a_failure_names_notebook_cell_and_error(house: Path):
    path = book(house / "notebooks" / "01_small.ipynb", "width = 2", "1 + 1", "1 / 0", "print('never')")
    with pytest.raises(NotebookFailed, match="division by zero") as stopped:
        runner.run(path, output=house / "out.ipynb")
    left = house / "out.failed.ipynb"
    for named in ("01_small", "cell 3 of 4", "ZeroDivisionError", str(left)):
        assert named in str(stopped.value)
    told = json.loads(left.read_text())
    assert "never" not in json.dumps([cell.get("outputs") for cell in told["cells"]])
    assert not (house / "out.ipynb").exists()
    book(path, "width = 2")
    runner.run(path, output=house / "out.ipynb")
    assert not left.exists()


def test_chapters_are_found_by_number_and_name(house: Path):
    path = book(house / "notebooks" / "05_small.ipynb", "width = 2")
    assert notebooks.find("5") == notebooks.find("05") == notebooks.find("05_small.ipynb") == path
    with pytest.raises(ValueError, match="choose one of 05_small"):
        notebooks.find("06")


def test_the_tutorial_stops_at_a_failure_and_keeps_what_came_before(
    house: Path, capsys: pytest.CaptureFixture[str]
):
    """Not the old page of the chapter that failed: the web book takes a page for a run that ended well."""
    built = house / "build" / "notebooks"
    book(house / "notebooks" / "01_good.ipynb", "width = 2", CHECKS)
    bad = book(house / "notebooks" / "02_bad.ipynb", "width = 2")
    assert notebooks.tutorial() == 0
    assert {path.name for path in built.glob("*.html")} == {"01_good.html", "02_bad.html", "index.html"}
    book(bad, "width = 2", "raise KeyError('gone')")
    book(house / "notebooks" / "03_never.ipynb", "width = 2", CHECKS)
    assert notebooks.tutorial() == 1
    assert {path.name for path in built.glob("*.html")} == {"01_good.html", "index.html"}
    assert {path.name for path in built.glob("0[23]*")} == {"02_bad.ipynb", "02_bad.failed.ipynb"}
    (done,) = json.loads((house / "build" / "results.json").read_text())["notebooks"]
    assert done["name"] == "01_good"
    last = capsys.readouterr().out.strip().splitlines()[-3:]
    assert last[0] == "02_bad stopped in cell 2 of 2"
    assert last[1].startswith("KeyError")
    assert str(built / "02_bad.failed.ipynb") in last[2]


def test_outputs_are_committed_only_when_all_have_passed(house: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journey, "pictures", lambda: {"map": "<svg>map</svg>\n"})
    figure = "display({'image/svg+xml': '<svg/>'}, raw=True, metadata={'figure': 'lead', 'picture': True})"
    good = book(house / "notebooks" / "01_good.ipynb", "width = 2", figure)
    bad = book(house / "notebooks" / "02_bad.ipynb", "width = 2", "1 / 0")
    before = good.read_text()
    notebooks.tutorial(commit_outputs=True)
    assert good.read_text() == before

    bad.unlink()
    assert notebooks.tutorial(commit_outputs=True) == 0
    committed = json.loads(good.read_text())
    assert [cell["execution_count"] for cell in committed["cells"]] == [1, 2]
    assert "papermill" not in json.dumps(committed)
    pictures = {path.stem: path.read_text() for path in (house / "notebooks" / "pictures").iterdir()}
    assert pictures == {"lead": "<svg/>\n", "map": "<svg>map</svg>\n"}


def test_files_and_the_checkpoint_of_the_environment_are_the_callers(
    house: Path, monkeypatch: pytest.MonkeyPatch
):
    """Notebooks run in their own folder; `-p log board.log` means the caller's."""
    show = f"import os\nprint(log, '|', checkpoint, '|', images, '|', os.environ['{ENVIRONMENT_VARIABLE}'])"
    path = house / "notebooks" / "01_paths.ipynb"
    book(path, "log = ''\ncheckpoint = ''\nimages = ''", show)
    here = house / "here"
    (here / "pictures").mkdir(parents=True)
    for name in ("board.log", "timm", "my.pth"):
        (here / name).write_text("x")
    monkeypatch.chdir(here)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "my.pth")
    notebooks.run_one("01", {"log": "board.log", "checkpoint": "timm", "images": "pictures"})
    (out,) = (house / "build" / "runs").glob("01_paths*.ipynb")
    assert f"{here}/board.log | timm | {here}/pictures | {here}/my.pth" in out.read_text()


def told(house: Path, capsys: pytest.CaptureFixture[str], *numbers: str, **how: Any) -> str:
    capsys.readouterr()
    assert notebooks.tutorial(numbers, **how) == 0
    return capsys.readouterr().out


def test_what_ran_and_is_still_what_it_was_is_kept(
    house: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def at_once(notebook: Path, *, output: Path, **_: object) -> NotebookRun:
        shutil.copyfile(notebook, output)
        return NotebookRun(notebook.stem, 1.0, 1.0, [], [])

    monkeypatch.setattr(runner, "run", at_once)
    (house / "build" / "notebooks").mkdir(parents=True)
    for name in ("01_one", "02_two"):
        book(house / "notebooks" / f"{name}.ipynb", "width = 2", CHECKS)
    assert "kept" not in told(house, capsys, "01")
    again = told(house, capsys)
    assert re.findall(r"(\w+) +kept from \d{4}-\d\d-\d\d", again) == ["01_one"]
    assert len(json.loads((house / "build" / "results.json").read_text())["notebooks"]) == 2
    assert "01_one" in told(house, capsys, start="02") and "kept" not in told(house, capsys, "1", fresh=True)

    page = house / "build" / "notebooks" / "01_one.html"
    for change in (
        lambda: book(house / "notebooks" / "01_one.ipynb", "width = 2", CHECKS, "1"),
        lambda: monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(page)),
        lambda: monkeypatch.setattr(artifacts, "code_hash", lambda *modules: str(modules)),
        lambda: page.write_text("another"),
    ):
        assert "kept" in told(house, capsys, "01")
        change()
        assert "kept" not in told(house, capsys, "01")


def test_the_code_that_a_chapter_imports_counts(house: Path):
    path = book(house / "notebooks" / "01_one.ipynb", "width = 2", "%%magic\nimport helpers.none", CHECKS)
    assert notebooks.imported(path) == ["helpers.lab.evidence"]


def test_the_pages_show_pictures_and_checks_and_ask_no_other_host(
    house: Path, capsys: pytest.CaptureFixture[str]
):
    show = (
        "display({{'image/svg+xml': '<svg/>', 'text/plain': '{0}'}}, raw=True, metadata={{'picture': {1}}})"
    )
    shown = "\n".join(show.format(name, name == "key") for name in ("other", "key"))
    path = book(house / "notebooks" / "01_one.ipynb", "width = 2", CHECKS, shown)
    read = nbformat.read(path, as_version=4)
    read.cells.append(nbformat.v4.new_markdown_cell("![a map](pictures/map.svg)"))
    nbformat.write(read, path)
    (house / "notebooks" / "pictures").mkdir()
    (house / "notebooks" / "pictures" / "map.svg").write_text("<svg/>")
    last = told(house, capsys).splitlines()[-1]
    built = house / "build" / "notebooks"
    assert (built / "pictures" / "map.svg").read_text() == "<svg/>"
    page, index = ((built / f"{name}.html").read_text() for name in ("01_one", "index"))
    assert '<img alt="a map" src="data:image/svg+xml;base64,' in page
    assert not re.findall(r"""(?:src|href|import|url)\s*[=(]?\s*["']?https?://[^"'\s]*""", page)
    assert "cdnjs" not in page
    assert str(built / "index.html") in last
    assert re.findall(r'alt="(\w+)"', index) == ["key"]
    assert "two is two" in index and 'href="01_one.html"' in index


def test_a_terminal_sees_the_place_the_heading_the_seconds_and_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    with Progress("05_onnx", place="3/9", expected=60, ahead=240) as progress:
        progress.cells = 9
        progress.cell_started(nbformat.v4.new_markdown_cell("## Exact folds\nand why"), 3)
        line = progress.line(12.3)
        wait_until(lambda: "Exact folds" in capsys.readouterr().out)
    for word in ("3/9 · 05 ", "4/9", "12 s", "about 5 min left", "Exact folds"):
        assert word in line
    monkeypatch.setenv("COLUMNS", "40")
    assert len(progress.line(1)) == 39


def test_the_tutorials_chapters_share_slow_imports_and_nothing_else(house: Path):
    """Their kernels are forks of one process, whose memory is not theirs."""
    own = "print('timm' in sys.modules, os.getcwd())\nos.environ['LEFT'] = left = 'x'"
    peak = "print(open('/proc/self/status').read())"
    notebook = "import pandas\nfrom tqdm.notebook import tqdm\nfrom tqdm.auto import tqdm as chosen\n"
    notebook += "print(issubclass(chosen, tqdm), pandas.options.display.max_columns)"
    book(house / "notebooks" / "01_one.ipynb", "width = 2", f"import os, sys\n{own}", peak, notebook)
    left = "import os\nprint({'left', 'LEFT'} & {*globals(), *os.environ})"
    book(house / "notebooks" / "02_two.ipynb", "width = 2", left)
    assert notebooks.tutorial() == 0 and not multiprocessing.active_children()
    built = house / "build" / "notebooks"
    one, two = ((built / f"{name}.ipynb").read_text() for name in ("01_one", "02_two"))
    assert f"True {house / 'notebooks'}" in one and "True 20" in one and "set()" in two
    (done, _) = json.loads((house / "build" / "results.json").read_text())["notebooks"]
    assert done["peak_mb"] < 1.2 * int(re.search(r"VmHWM:\\t +(\d+) kB", one)[1]) / 1000


INTERRUPTED = """
import runpy, sys
from pathlib import Path
from helpers import files
from helpers.lab import notebooks
house = Path(sys.argv.pop(1))
notebooks.NOTEBOOKS, notebooks.BUILD, files.BUILD = house / "notebooks", house / "build", house / "build"
runpy.run_module("helpers", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def endless(house: Path) -> Iterator[subprocess.Popen[str]]:
    """A tutorial whose first chapter writes down its process, and never ends."""
    forever = f"import os, pathlib\npathlib.Path({str(house / 'pid')!r}).write_text(str(os.getpid()))"
    for name in ("01_endless", "02_never"):
        book(house / "notebooks" / f"{name}.ipynb", "width = 2", f"{forever}\nwhile True: pass")
    command = [sys.executable, "-c", INTERRUPTED, str(house), "tutorial"]
    with subprocess.Popen(
        command, cwd=files.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline()
        yield child


@pytest.mark.parametrize("when", ["at the first line", "in a cell"])
def test_ctrl_c_ends_in_a_sentence(house: Path, when: str, endless: subprocess.Popen[str]):
    if when == "in a cell":
        wait_until((house / "pid").exists)
    endless.send_signal(signal.SIGINT)
    _, said = endless.communicate(timeout=PATIENCE)
    assert endless.returncode == 130
    assert said.startswith("tutorial: interrupted") and said.count("\n") == 1
    assert not list((house / "build").rglob("01_endless*"))


def test_a_chapter_ends_with_the_tutorial_that_is_killed(house: Path, endless: subprocess.Popen[str]):
    wait_until(lambda: (house / "pid").exists() and (house / "pid").read_text())
    kernel = Path("/proc", (house / "pid").read_text())
    assert kernel.exists()
    endless.kill()
    wait_until(lambda: not kernel.exists())
