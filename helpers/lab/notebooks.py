"""Running notebooks with papermill: parameters checked, progress shown, evidence collected."""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter
from papermill.exceptions import PapermillExecutionError

from helpers.files import BUILD, NOTEBOOKS, ROOT, replacing, shown
from helpers.lab import evidence
from helpers.lab.evidence import harvest
from helpers.lab.parameters import check_parameters, from_here, from_words
from helpers.model.source import ENVIRONMENT_VARIABLE
from helpers.view import journey

_KILLED = "its kernel was killed, mostly for want of memory: close other programs and run it again"
logging.getLogger("papermill").setLevel(logging.CRITICAL)  # it says what run() says, without the chapter


class UnknownNotebook(ValueError):
    """A chapter number or file name that is not among the notebooks."""


class NotebookFailed(RuntimeError):
    """A cell raised. `cell` is its number from 1, `ename` its error; `path` holds everything up to there.

    `ename` is empty where the kernel was killed.
    """

    def __init__(self, notebook: str, *, cell: int, cells: int, ename: str, evalue: str, path: Path) -> None:
        why = f"{ename}: {evalue}" if ename else _KILLED
        super().__init__(f"{notebook} stopped in cell {cell} of {cells}\n{why}")
        self.notebook, self.cell, self.ename, self.path = notebook, cell, ename, path


@dataclass(frozen=True)
class NotebookRun:
    """What one run left behind. `peak_mb`: the kernel's peak resident memory, child processes included."""

    name: str
    seconds: float
    peak_mb: float
    checks: list[dict[str, Any]]
    results: list[dict[str, Any]]


def chapters() -> list[Path]:
    """All notebooks, in reading order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def find(chapter: str) -> Path:
    """The notebook for "05", "5", its name or its path; raises UnknownNotebook with those that exist."""
    stem = Path(chapter).stem
    number = stem.zfill(2) if stem.isdecimal() else None
    for path in chapters():
        if path.stem == stem or (number and path.name.startswith(f"{number}_")):
            return path
    raise UnknownNotebook(f"no notebook {chapter!r}: choose one of {', '.join(p.stem for p in chapters())}")


def run(notebook: Path, *, output: Path, parameters: Mapping[str, Any] | None = None) -> NotebookRun:
    """Executes a notebook into `output`, with a progress line.

    `output` is written when the run has ended, well or at an error in the notebook; not when interrupted.
    Raises NotebookFailed; UnknownParameter and WrongValue before anything runs.
    """
    check_parameters(notebook, parameters or {})
    progress = _Progress(notebook, injected=1 if parameters else 0)
    stopped: PapermillExecutionError | DeadKernelError | None = None
    with replacing(output) as beside:
        try:
            papermill.execute_notebook(
                notebook,
                beside,
                parameters=dict(parameters or {}),
                cwd=notebook.parent,
                progress_bar=False,
                extra_arguments=["--log-level=CRITICAL"],  # the kernel's own log is not the notebook's
                on_cell_start=progress.cell_started,
                on_cell_executed=progress.cell_done,
            )
        except (PapermillExecutionError, DeadKernelError) as error:
            stopped = error
        finally:
            progress.draw(end="\n")
        executed = nbformat.read(beside, as_version=4)
        _drop_widgets(executed)
        beside.write_text(str(nbformat.writes(executed)) + "\n", encoding="utf-8")
    if stopped:
        raise NotebookFailed(
            notebook.stem,
            cell=progress.cell,
            cells=progress.cells,
            ename=getattr(stopped, "ename", ""),
            evalue=getattr(stopped, "evalue", ""),
            path=output,
        ) from stopped
    checks, results = harvest(executed)
    return NotebookRun(notebook.stem, progress.seconds, progress.peak_mb, checks, results)


def run_one(chapter: str, words: Mapping[str, str]) -> int:
    """`python -m helpers run`: one notebook with what the user typed, beside the tutorial's own outputs."""
    notebook = find(chapter)
    if named := os.environ.get(ENVIRONMENT_VARIABLE):
        os.environ[ENVIRONMENT_VARIABLE] = from_here("checkpoint", named)
    short = {name: re.sub(r"[^\w.-]+", "-", word)[-40:] for name, word in words.items()}
    values = "".join(f"__{name}={word}" for name, word in short.items())
    output = BUILD / "runs" / f"{notebook.stem}{values}.ipynb"
    print(_table([run(notebook, output=output, parameters=from_words(notebook, words))]))
    print(f"\nRead it: {shown(output) if Path.cwd() == ROOT else output}")
    return 0


