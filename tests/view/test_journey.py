import pytest
from matplotlib.colors import to_rgba

from helpers.files import NOTEBOOKS
from helpers.view.journey import CHAPTERS, alt, journey, pictures
from helpers.view.style import HERE

NUMBERS = [chapter.number for chapter in CHAPTERS]


@pytest.mark.parametrize("here", NUMBERS)
def test_one_card_is_marked(here: str) -> None:
    (axes,) = journey(here).axes
    assert [patch.get_facecolor() for patch in axes.patches].count(to_rgba(HERE)) == 1
    assert [text.get_text()[:2] for text in axes.texts if text.get_color() == "white"] == [here]
    assert f"You are at {here}" in alt(here)


def test_the_committed_maps_are_todays() -> None:
    drawn = pictures()
    committed = {path.stem: path.read_text(encoding="utf-8") for path in NOTEBOOKS.glob("pictures/map*.svg")}
    assert committed.keys() == drawn.keys()
    old = [name for name in drawn if committed[name] != drawn[name]]
    assert not old, "drawn otherwise today: run make notebooks"


def test_the_map_names_the_chapters_that_exist() -> None:
    there = {path.name[:2] for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}
    assert there <= set(NUMBERS)
