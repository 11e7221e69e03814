"""The map of the whole way: the chapters, what each hands on, and what is a stand-in by default."""

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers.view.style import GREY, HERE, INK, PALE, bar, figure, svg

# Inches. The lettering is large because the map must still be read at half its width.
WIDTH, EDGE, CARD, HEAD, TAG, GAP = 7.5, 0.05, 2.1, 0.46, 0.3, 0.42
COLUMNS = 3


@dataclass(frozen=True)
class Chapter:
    """One station: its number, its question in a word or two, and what it hands on."""

    number: str
    word: str
    gives: tuple[str, ...]


CHAPTERS = (
    Chapter("01", "Why slow?", ("time profile",)),
    Chapter("02", "The block", ("attention by hand",)),
    Chapter("03", "The widths", ("costs by stage",)),
    Chapter("04", "Train", ("checkpoint",)),
    Chapter("05", "Export", ("model-sim.onnx",)),
    Chapter("06", "Try INT8", ("layer_configs",)),
    Chapter("07", "Compile", ("pulsar2.json", "calibration.tar", "compiled.axmodel")),
    Chapter("08", "Run", ("board log",)),
    Chapter("09", "Contest", ("lead by engine",)),
    Chapter("10", "Judge", ("your own plan", "results.json")),
)
STOOD_IN = ("checkpoint", "compiled.axmodel", "board log")
"""What something else takes the place of by default."""
KEY = {False: "made on your machine", True: "a stand-in, until you bring yours"}


def journey(here: str | None = None) -> Figure:
    """The way in rows of three chapters; `here` ("01" to "10") is marked as where the reader is."""
    rows = [CHAPTERS[first : first + COLUMNS] for first in range(0, len(CHAPTERS), COLUMNS)]
    depths = [HEAD + TAG * max(len(chapter.gives) for chapter in row) for row in rows]
    height = sum(depths) + GAP * (len(rows) - 1) + 2 * EDGE
    drawn, (axes,) = figure(WIDTH, height)
    axes.set(xlim=(0, WIDTH), ylim=(0, height))
    axes.set_axis_off()
    top, pitch = height - EDGE, (WIDTH - 2 * EDGE - CARD) / (COLUMNS - 1)
    for row, depth in zip(rows, depths, strict=True):
        for place, chapter in enumerate(row):
            left = EDGE + place * pitch
            _card(axes, left, top, chapter, here=chapter.number == here)
            if place + 1 < len(row):
                _arrow(axes, (left + CARD, top - HEAD / 2), (left + pitch, top - HEAD / 2))
        if row is not rows[-1]:
            last, first, turn = WIDTH - EDGE - CARD / 2, EDGE + CARD / 2, top - depth - GAP / 2
            below = top - HEAD - TAG * len(row[-1].gives)
            axes.plot([last, last, first], [below, turn, turn], color=INK, linewidth=1.4)
            _arrow(axes, (first, turn), (first, top - depth - GAP))
        top -= depth + GAP
    for line, (stands_in, words) in enumerate(KEY.items(), start=1):  # in the room that the last row leaves
        left, bottom = EDGE + pitch, top + GAP + depth - HEAD - TAG * line
        tag = Rectangle((left, bottom + 0.06), TAG, TAG - 0.12, **_frame(stands_in))
        axes.add_patch(tag)
        axes.text(left + TAG + 0.1, bottom + TAG / 2, words, va="center", fontsize=13, color=GREY)
    return drawn


def alt(here: str | None = None) -> str:
    """The map in words: the chapters in order with what each hands on, and where the reader is."""
    way = "; ".join(f"{one.number} {one.word} gives {', '.join(one.gives)}" for one in CHAPTERS)
    place = "".join(f" You are at {here}, {one.word}" for one in CHAPTERS if one.number == here)
    return f"Map of the way. {way}. By default something stands in for {', '.join(STOOD_IN)}.{place}"


def pictures() -> dict[str, str]:
    """The maps as SVG by file name: `map` for the README, `map-01` to `map-10` for the chapters' heads."""
    places = [None, *(chapter.number for chapter in CHAPTERS)]
    return {
        f"map-{here}" if here else "map": svg(journey(here), alt=alt(here)).rstrip() + "\n" for here in places
    }


def _card(axes: Axes, left: float, top: float, chapter: Chapter, *, here: bool) -> None:
    face, ink = (HERE, "white") if here else (PALE, INK)
    axes.add_patch(Rectangle((left, top - HEAD), CARD, HEAD, facecolor=face, edgecolor=INK))
    name = f"{chapter.number}  {chapter.word}"
    _centred(axes, left, top - HEAD / 2, name, size=15, color=ink, weight="bold")
    for line, artifact in enumerate(chapter.gives, start=1):
        bottom = top - HEAD - TAG * line
        stands_in = artifact in STOOD_IN
        tag = Rectangle((left, bottom), CARD, TAG, **_frame(stands_in))
        axes.add_patch(tag)
        _centred(axes, left, bottom + TAG / 2, artifact, size=13, style="italic" if stands_in else "normal")


def _frame(stands_in: bool) -> dict[str, Any]:
    return bar("stand-in") if stands_in else {"facecolor": "white", "edgecolor": INK}


def _centred(axes: Axes, left: float, middle: float, text: str, **look: Any) -> None:
    axes.text(left + CARD / 2, middle, text, ha="center", va="center", **look)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=look)
