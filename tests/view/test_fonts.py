"""The text of figures is text: it keeps its place in whatever font a reader has."""

import base64
import json
import re
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from playwright.sync_api import Browser

from helpers.files import NOTEBOOKS
from helpers.lab import site
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


def face(font: str) -> str:
    """The style sheet that draws all text in `font`, whatever the reader's system has."""
    folder = Path(mpl.get_data_path(), "fonts", "ttf")
    weights = {font: 400, font + FONTS[font]: 700}
    faces = [
        f"@font-face {{ font-family: T; font-weight: {weight}; src: url(data:font/ttf;base64,"
        f"{base64.b64encode((folder / f'{name}.ttf').read_bytes()).decode()}) }}"
        for name, weight in weights.items()
    ]
    return "\n".join([*faces, "text { font-family: T !important }"])


def words(browser: Browser, figures: list[str], font: str) -> list[list[Word]]:
    """Each figure's text as Chromium draws it in `font`."""
    page = browser.new_page(viewport={"width": 900, "height": 900})
    drawn = "".join(f"<div>{figure}</div>" for figure in figures)
    page.set_content(f"<style>{face(font)}</style><b>b</b><body style='font-family: T'>{drawn}")
    found = page.evaluate(
        """async () => {
          await document.fonts.ready;
          if (![...document.fonts].every(font => font.status === 'loaded')) throw Error('fonts');
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
        }"""
    )
    page.close()
    return [[Word(*word) for word in figure] for figure in found]


def overlaps(drawn: list[Word]) -> set[tuple[int, int]]:
    """The pairs of texts of which one covers the other by more than a pixel."""
    return {
        (first, second)
        for (first, one), (second, other) in combinations(enumerate(drawn), 2)
        if min(one.right, other.right) - max(one.left, other.left) > 1
        and min(one.bottom, other.bottom) - max(one.top, other.top) > 1
    }


def misplaced(browser: Browser, figures: list[str]) -> list[str]:
    """What sticks out of its figure in any font, or covers what it does not cover as laid out."""
    faults = []
    before = words(browser, figures, LAID_OUT)
    for font in FONTS:
        for place, (laid, drawn) in enumerate(zip(before, words(browser, figures, font), strict=True)):
            faults += [
                f"{font}, figure {place}: {word.said!r} sticks out" for word in drawn if not word.inside
            ]
            faults += [
                f"{font}, figure {place}: {drawn[first].said!r} meets {drawn[second].said!r}"
                for first, second in sorted(overlaps(drawn) - overlaps(laid))
            ]
    return faults


def shown(notebook: Path) -> list[str]:
    """The figures in a notebook's outputs."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [
        "".join(data["image/svg+xml"]) for out in outputs if "image/svg+xml" in (data := out.get("data", {}))
    ]


@pytest.mark.parametrize("chapter", chapters(), ids=lambda path: path.stem[:2])
def test_text_keeps_its_place_in_three_fonts(chapter: Path, browser: Browser):
    figures = shown(site.executed(chapter))
    assert figures and all("<text" in figure for figure in figures)
    assert misplaced(browser, figures) == []


def test_the_maps_text_keeps_its_place_in_three_fonts(browser: Browser):
    maps = [path.read_text(encoding="utf-8") for path in sorted(NOTEBOOKS.glob("pictures/map*.svg"))]
    assert all("<text" in one for one in maps)
    assert misplaced(browser, maps) == []


def test_what_is_misplaced_is_found(browser: Browser):
    """Two texts that touch the next one and the edge in the font that laid them out cross it in a wider."""
    line, font = "EfficientViT-M5", FontProperties(size=20)
    width, height, _ = text_to_path.get_text_width_height_descent(line, font, ismath=False)
    texts = [f'<text x="{place}" y="{2 * height}" font-size="20px">{line}</text>' for place in (0, width + 2)]
    size = f'width="{2 * width + 2}" height="{3 * height}"'
    faults = misplaced(
        browser, [f"<svg {size} viewBox='0 0 {2 * width + 2} {3 * height}'>{''.join(texts)}</svg>"]
    )
    assert {fault.split(",")[0] for fault in faults} == {"DejaVuSerif"}
    assert {"meets", "sticks"} <= set(" ".join(faults).split())


@pytest.mark.parametrize("side", ["left", "center", "right"])
def test_the_lines_of_one_text_stay_aligned(side: str, browser: Browser):
    drawn, (axes,) = figure()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "a long line of text\nand a short one", ha=side)
    text = svg(drawn, alt="two lines")
    assert len(re.findall("text-anchor: (?:start|middle|end)", text)) == 2
    for font in FONTS:
        ((one, two),) = words(browser, [text], font)
        edges = {"left": (0, 1), "center": (0.5, 0.5), "right": (1, 0)}[side]
        at = [edges[1] * word.left + edges[0] * word.right for word in (one, two)]
        assert at[0] == pytest.approx(at[1], abs=1), font