def tutorial(*, commit_outputs: bool = False) -> int:
    """`make tutorial`: every notebook in order; stops at one that fails, and keeps what the others made.

    With `commit_outputs`, and only when all have passed, their outputs replace those in `notebooks/`.
    """
    runs: list[NotebookRun] = []
    for picture in (NOTEBOOKS / "pictures").glob("*.svg"):  # their texts show some of them
        _write(BUILD / "notebooks" / "pictures" / picture.name, picture.read_text(encoding="utf-8"))
    for notebook in chapters():
        output = BUILD / "notebooks" / notebook.name
        try:
            runs.append(run(notebook, output=output))
        except NotebookFailed as failure:
            if runs:
                print(_table(runs))
            output.with_suffix(".html").unlink(missing_ok=True)  # of an earlier run; it shows that one ended
            print(f"\n{failure}\nWhat it did up to there: {shown(failure.path)}")
            return 1
        _write(output.with_suffix(".html"), _html(output))
        _write(BUILD / "results.json", _results(runs))
    if commit_outputs:
        pictures = journey.pictures()
        for notebook in chapters():
            executed = nbformat.read(BUILD / "notebooks" / notebook.name, as_version=4)
            pictures |= _pictures(executed)
            _write(notebook, _for_commit(executed))
        for name, drawing in pictures.items():
            _write(NOTEBOOKS / "pictures" / f"{name}.svg", drawing)
    print(_table(runs))
    print("\nRead them in build/notebooks (.html, .ipynb); results with their conditions: build/results.json")
    return 0


class _Progress:
    """One line per notebook: redrawn in place on a terminal, elsewhere the name first, then the rest."""

    def __init__(self, notebook: Path, *, injected: int) -> None:
        self.name = f"{notebook.stem:<40}"
        self.cells = len(nbformat.read(notebook, as_version=4).cells) + injected
        self.started = time.perf_counter()
        self.seconds = self.peak_mb = 0.0
        self.cell = 0
        self.live = sys.stdout.isatty()
        print(self.name, end="", flush=True)

    def cell_started(self, cell: Any, cell_index: int) -> None:
        self.cell = cell_index + 1
        if self.live:
            self.draw()

    def cell_done(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        self.peak_mb = max(self.peak_mb, _peak_of_children_mb())

    def draw(self, end: str = "") -> None:
        self.seconds = time.perf_counter() - self.started
        again = f"\r{self.name}" if self.live else ""
        print(f"{again} cell {self.cell:>2}/{self.cells}  {self.seconds:6.1f} s", end=end, flush=True)


def _peak_of_children_mb() -> float:
    """Peak resident memory of the processes below this one, MB: Linux keeps each one's high-water mark."""
    peak = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            status = Path(f"/proc/{child.pid}/status")
            if status.exists():
                peak += sum(map(int, re.findall(r"VmHWM:\s+(\d+) kB", status.read_text()))) * 1024 / 1e6
            else:
                peak += child.memory_info().rss / 1e6
        except (psutil.NoSuchProcess, OSError):
            continue  # it ended meanwhile
    return peak


def _table(runs: Sequence[NotebookRun]) -> str:
    rows = [(done.name, done.seconds, done.peak_mb, len(done.checks)) for done in runs]
    if len(runs) > 1:
        _, seconds, peaks, checks = zip(*rows, strict=True)
        rows.append(("all", sum(seconds), max(peaks), sum(checks)))
    width = max(len(name) for name, *_ in rows)
    lines = [f"{'notebook':<{width}}  seconds  peak MB  checks passed"]
    lines += [f"{name:<{width}}  {time:7.1f}  {peak:7.0f}  {count:13d}" for name, time, peak, count in rows]
    return "\n" + "\n".join(lines)


def _results(runs: Sequence[NotebookRun]) -> str:
    notebooks = [asdict(done) for done in runs]
    results = [{"notebook": done["name"]} | row for done in notebooks for row in done.pop("results")]
    machine = {"cpu": evidence.cpu(), "versions": evidence.versions(*evidence.MATTER)}
    return json.dumps({"machine": machine, "notebooks": notebooks, "results": results}, indent=1) + "\n"


def _html(notebook: Path) -> str:
    """The executed notebook as one HTML file that asks no other host for anything."""
    nowhere = ("mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url", "mermaid_layout_elk_js_url")
    exporter = HTMLExporter(embed_images=True, **dict.fromkeys(nowhere, ""))
    beside = {"metadata": {"path": str(NOTEBOOKS)}}
    return str(exporter.from_notebook_node(nbformat.read(notebook, as_version=4), beside)[0])


def _drop_widgets(executed: nbformat.NotebookNode) -> None:
    """Takes out what a finished progress bar leaves: a widget without its state, which nothing can show."""
    widget = "application/vnd.jupyter.widget-view+json"
    for cell in executed.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if widget not in output.get("data", {})]


def _for_commit(executed: nbformat.NotebookNode) -> str:
    """An executed notebook without times and file names of the run: a re-run then shows only what changed."""
    for keeper in [executed, *executed.cells]:
        for key in ("papermill", "execution", "widgets"):
            keeper.metadata.pop(key, None)
    return str(nbformat.writes(executed)) + "\n"


def _pictures(executed: nbformat.NotebookNode) -> dict[str, str]:
    """The figures in a notebook's outputs that the README shows, as SVG, by name."""
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    return {
        output.metadata["figure"]: output.data["image/svg+xml"].rstrip() + "\n"
        for output in outputs
        if output.get("metadata", {}).get("picture")
    }


def _write(path: Path, text: str) -> None:
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
