"""The chapters: which there are, one run with your own values, and the tutorial, which runs them in order.

Papermill and its like take seconds to import, so functions import them, after the first line is out.
"""

import ast
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers import artifacts
from helpers.files import BUILD, DATA, NOTEBOOKS, here, write
from helpers.lab.progress import Progress
from helpers.model import source
from helpers.model.variants import VARIANTS

if TYPE_CHECKING:
    from helpers.lab.runner import NotebookRun

# On these the outputs depend, and on what `evidence.MATTER` names.
_PACKAGES = ("numpy", "pandas", "matplotlib", "pillow", "nbconvert")
_LIVE = artifacts.HELPERS / "view" / "live"  # scripts that no import names
_SECONDS = 60.0  # of a chapter that nobody ever ran


def chapters() -> list[Path]:
    """All notebooks, in reading order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def find(chapter: str) -> Path:
    """The notebook for "05", "5", its name or its path; raises ValueError with those that exist."""
    stem = Path(chapter).stem
    number = stem.zfill(2) if stem.isdecimal() else None
    for path in chapters():
        if path.stem == stem or (number and path.name.startswith(f"{number}_")):
            return path
    raise ValueError(f"no notebook {chapter!r}: choose one of {', '.join(p.stem for p in chapters())}")


def listed(chapter: str) -> str:
    """A line for each chapter, its number and its question; of one chapter, a line for each parameter."""
    if chapter:
        from papermill.inspection import inspect_notebook

        entries = inspect_notebook(str(find(chapter))).values()
        return "\n".join(f"{one['name']:<12} {one['default']:<20} {one['help']}" for one in entries)
    return "\n".join(sources(notebook)[0].partition("\n")[0].lstrip("# ") for notebook in chapters())


def run_one(chapter: str, words: Mapping[str, str]) -> int:
    """`python -m helpers run`: one notebook with what the user typed, beside the tutorial's own outputs."""
    notebook = find(chapter)
    print(f"{notebook.stem}: getting ready", flush=True)
    from helpers.lab.parameters import from_words
    from helpers.lab.runner import run

    _decide_weights()
    short = {name: re.sub(r"[^\w.-]+", "-", word)[-40:] for name, word in words.items()}
    values = "".join(f"__{name}={word}" for name, word in short.items())
    output = BUILD / "runs" / f"{notebook.stem}{values}.ipynb"
    parameters = from_words(notebook, words)
    progress = Progress(notebook.stem, expected=_expected(notebook))
    print(_table([run(notebook, output=output, parameters=parameters, progress=progress)]))
    print(f"\nRead it: {here(output)}")
    return 0


def tutorial(
    numbers: Sequence[str] = (),
    *,
    start: str | None = None,
    fresh: bool = False,
    commit_outputs: bool = False,
) -> int:
    """`make tutorial`: the notebooks in order, those of `numbers` or from `start` on where one is given.

    What ran to its end and is still what it was is kept, unless `fresh`. Stops at one that fails, and keeps
    what the others made. With `commit_outputs` all run afresh, and only when all have passed, their outputs
    replace those in `notebooks/`; weights are random then, whatever this machine has.
    """
    if commit_outputs and (numbers or start):
        raise ValueError("--commit-outputs is of one run of all chapters: name none")
    print("Looking for chapters that ran already", flush=True)
    if commit_outputs:
        os.environ[source.ENVIRONMENT_VARIABLE] = source.RANDOM
    weights = _decide_weights()
    first = find(start).name if start else ""
    named = {find(number) for number in numbers}
    wanted = [path for path in chapters() if path.name >= first and (not named or path in named)]
    made_from = {path: _made_from(path, weights) for path in wanted}
    if fresh or commit_outputs:
        for notebook in wanted:
            _report(notebook).unlink(missing_ok=True)
    left = [path for path in wanted if artifacts.kept(_report(path), _files(path), made_from[path]) is None]
    seconds = {path: _expected(path) for path in left}
    foreseen = sum(seconds.values()) / 60
    print(f"{len(left)} of {len(wanted)} chapters to run, about {foreseen:.0f} min", flush=True)
    from helpers.lab import kernels, pages
    from helpers.lab.runner import NotebookFailed, run

    if len(left) > 1:
        kernels.import_once()
    out = BUILD / "notebooks"
    for picture in (NOTEBOOKS / "pictures").glob("*.svg"):  # their texts show some of them
        write(out / "pictures" / picture.name, picture.read_text(encoding="utf-8"))
    for number, notebook in enumerate(wanted, start=1):
        place, output = f"{number}/{len(wanted)}", out / notebook.name
        if notebook not in left:
            date = datetime.fromtimestamp(output.stat().st_mtime)
            print(f"{place} {notebook.stem:<40} kept from {date:%Y-%m-%d %H:%M}")
            continue
        later = sum(seconds.get(path, 0) for path in wanted[number:])
        progress = Progress(notebook.stem, place=place, expected=seconds[notebook], ahead=later)
        try:
            done = run(notebook, output=output, progress=progress)
        except NotebookFailed as failure:
            for old in (output.with_suffix(".html"), _report(notebook)):  # they say that a run ended well
                old.unlink(missing_ok=True)
            print(_table(_publish()), f"\n{failure}", sep="\n")
            return 1
        write(output.with_suffix(".html"), pages.page(output, texts=NOTEBOOKS))
        files, facts = _files(notebook), asdict(done)
        write(_report(notebook), artifacts.vouched(out, files, facts, made_from[notebook]))
        _publish()
    runs = _publish()
    if commit_outputs:
        _commit(runs)
    print(_table(runs))
    print(f"\nResults with their conditions: {here(BUILD / 'results.json')}")
    print(f"All chapters on one page: {here(out / 'index.html')}")
    return 0


