"""One notebook run by papermill: its parameters checked, its progress shown, its evidence collected."""

import logging
import multiprocessing
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from helpers.files import here, replacing
from helpers.lab.evidence import harvest
from helpers.lab.parameters import check_parameters
from helpers.lab.progress import Progress

_KILLED = "its kernel was killed, mostly for want of memory: close other programs and run it again"
logging.getLogger("papermill").setLevel(logging.CRITICAL)  # it says what run() says, without the chapter


class NotebookFailed(RuntimeError):
    """A cell raised or the kernel was killed: in which cell, why, and what file holds all up to there."""


@dataclass(frozen=True)
class NotebookRun:
    """What one run left behind. `peak_mb`: the kernel's peak resident memory, child processes included."""

    name: str
    seconds: float
    peak_mb: float
    checks: list[dict[str, Any]]
    results: list[dict[str, Any]]


def run(
    notebook: Path,
    *,
    output: Path,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> NotebookRun:
    """Executes a notebook into `output`.

    Where a cell raises, what it did up to there is `….failed.ipynb` beside `output`, which stays as it was:
    NotebookFailed names it. An interrupted run leaves nothing. Raises what `check_parameters` does, before
    anything runs.
    """
    check_parameters(notebook, parameters or {})
    progress = progress or Progress(notebook.stem)
    progress.cells = len(nbformat.read(notebook, as_version=4).cells) + bool(parameters)  # one more is put in
    peaks, failed = [0.0], output.with_suffix(".failed.ipynb")
    with replacing(output) as beside:
        try:
            with progress:
                papermill.execute_notebook(
                    notebook,
                    beside,
                    parameters=dict(parameters or {}),
                    engine_name=__name__,
                    cwd=notebook.parent,
                    progress_bar=False,
                    extra_arguments=["--log-level=CRITICAL"],  # the kernel's own log is not the notebook's
                    on_cell_start=progress.cell_started,
                    on_cell_executed=lambda **_: peaks.append(_peak_of_children_mb()),
                )
        except (PapermillExecutionError, DeadKernelError) as error:
            _drop_widgets(beside)
            why = _KILLED if isinstance(error, DeadKernelError) else f"{error.ename}: {error.evalue}"
            told = f"{notebook.stem} stopped in cell {progress.cell} of {progress.cells}\n{why}"
            path = here(beside.replace(failed))
            raise NotebookFailed(f"{told}\nWhat it did up to there: {path}") from error
        executed = _drop_widgets(beside)
    failed.unlink(missing_ok=True)
    checks, results = harvest(executed)
    return NotebookRun(notebook.stem, progress.seconds, max(peaks), checks, results)


class _WrittenOnce(NBClientEngine):  # type: ignore[misc]
    """papermill's own writes the whole file twice for each cell, pictures and all."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, *arguments: Any, **options: Any) -> None:
        output, nb_man.output_path = nb_man.output_path, None
        try:
            super().execute_managed_notebook(nb_man, *arguments, **options)
        finally:
            nb_man.output_path = output  # where its caller writes, also what failed


papermill_engines.register(__name__, _WrittenOnce)


def row(out: Path, inputs: Mapping[str, Path], *, parameters: Mapping[str, Any], **_: Any) -> dict[str, Any]:
    """A sweep's row of one chapter; the notebook and all that it makes are in `out`, its own build folder."""
    os.environ["EFFICIENTVIT_BUILD"] = str(out)
    return asdict(run(inputs["notebook"], output=out / inputs["notebook"].name, parameters=parameters))


def _peak_of_children_mb() -> float:
    """Peak resident memory of the kernel and what it started, MB: Linux keeps each one's high-water mark."""
    peak, forked = 0.0, {each.pid for each in multiprocessing.active_children()}
    for child in psutil.Process().children(recursive=True):
        try:
            if forked and forked.isdisjoint({child.pid, *(above.pid for above in child.parents())}):
                continue  # what the kernel is a fork of
            status = Path(f"/proc/{child.pid}/status")
            if status.exists():
                peak += sum(map(int, re.findall(r"VmHWM:\s+(\d+) kB", status.read_text()))) * 1024 / 1e6
            else:
                peak += child.memory_info().rss / 1e6
        except (psutil.NoSuchProcess, OSError):
            continue  # it ended meanwhile
    return peak


def _drop_widgets(path: Path) -> nbformat.NotebookNode:
    """Takes out what a finished progress bar leaves: a widget without its state, which nothing can show."""
    widget = "application/vnd.jupyter.widget-view+json"
    executed: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    for cell in executed.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if widget not in output.get("data", {})]
    path.write_text(str(nbformat.writes(executed)) + "\n", encoding="utf-8")
    return executed
