"""Chapter 02 builds the block in its cells: the code of helpers/model/attention.py, docstrings apart."""

import ast
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
MODULE = (ROOT / "helpers" / "model" / "attention.py").read_text(encoding="utf-8")
CHAPTER = ROOT / "notebooks" / "02_what_is_cascaded_group_attention.ipynb"


def definitions(source: str) -> dict[str, str]:
    """Every class and function at the top level, without docstrings, comments and layout."""
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            assert node.name not in found, f"{node.name} is defined twice"
            for part in ast.walk(node):
                if isinstance(part, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(part) is not None:
                    del part.body[0]
            found[node.name] = ast.unparse(node)
    return found


def chapter() -> str:
    cells = nbformat.read(CHAPTER, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize("name", definitions(MODULE))
def test_the_chapter_builds_the_modules_code(name: str) -> None:
    built = definitions(chapter())
    assert name in built, f"chapter 02 does not build {name}"
    assert built[name] == definitions(MODULE)[name]


def test_the_chapter_imports_none_of_it() -> None:
    imported = [node for node in ast.walk(ast.parse(chapter())) if isinstance(node, ast.ImportFrom)]
    assert "helpers.model.attention" not in {node.module for node in imported}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("share + found[-1] if found else share", "share"),
        ("key_dim**-0.5", "key_dim**0.5"),
        ("nn.Sequential(nn.ReLU(), ConvBN(width, width))", "nn.Sequential(ConvBN(width, width))"),
    ],
)
def test_another_code_is_noticed(right: str, wrong: str) -> None:
    source = chapter()
    assert right in source
    assert definitions(source.replace(right, wrong)) != definitions(source)


def test_words_and_layout_do_not_count() -> None:
    bare = "class A:\n    def f(self, x):\n        return (x +\n            1)"
    told = 'class A:\n    """A."""\n\n    def f(self, x):\n        """Adds."""\n        return x + 1  # one'
    assert definitions(bare) == definitions(told)
