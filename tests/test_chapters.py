"""What a chapter builds in its cells is the code of a module: the same, but for words and annotations."""

import ast
from pathlib import Path

import nbformat
import pytest

from helpers.artifacts import HELPERS
from helpers.lab import notebooks


class _Bare(ast.NodeTransformer):
    """Takes out docstrings and annotations."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.visit_ClassDef(node)

    def visit_ClassDef(self, node: ast.ClassDef | ast.FunctionDef) -> ast.AST:
        if ast.get_docstring(node) is not None:
            del node.body[0]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return node.value and ast.Assign([node.target], node.value, lineno=node.lineno)


def definitions(source: str) -> dict[str, str]:
    """Every class and function at the top level."""
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            assert node.name not in found, f"{node.name} is defined twice"
            found[node.name] = ast.unparse(_Bare().visit(node))
    return found


def module(name: str) -> dict[str, str]:
    return definitions((HELPERS / name).read_text(encoding="utf-8"))


BUILT = [
    *(("02", "model/attention.py", name) for name in module("model/attention.py")),
    *(("02", "model/network.py", name) for name in ("patch_embedding", "ChannelGate", "Subsample")),
    ("03", "model/pruning.py", "importance"),
    *(("04", "pocket/training.py", name) for name in ("rate", "batches", "smoothed", "train")),
]


@pytest.mark.parametrize(("number", "file", "name"), BUILT)
def test_the_chapter_builds_the_modules_code_and_does_not_import_it(number: str, file: str, name: str):
    source = "\n".join(notebooks.sources(notebooks.find(number), kind="code"))
    assert definitions(source)[name] == module(file)[name]
    nodes = list(ast.walk(ast.parse(source)))
    assert name not in {
        alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert name not in {node.attr for node in nodes if isinstance(node, ast.Attribute)} - {"train"}


def names(source: str) -> tuple[set[str], set[str]]:
    """What a cell takes by name, and what it makes or fills, imports aside."""
    nodes = list(ast.walk(ast.parse(source)))
    named = [node for node in nodes if isinstance(node, ast.Name)]
    filled = [
        node.value for node in nodes if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    ]
    made = {node.id for node in named if isinstance(node.ctx, ast.Store)}
    return (
        {node.id for node in named if isinstance(node.ctx, ast.Load)},
        made | {node.id for node in filled if isinstance(node, ast.Name)},
    )


def hidden(sources: list[str], place: int) -> set[str]:
    """What the cell at `place` would keep from a reader when folded, though the chapter rests on it.

    Definitions, values that a later cell uses, and claims that are checked without a picture of them.
    """
    used, made = names(sources[place])
    later = set().union(*(takes - makes for takes, makes in map(names, sources[place + 1 :])))
    claims = set() if "show" in used else used & {"check"}
    return (made & later) | definitions(sources[place]).keys() | claims


@pytest.mark.parametrize("path", notebooks.chapters(), ids=lambda path: path.stem[:2])
def test_what_is_folded_teaches_nothing(path: Path):
    """Imports come first and are folded; of the others those may be that only draw or record."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    sources = [cell.source for cell in cells]
    folded = [place for place, cell in enumerate(cells) if "hide-input" in cell.metadata.get("tags", [])]
    assert folded[:1] == [0]
    assert {place: work for place in folded if (work := hidden(sources, place))} == {}
    for place, cell in enumerate(cells):  # the web book, and JupyterLab
        assert cell.metadata.get("jupyter", {}).get("source_hidden", False) == (place in folded)


def test_work_that_would_hide_is_found():
    cells = ["import a\na.set(1)", "rows = a.load()\nshow(rows)", "for row in [2]:\n    show(row)"]
    cells += ["row = 3\nrecord(row)", "rows['b'] = 1", "check('two', rows)", "def f():\n    return 1"]
    found = [hidden(cells, place) for place in range(len(cells))]
    assert found == [set(), {"rows"}, set(), set(), {"rows"}, {"check"}, {"f"}]
