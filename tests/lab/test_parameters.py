"""What a parameters cell lets in, from Python and from a command line."""

from pathlib import Path
from typing import Any

import pytest
from small_books import CHECKS, book

from helpers.lab import notebooks
from helpers.lab.parameters import UnknownParameter, WrongValue, check_parameters, from_here, from_words

CELL = """model: str = "m5"
log: str = ""
port: int = 22
keep: float = 0.5
retrain: bool = False
widths: list[int] = [1, 2]
free = 3"""


@pytest.fixture
def small(house: Path) -> Path:
    return book(house / "notebooks" / "01_small.ipynb", CELL, CHECKS)


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("model", "7", "7"),
        ("model", "None", "None"),
        ("port", "2222", 2222),
        ("keep", "0.3", 0.3),
        ("keep", "1", 1),
        ("retrain", "True", True),
        ("widths", "[3, 4]", [3, 4]),
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
        ("keep", "half"),
        ("retrain", "yes"),
        ("widths", "[3, 'x']"),
    ],
)
def test_another_type_is_refused_with_the_type_and_an_example(small: Path, name: str, word: str):
    with pytest.raises(WrongValue, match=rf"^{name} is (int|float|bool|list\[int\]), such as .*, and not "):
        check_parameters(small, from_words(small, {name: word}))
    with pytest.raises(WrongValue, match="model is str"):
        check_parameters(small, {"model": 5})


def test_an_unknown_parameter_is_refused_before_any_work(small: Path, house: Path):
    for refuse in (check_parameters, from_words):
        with pytest.raises(UnknownParameter, match=r'no parameter widht: it has model \(default "m5"\), log'):
            refuse(small, {"widht": "2"})
    with pytest.raises(UnknownParameter):
        notebooks.run(small, output=house / "out.ipynb", parameters={"widht": 2})
    assert not (house / "out.ipynb").exists()


def test_a_file_is_the_callers_and_a_word_wins_over_a_file_of_its_name(
    small: Path, house: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(house)
    for name in ("board.log", "m5", "random"):
        (house / name).write_text("x")
    assert from_words(small, {"log": "board.log"}) == {"log": str(house / "board.log")}
    assert from_words(small, {"log": "missing.log", "model": "m5"}) == {"log": "missing.log", "model": "m5"}
    assert from_here("checkpoint", "random") == "random"
    assert from_here("checkpoint", "./random") == from_here("log", "random") == str(house / "random")
