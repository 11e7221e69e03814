"""The text of figures is text: it keeps its place in whatever font a reader has."""

import base64
import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from playwright.sync_api import Browser, Page

from helpers.files import NOTEBOOKS
from helpers.lab import pages
from helpers.lab.notebooks import chapters
from helpers.view.style import figure, svg

LAID_OUT = "DejaVuSans"
FONTS = {LAID_OUT: "-Bold", "DejaVuSerif": "-Bold", "STIXGeneral": "Bol"}
"""Regular fonts that matplotlib brings, and how their bold ones end: laid out, a wider one, a narrow one."""


class Word(NamedTuple):
    """A line of text and where it stands, px."""

    said: str
    left: float
    top: float
    right: float
    bottom: float
    inside: bool


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A page that has these fonts, whatever the reader's system has."""
    folder = Path(mpl.get_data_path(), "fonts", "ttf")
    faces = [
        f"@font-face {{ font-family: {font}; font-weight: {weight}; src: url(data:font/ttf;base64,"
        f"{base64.b64encode((folder / f'{font}{end}.ttf').read_bytes()).decode()}) }}"
        for font, bold in FONTS.items()
        for weight, end in ((400, ""), (700, bold))
    ]
    page = browser.new_page(viewport={"width": 900, "height": 900})
    page.set_content("\n".join(["<style>", *faces, "text { font-family: var(--font) !important }</style>"]))
    page.evaluate("() => Promise.all([...document.fonts].map(font => font.load()))")
    yield page
    page.close()


def words(page: Page, figures: list[str], font: str) -> list[list[Word]]:
    """Each figure's text as Chromium draws it in `font`."""
    found = page.evaluate(
        """([figures, font]) => {
          document.documentElement.style.setProperty('--font', font);
          document.body.innerHTML = figures.map(figure => `<div>${figure}</div>`).join('');
          return [...document.querySelectorAll('div > svg')].map(svg => {
            const whole = svg.getBoundingClientRect();
            const scale = whole.width / svg.viewBox.baseVal.width;
            return [...svg.querySelectorAll('text')].map(text => {
              const box = text.getBoundingClientRect();
              let {left, top, right, bottom} = box;
              if (!text.getCTM().b) {  // not turned: letters, without the font's room above and below
                const middle = (top + bottom) / 2, em = scale * parseFloat(getComputedStyle(text).fontSize);
                [top, bottom] = [middle - 0.45 * em, middle + 0.45 * em];
              }
              const inside = left > whole.left - 1 && right < whole.right + 1 &&
                             top > whole.top - 1 && bottom < whole.bottom + 1;
              return [text.textContent, left, top, right, bottom, inside];
            });
          });
        }""",
        [figures, font],
    )
    return [[Word(*word) for word in figure] for figure in found]


def overlaps(drawn: list[Word]) -> set[tuple[int, int]]:
    """The pairs of texts of which one covers the other by more than a pixel."""
    return {
        (first, second)
        for (first, one), (second, other) in combinations(enumerate(drawn), 2)
        if min(one.right, other.right) - max(one.left, other.left) > 1
        and min(one.bottom, other.bottom) - max(one.top, other.top) > 1
    }


def misplaced(page: Page, figures: list[str]) -> list[str]:
    """What sticks out of its figure in any font, or covers what it does not cover as laid out."""
    faults = []
    found = {font: words(page, figures, font) for font in FONTS}
    for font, in_font in found.items():
        for place, (laid, drawn) in enumerate(zip(found[LAID_OUT], in_font, strict=True)):
            faults += [
                f"{font}, figure {place}: {word.said!r} sticks out" for word in drawn if not word.inside
            ]
            faults += [
                f"{font}, figure {place}: {drawn[first].said!r} meets {drawn[second].said!r}"
                for first, second in sorted(overlaps(drawn) - overlaps(laid))
            ]
    return faults


@pytest.mark.parametrize("chapter", chapters(), ids=lambda path: path.stem[:2])
def test_text_keeps_its_place_in_three_fonts(chapter: Path, page: Page):
    shown = pages.figures(json.loads(chapter.read_text(encoding="utf-8")))
    figures = ["".join(figure["data"]["image/svg+xml"]) for figure in shown]
    assert figures and all("<text" in figure for figure in figures)
    assert misplaced(page, figures) == []


def test_the_maps_text_keeps_its_place_in_three_fonts(page: Page):
    maps = [path.read_text(encoding="utf-8") for path in sorted(NOTEBOOKS.glob("pictures/map*.svg"))]
    assert all("<text" in one for one in maps)
    assert misplaced(page, maps) == []


def test_what_is_misplaced_is_found(page: Page):
    """Two texts that touch the next one and the edge in the font that laid them out cross it in a wider."""
    line, font = "EfficientViT-M5", FontProperties(size=20)
    width, height, _ = text_to_path.get_text_width_height_descent(line, font, ismath=False)
    texts = [f'<text x="{place}" y="{2 * height}" font-size="20px">{line}</text>' for place in (0, width + 2)]
    size = f'width="{2 * width + 2}" height="{3 * height}"'
    faults = misplaced(
        page, [f"<svg {size} viewBox='0 0 {2 * width + 2} {3 * height}'>{''.join(texts)}</svg>"]
    )
    assert {fault.split(",")[0] for fault in faults} == {"DejaVuSerif"}
    assert {"meets", "sticks"} <= set(" ".join(faults).split())


@pytest.mark.parametrize("side", ["left", "center", "right"])
def test_the_lines_of_one_text_stay_aligned(side: str, page: Page):
    drawn, (axes,) = figure()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "a long line of text\nand a short one", ha=side)
    text = svg(drawn, alt="two lines")
    assert len(re.findall("text-anchor: (?:start|middle|end)", text)) == 2
    for font in FONTS:
        ((one, two),) = words(page, [text], font)
        edges = {"left": (0, 1), "center": (0.5, 0.5), "right": (1, 0)}[side]
        at = [edges[1] * word.left + edges[0] * word.right for word in (one, two)]
        assert at[0] == pytest.approx(at[1], abs=1), font
