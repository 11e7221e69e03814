"""The map of the whole way: the chapters, what each hands on, and what is a stand-in by default."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from helpers.view.diagrams import WIDTH, arrow, box, page
from helpers.view.style import GREY, HERE, INK, PALE, svg

# Inches. The lettering is large because the map must still be read at half its width.
EDGE, CARD, HEAD, TAG, GAP = 0.05, 2.1, 0.46, 0.3, 0.42
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
    Chapter("10", "Judge", ("your own plan",)),
    Chapter("11", "All six", ("table of the six",)),
    Chapter("12", "Detect", ("boxes, and a verdict", "results.json")),
)
STOOD_IN = ("checkpoint", "compiled.axmodel", "board log")
"""What something else takes the place of by default."""
KEY = {"": "made on your machine", "stand-in": "a stand-in, until you bring yours"}


def journey(here: str | None = None) -> Figure:
    """The way in rows of three chapters; `here` ("01" to "12") is marked as where the reader is."""
    rows = [CHAPTERS[first : first + COLUMNS] for first in range(0, len(CHAPTERS), COLUMNS)]
    depths = [HEAD + TAG * max(len(chapter.gives) for chapter in row) for row in rows]
    height = sum(depths) + GAP * len(rows) + 2 * EDGE
    drawn, axes = page(height)
    top, pitch = height - EDGE, (WIDTH - 2 * EDGE - CARD) / (COLUMNS - 1)
    for row, depth in zip(rows, depths, strict=True):
        for place, chapter in enumerate(row):
            left, marked = EDGE + place * pitch, chapter.number == here
            words = f"{chapter.number}  {chapter.word}"
            said = box(axes, (left, top - HEAD, CARD, HEAD), words, facecolor=HERE if marked else PALE)
            said.set(fontsize=15, weight="bold", color="white" if marked else INK)
            for line, artifact in enumerate(chapter.gives, start=1):
                role, slant = ("stand-in", "italic") if artifact in STOOD_IN else ("", "normal")
                tag = box(axes, (left, top - HEAD - TAG * line, CARD, TAG), artifact, role=role)
                tag.set(fontsize=13, style=slant)
            if place + 1 < len(row):
                arrow(axes, (left + CARD, top - HEAD / 2), (left + pitch, top - HEAD / 2), thick=1.4)
        if row is not rows[-1]:
            last, first, turn = WIDTH - EDGE - CARD / 2, EDGE + CARD / 2, top - depth - GAP / 2
            below = top - HEAD - TAG * len(row[-1].gives)
            way = [(last, below), (last, turn), (first, turn), (first, top - depth - GAP)]
            arrow(axes, *way, thick=1.4)
        top -= depth + GAP
    for place, (role, words) in enumerate(KEY.items()):
        left, bottom = EDGE + 1.2 * place * pitch, EDGE
        box(axes, (left, bottom + 0.06, TAG, TAG - 0.12), role=role)
        axes.text(left + TAG + 0.1, bottom + TAG / 2, words, va="center", fontsize=13, color=GREY)
    return drawn


def alt(here: str | None = None) -> str:
    """The map in words: the chapters in order with what each hands on, and where the reader is."""
    way = "; ".join(f"{one.number} {one.word} gives {', '.join(one.gives)}" for one in CHAPTERS)
    place = "".join(f" You are at {here}, {one.word}" for one in CHAPTERS if one.number == here)
    return f"Map of the way. {way}. By default something stands in for {', '.join(STOOD_IN)}.{place}"


def pictures() -> dict[str, str]:
    """The maps as SVG by file name: `map` for the README, `map-01` to `map-12` for the chapters' heads."""
    places = [None, *(chapter.number for chapter in CHAPTERS)]
    return {
        f"map-{here}" if here else "map": svg(journey(here), alt=alt(here)).rstrip() + "\n" for here in places
    }
