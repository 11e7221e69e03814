"""What a chapter builds in its cells is the code of a module: the same, but for words and annotations."""

import ast
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]


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


def chapter(number: str) -> str:
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def module(name: str) -> dict[str, str]:
    return definitions((ROOT / "helpers" / name).read_text(encoding="utf-8"))


BUILT = [
    *(("02", "model/attention.py", name) for name in module("model/attention.py")),
    *(("02", "model/network.py", name) for name in ("patch_embedding", "ChannelGate", "Subsample")),
    ("03", "model/pruning.py", "importance"),
    *(("04", "pocket/training.py", name) for name in ("rate", "batches", "train")),
]


@pytest.mark.parametrize(("number", "file", "name"), BUILT)
def test_the_chapter_builds_the_modules_code_and_does_not_import_it(number: str, file: str, name: str):
    source = chapter(number)
    assert definitions(source)[name] == module(file)[name]
    nodes = list(ast.walk(ast.parse(source)))
    assert name not in {
        alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert name not in {node.attr for node in nodes if isinstance(node, ast.Attribute)} - {"train"}


@pytest.mark.parametrize(
    ("number", "right", "wrong"),
    [
        ("02", "share + found[-1] if found else share", "share"),
        ("02", "nn.Sequential(nn.ReLU(), ConvBN(width, width))", "nn.Sequential(ConvBN(width, width))"),
        ("03", ".abs().sum(0)", ".sum(0)"),
        ("04", "epoch + step / steps", "epoch"),
    ],
)
def test_another_code_is_noticed(number: str, right: str, wrong: str):
    source = chapter(number)
    assert right in source
    assert definitions(source.replace(right, wrong)) != definitions(source)


def test_words_annotations_and_layout_do_not_count():
    bare = "class A:\n    def f(self, x):\n        y = (x +\n            1)"
    told = 'class A:\n    """A."""\n    y: int\n\n    def f(self, x: int) -> None:\n        """f."""\n'
    assert definitions(bare) == definitions(told + "        y: int = x + 1  # one")