def _decide_weights() -> dict[str, str]:
    """Which weights each of the six gets where a chapter names none, for the whole run.

    The file that the environment names is the caller's: notebooks run in another folder. What another process
    fetches meanwhile does not count where nothing was cached.
    """
    if isinstance(file := source.find().checkpoint, Path):
        os.environ[source.ENVIRONMENT_VARIABLE] = str(file.resolve())
    found = {name: source.find(name=name) for name in VARIANTS}
    if {one.checkpoint for one in found.values()} == {source.RANDOM}:
        os.environ[source.ENVIRONMENT_VARIABLE] = source.RANDOM
    return {name: one.words for name, one in found.items()}


def _commit(runs: Sequence["NotebookRun"]) -> None:
    import nbformat

    from helpers.lab import pages
    from helpers.view import journey

    pictures = journey.pictures()
    for run in runs:
        executed = nbformat.read(BUILD / "notebooks" / f"{run.name}.ipynb", as_version=4)
        pictures |= pages.pictures(executed)
        write(NOTEBOOKS / f"{run.name}.ipynb", pages.for_commit(executed, seconds=run.seconds))
    for name, drawing in pictures.items():
        write(NOTEBOOKS / "pictures" / f"{name}.svg", drawing)


def _files(notebook: Path) -> tuple[str, str]:
    return notebook.name, f"{notebook.stem}.html"


def _report(notebook: Path) -> Path:
    """What vouches for a run that ended well."""
    return BUILD / "notebooks" / f"{notebook.stem}.json"


def _publish() -> "list[NotebookRun]":
    """Writes what goes over all chapters that ran to their end, and gives them, in order."""
    from helpers.lab import evidence, pages
    from helpers.lab.runner import NotebookRun

    reports = filter(Path.exists, map(_report, chapters()))
    notebooks = [json.loads(report.read_text(encoding="utf-8"))["facts"] for report in reports]
    runs = [NotebookRun(**facts) for facts in notebooks]
    results = [{"notebook": facts["name"]} | row for facts in notebooks for row in facts.pop("results")]
    machine = {"cpu": evidence.cpu(), "versions": evidence.versions(*evidence.MATTER)}
    told = {"machine": machine, "notebooks": notebooks, "results": results}
    write(BUILD / "results.json", json.dumps(told, indent=1) + "\n")
    write(BUILD / "notebooks" / "index.html", pages.index(BUILD / "notebooks", runs))
    return runs


def _made_from(notebook: Path, weights: Mapping[str, str]) -> dict[str, Any]:
    """All that a chapter's outputs depend on; nothing of it is imported."""
    from helpers.lab import evidence

    machine = [evidence.cpu(), evidence.versions()]
    return artifacts.ingredients(
        {"cells": sources(notebook), "weights": dict(weights), "machine": machine},
        data() | {path.name: path for path in _LIVE.glob("*.js")},
        (*evidence.MATTER, *_PACKAGES),
        ["helpers.lab.pages", *imported(notebook)],
    )


def data() -> dict[str, Path]:
    """All files that a chapter may read, by their place in data/."""
    return {path.relative_to(DATA).as_posix(): path for path in sorted(DATA.rglob("*")) if path.is_file()}


def imported(notebook: Path) -> list[str]:
    """The modules of helpers that a chapter imports."""
    found = list[str]()
    for cell in sources(notebook, kind="code"):
        with suppress(SyntaxError):  # the run will tell
            found += artifacts.imports(ast.parse(cell))
    return found


def sources(notebook: Path, *, kind: str | None = None) -> list[str]:
    """The text of each cell, or of each of this kind."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if kind in (None, cell["cell_type"])]


def _expected(notebook: Path) -> float:
    """The seconds of a chapter: of its last run here, else as it has them from its commit."""
    last = BUILD / "notebooks" / notebook.name
    told = json.loads((last if last.exists() else notebook).read_text(encoding="utf-8"))["metadata"]
    return float(told.get("papermill", {}).get("duration") or told.get("seconds", _SECONDS))


def _table(runs: Sequence["NotebookRun"]) -> str:
    rows = [(done.name, done.seconds, done.peak_mb, len(done.checks)) for done in runs]
    if len(runs) > 1:
        _, seconds, peaks, checks = zip(*rows, strict=True)
        rows.append(("all", sum(seconds), max(peaks), sum(checks)))
    width = max((len(name) for name, *_ in rows), default=0)
    lines = [f"{'notebook':<{width}}  seconds  peak MB  checks passed"]
    lines += [f"{name:<{width}}  {time:7.1f}  {peak:7.0f}  {count:13d}" for name, time, peak, count in rows]
    return "\n" + "\n".join(lines)
