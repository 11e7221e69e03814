"""Every notebook: run by papermill with its solutions, and its committed outputs and shape."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

from helpers.__main__ import main
from helpers.artifacts import LOCK
from helpers.files import BUILD
from helpers.lab import kernels, notebooks, runner
from helpers.lab.evidence import harvest

CHAPTERS = notebooks.chapters()
MEMORY_KB = 1e9 / 1024
ANOTHER = {"model": "efficientvit_m0"}

pytestmark = pytest.mark.timeout(1800)  # a chapter takes minutes on a busy machine


@pytest.fixture(scope="module", autouse=True)
def as_in_the_tutorial() -> None:
    kernels.import_once()


def name(path: Path) -> str:
    return path.stem


def solutions(notebook: nbformat.NotebookNode) -> list[str]:
    """The code of each folded solution, in order."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    folded = re.findall(r"<details><summary>Solution</summary>(.*?)</details>", prose, re.DOTALL)
    return ["\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)) for text in folded]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_it_runs_and_so_do_its_solutions(chapter: Path, tmp_path: Path):
    """In one run; the chapter's own peak of memory is read before its solutions begin."""
    notebook = nbformat.read(chapter, as_version=4)
    added = ["print(open('/proc/self/status').read())", *solutions(notebook)]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in added]
    (tmp_path / "notebooks").mkdir()
    copy = tmp_path / "notebooks" / chapter.name
    nbformat.write(notebook, copy)
    runner.run(copy, output=tmp_path / chapter.name)
    cells = nbformat.read(tmp_path / chapter.name, as_version=4).cells
    own, (status, *answers) = cells[: -len(added)], cells[-len(added) :]
    checks, results = harvest({"cells": own})
    assert len(checks) >= 4
    assert results
    for row in results:
        assert {"model", "engine", "device", "weights", "unit"} <= row.keys()
    assert int(re.search(r"VmHWM:\s+(\d+) kB", status.outputs[0].text)[1]) < MEMORY_KB
    assert all(cell.outputs for cell in answers), "a solution shows what it found"


def test_chapter_07_leaves_for_another_model_what_deploy_leaves(tmp_path: Path):
    chapter = next(path for path in CHAPTERS if path.name.startswith("07"))
    assert runner.run(chapter, output=tmp_path / chapter.name, parameters=ANOTHER).checks
    out = tmp_path / "out"
    assert main(["deploy", "--model", ANOTHER["model"], "--out", str(out), "--until", "configure"]) == 0
    left = {path.name for path in out.iterdir() if path.is_file()} - {LOCK}
    assert {"model-sim.onnx", "calibration.tar", "model-int8.onnx", "pulsar2.json", "rehearsal.json"} <= left
    chapters = BUILD / "artifacts" / ANOTHER["model"] / "bgr"
    assert [name for name in left if (chapters / name).read_bytes() != (out / name).read_bytes()] == []


def claims(source: str) -> list[str]:
    """What the checks of a cell claim, as patterns: an f-string's values may be anything."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    told = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "check"]
    return [
        "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".*" for part in parts)
        for parts in (claim.values if isinstance(claim, ast.JoinedStr) else [claim] for claim in told)
    ]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_the_committed_outputs_are_of_the_committed_cells(chapter: Path):
    for cell in nbformat.read(chapter, as_version=4).cells:
        shown, _ = harvest({"cells": [cell]})
        patterns = claims(cell.source) if shown else []
        for one in shown:
            assert any(re.fullmatch(pattern, one["claim"]) for pattern in patterns), one["claim"]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_the_committed_outputs_are_of_one_clean_run(chapter: Path):
    cells = [cell for cell in nbformat.read(chapter, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    text = json.dumps(outputs)
    folders = "home|root|tmp|usr|var|opt|work|mnt|Users"  # ONNX names operators /stages/…
    assert not re.search(rf"""["' (]/({folders})/""", text), "an absolute path"
    assert chapter.stat().st_size < 1_000_000


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_it_has_the_shape_of_a_chapter(chapter: Path):
    notebook = nbformat.read(chapter, as_version=4)
    cells = notebook.cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert 15 <= len(code) <= 30
    assert re.match(rf"# {chapter.name[:2]} · .*\?\n", cells[0].source)
    assert [cell for cell in code if "parameters" in cell.metadata.get("tags", [])] == [code[1]]
    refusal = ast.parse(code[2].source).body[0]  # of an unknown model, before any work
    assert ast.unparse(refusal) == "chosen = variant(model)"
    for part in ("You will learn", "**Needs**", "## Summary", "## Exercises"):
        assert part in prose
    assert len(solutions(notebook)) == 3
    assert all(solutions(notebook))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=name)
def test_its_last_lines_lead_back_and_on(chapter: Path):
    last = nbformat.read(chapter, as_version=4).cells[-1].source
    place = CHAPTERS.index(chapter)
    back, on = CHAPTERS[:place][-1:], CHAPTERS[place + 1 :][:1]
    for word, neighbours in ((r"Back\*\* to", back), (r"Next\*\*", on)):
        linked = re.findall(rf"\*\*{word}\s\[[^\]]+\]\(([^)]+)\)", last)
        assert linked == [path.name for path in neighbours]
