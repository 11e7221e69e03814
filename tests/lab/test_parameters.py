"""What a parameters cell lets in, from Python and from a command line."""

import ast
from pathlib import Path
from typing import Any

import pytest
from papermill.inspection import inspect_notebook
from small_books import CHECKS, book

from helpers.lab import notebooks, runner
from helpers.lab.parameters import (
    FILES,
    NARROWER,
    check_parameters,
    from_here,
    from_words,
)
from helpers.model.source import CheckpointError
from helpers.model.variants import UnknownModel

CELL = """name: str = "m5"
log: str = ""
port: int = 22
share: float = 0.5
retrain: bool = False
sizes: list[int] = [1, 2]
free = 3"""


@pytest.fixture
def small(house: Path) -> Path:
    return book(house / "notebooks" / "01_small.ipynb", CELL, CHECKS)


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("name", "7", "7"),
        ("name", "None", "None"),
        ("port", "2222", 2222),
        ("share", "0.3", 0.3),
        ("share", "1", 1),
        ("retrain", "True", True),
        ("sizes", "[3, 4]", [3, 4]),
        ("free", "text", "text"),
        ("free", "4", 4),
    ],
)
def test_words_become_what_the_cell_asks_for(small: Path, name: str, word: str, value: Any):
    values = from_words(small, {name: word})
    assert values == {name: value} and type(values[name]) is type(value)
    check_parameters(small, values)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("port", "abc"),
        ("port", "True"),
        ("port", "1_000_"),
        ("share", "half"),
        ("retrain", "yes"),
        ("sizes", "[3, 'x']"),
    ],
)
def test_another_type_is_refused_with_the_type_and_an_example(small: Path, name: str, word: str):
    with pytest.raises(ValueError, match=rf"^{name} is (int|float|bool|list\[int\]), such as .*, and not "):
        check_parameters(small, from_words(small, {name: word}))
    with pytest.raises(ValueError, match="name is str"):
        check_parameters(small, {"name": 5})


def test_an_unknown_parameter_is_refused_before_any_work(small: Path, house: Path):
    for refuse in (check_parameters, from_words):
        with pytest.raises(ValueError, match=r'no parameter widht: it has name \(default "m5"\), log'):
            refuse(small, {"widht": "2"})
    with pytest.raises(ValueError, match="no parameter widht"):
        runner.run(small, output=house / "out.ipynb", parameters={"widht": 2})
    assert not (house / "out.ipynb").exists()


def test_a_file_is_the_callers_and_a_word_wins_over_a_file_of_its_name(
    small: Path, house: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(house)
    for name in ("board.log", "m5", "random"):
        (house / name).write_text("x")
    assert from_words(small, {"log": "board.log"}) == {"log": str(house / "board.log")}
    assert from_words(small, {"log": "missing.log", "name": "m5"}) == {"log": "missing.log", "name": "m5"}
    assert from_here("checkpoint", "random") == "random"
    assert from_here("checkpoint", "./random") == from_here("log", "random") == str(house / "random")


@pytest.mark.parametrize(
    ("chapter", "wrong", "error", "named"),
    [
        ("05", {"model": "efficientvit_b1"}, UnknownModel, "efficientvit_m5"),
        ("05", {"checkpoint": "missing.pth"}, CheckpointError, "missing.pth"),
        ("05", {"opset": 19}, ValueError, "11 to 18"),
        ("05", {"batch": 0}, ValueError, "batch"),
        ("06", {"board_input": "gbr"}, ValueError, "bgr or rgb"),
        ("07", {"npu_mode": "NPU4"}, ValueError, "NPU1, NPU2 or NPU3"),
        ("07", {"images": "missing"}, ValueError, "missing"),
        ("08", {"log": "missing.log"}, ValueError, "missing.log"),
        ("08", {"log": "\udc83\udc82.log"}, ValueError, "rename the file"),
        ("08", {"host": "my-board"}, ValueError, "axmodel"),
        ("03", {"keep": 0.0}, ValueError, "keep"),
        ("10", {"heads": [4, 4, 5]}, ValueError, "heads"),
        ("10", {"widths": [128, 224, 321]}, ValueError, "width 321"),
        ("11", {"limit": 0}, ValueError, "limit"),
        ("11", {"workers": 0}, ValueError, "workers"),
        ("12", {"width": 0}, ValueError, "width"),
        ("12", {"threshold": 1.5}, ValueError, "threshold"),
    ],
)
def test_a_wrong_value_is_refused_before_a_kernel_starts(
    chapter: str, wrong: dict[str, Any], error: type[Exception], named: str
):
    with pytest.raises(error, match=named):
        check_parameters(notebooks.find(chapter), wrong)


def test_every_check_has_a_parameter_and_the_chapters_defaults_pass():
    found = set()
    for chapter in notebooks.chapters():
        defaults = {name: entry["default"] for name, entry in inspect_notebook(str(chapter)).items()}
        check_parameters(chapter, {name: ast.literal_eval(word) for name, word in defaults.items()})
        found |= defaults.keys()
        assert all(name in notebooks.listed(chapter.stem) for name in defaults)
    assert {*NARROWER, *FILES} <= found
