import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text

from helpers.files import NOTEBOOKS
from helpers.view.journey import CHAPTERS, alt, journey, pictures
from helpers.view.style import HERE

NUMBERS = [chapter.number for chapter in CHAPTERS]


def test_every_word_is_read_at_half_width() -> None:
    sizes = [text.get_fontsize() for text in journey("07").findobj(Text) if text.get_text()]
    assert min(sizes) / 2 >= 6, "points that are left at half the width"


@pytest.mark.parametrize("here", NUMBERS)
def test_one_card_is_marked(here: str) -> None:
    marked = [patch for patch in journey(here).axes[0].patches if patch.get_facecolor() == to_rgba(HERE)]
    white = [text.get_text() for text in journey(here).axes[0].texts if text.get_color() == "white"]
    assert len(marked) == 1
    assert [text[:2] for text in white] == [here]
    assert f"You are at {here}" in alt(here)


def test_an_arrow_leads_to_every_card_but_the_first() -> None:
    arrows = journey().findobj(FancyArrowPatch)
    assert len(arrows) == len(CHAPTERS) - 1


def test_the_committed_maps_are_todays() -> None:
    drawn = pictures()
    committed = {path.stem: path.read_text(encoding="utf-8") for path in NOTEBOOKS.glob("pictures/map*.svg")}
    assert committed.keys() == drawn.keys()
    old = [name for name in drawn if committed[name] != drawn[name]]
    assert not old, "drawn otherwise today: run make notebooks"


def test_the_map_names_the_chapters_that_exist() -> None:
    there = {path.name[:2] for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}
    assert there <= set(NUMBERS)
