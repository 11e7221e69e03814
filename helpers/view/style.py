"""One look for every figure: colour-blind safe, legible in grey and at half width, SVG with words."""

import html
import io
import math
import re
from collections.abc import Container, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack

import matplotlib as mpl
from cycler import cycler
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

# Okabe and Ito's palette, and greys.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
VIOLET, NAVY, INK, GREY, PALE, TINT = "#5B3A8C", "#08306B", "#222222", "#767676", "#D9D9D9", "#A9CCE3"

# One thing has one colour in every figure, looked up by the name that is printed beside it.
ROLES = {
    "Q/K": ORANGE,
    "V": VIOLET,
    "FFN": GREEN,
    "attention": SKY,
    "convolution": PURPLE,
    "stem and downsampling": "#5F5F5F",
    "memory-bound": RED,
    "no products": RED,  # what the paper calls memory-bound, as chapter 01 counts it
    "CGA": INK,
    "measured": BLUE,
    "published": GREY,
    "forecast": BLUE,
    "stand-in": GREY,
    **dict.fromkeys(("NPU1", "NPU1, one core"), BLUE),
    **dict.fromkeys(("NPU3", "NPU3, three cores"), NAVY),  # more cores, darker
}
HOLLOW = {"forecast": "-", "stand-in": "--"}
"""Roles that nobody measured: an outline of this line style instead of a filled shape."""

# What plays no role, areas and strokes: the subject first, in blue.
CYCLE, STROKES = (BLUE, TINT, GREY, INK), (BLUE, GREY, INK, VIOLET)
MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", ":", "-.")

HERE, ATTENTION, QUERY = BLUE, BLUE, RED

FONTS = "'DejaVu Sans', Verdana, 'Hiragino Sans', 'Yu Gothic', Meiryo, 'Noto Sans CJK JP', sans-serif"
"""Of an SVG's text. The first lays it out, the second is as wide; what a system has otherwise is narrower."""

mpl.rcParams.update(
    {
        "figure.facecolor": "white",
        "figure.dpi": 100,
        "font.size": 11,
        "text.color": INK,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titlepad": 12,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=STROKES),
        "grid.color": PALE,
        "grid.linewidth": 0.7,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.major.pad": 6,  # clear of the lowest number beside the other axis
        "legend.facecolor": "white",  # no grid behind its words
        "legend.edgecolor": "none",
        "legend.framealpha": 1,
        "lines.markeredgecolor": INK,
        "lines.markeredgewidth": 0.6,
        "svg.fonttype": "none",  # text stays text: to be searched, read out and translated
        "svg.hashsalt": "efficientvit-edge",  # the same figure gives the same bytes
    }
)


class Interval(NamedTuple):
    """A value, and the bounds between which it was measured or is forecast."""

    value: float
    low: float
    high: float


class Words(TypedDict, total=False):
    """What a figure says: a claim, conditions and source in grey below it, and what its axes are."""

    title: str
    note: str
    xlabel: str
    ylabel: str


def figure(
    width: float = 7.5, height: float = 3.8, *, columns: int = 1, rows: int = 1, **words: Unpack[Words]
) -> tuple[Figure, list[Axes]]:
    """A figure in the project's style, sizes in inches; the axes come as one flat list, row by row."""
    made = Figure(figsize=(width, height))
    made.set_layout_engine("constrained", rect=(0.02, 0, 0.96, 1))  # a reader's font may be wider
    drawn = [made.add_subplot(rows, columns, place + 1) for place in range(rows * columns)]
    for place, axes in enumerate(drawn):
        axes.set(xlabel=words.get("xlabel", ""), ylabel="" if place % columns else words.get("ylabel", ""))
    if "title" in words:
        made.suptitle(words["title"], x=0.01, ha="left", fontsize=12.5, fontweight="bold")
    if words.get("note"):
        made.supxlabel(words["note"], x=0.01, ha="left", fontsize=10, color=GREY)
    return made, drawn


def panels(titles: Sequence[str], *, height: float, **words: Unpack[Words]) -> tuple[Figure, list[Axes]]:
    """Axes side by side, each with its title, that have their y-axis in common."""
    made, drawn = figure(height=height, columns=len(titles), **words)
    made.set_layout_engine("constrained", rect=(0.02, 0, 0.96, 1), wspace=0.06)
    for axes, name in zip(drawn, titles, strict=True):
        if axes is not drawn[0]:
            axes.sharey(drawn[0])
        axes.tick_params(labelleft=axes is drawn[0])
        axes.set_title(name)
        axes.grid(True)
    return made, drawn


def lying(axes: Axes, names: Sequence[str]) -> None:
    """Names of what lies beside the y-axis, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def embolden(axes: Axes, names: Container[str]) -> None:
    """Those of the names beside the y-axis that stand out."""
    for text in axes.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() in names else "normal")


def bare(axes: Axes) -> None:
    """Neither ticks nor lines around what carries its own numbers; names at the left stay."""
    axes.set_xticks([])
    axes.spines[:].set_visible(False)


def bar(role: str, *, otherwise: str = BLUE) -> dict[str, Any]:
    """The look of a bar, or a box, that plays `role`; `otherwise` is the colour of what plays none."""
    colour = ROLES.get(role, otherwise)
    if role in HOLLOW:
        return {"facecolor": "white", "edgecolor": colour, "linestyle": HOLLOW[role], "linewidth": 1.4}
    return {"facecolor": colour, "edgecolor": "white"}


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, the minus as long as the plus: +1.5, −0.3."""
    return f"{value:+,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def show(drawn: Figure, *, name: str, alt: str, picture: bool = False) -> None:
    """Displays a figure as SVG, with `alt` saying in a sentence what a person would see in it.

    Text and tests speak of it by its `name`, words joined by hyphens. The README shows a `picture`, too:
    `make notebooks` saves it under that name.
    """
    data = {"image/svg+xml": svg(drawn, alt=alt), "text/plain": f"[figure {name}] {alt}"}
    display(data, raw=True, metadata={"figure": name, "picture": picture})


def svg(drawn: Figure, *, alt: str) -> str:
    """The figure as an SVG element that scales with its column and carries its alternative text."""
    for axis in (axis for axes in drawn.axes for axis in (axes.xaxis, axes.yaxis)):
        if axis.get_scale() == "log" and len(axis.get_minorticklocs()):
            axis.set_tick_params(length=5)  # longer than those between them
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    artists = text[text.index("<svg") :].split('<g id="')
    body = re.sub(r"font-family: [^;\"]*(; )?", "", '<g id="'.join(map(_anchored, artists)))
    # several spaces would be shown as one
    body = re.sub(r"(?<=\S)  +(?=\S)", lambda gap: "\N{NO-BREAK SPACE}" * len(gap[0]), body)
    look = f'style="max-width:100%;height:auto;font-family:{FONTS}"'
    title = f"<title>{html.escape(alt)}</title>"
    return re.sub(r"<svg ([^>]*)>", rf'<svg \1 role="img" {look}>{title}', body, count=1)


_LINE = re.compile(
    r'<text style="([^"]*)" (transform="translate\((\S+) (\S+)\)(?: rotate\((\S+)\))?">)([^<]*)'
)
_LOOKS: dict[str, Any] = {"size": float, "weight": int, "style": str}
_ANCHORS = {0.5: "middle", 0: "start", 1: "end"}


def _anchored(artist: str) -> str:
    """Gives the lines of one text the anchor that they have in common; matplotlib gives it to a line alone.

    Without it they are aligned in the font that laid them out, and in no other.
    """
    starts, widths = [], []
    for style, _, x, y, turned, line in _LINE.findall(artist):
        angle = math.radians(float(turned or 0))
        starts.append(float(x) * math.cos(angle) + float(y) * math.sin(angle))
        looks = {key: re.search(rf"font-{key}: ([\w.]+?)(px)?(;|$)", style) for key in _LOOKS}
        font = FontProperties(**{key: _LOOKS[key](found[1]) for key, found in looks.items() if found})
        widths.append(text_to_path.get_text_width_height_descent(html.unescape(line), font, ismath=False)[0])

    def spread(share: float) -> float:
        places = [start + share * width for start, width in zip(starts, widths, strict=True)]
        return round(max(places) - min(places), 1)

    if not starts:
        return artist
    share = min(_ANCHORS, key=spread)
    along = iter(f"{share * width:.2f}" for width in widths)
    look = rf'style="\1; text-anchor: {_ANCHORS[share]}" \2\6'
    return _LINE.sub(lambda line: f'<text x="{next(along)}" {line.expand(look)}', artist)


def colour(name: str, place: int) -> str:
    """That of the role that `name` is, else of the stroke at `place`; after the last comes the first."""
    return ROLES.get(name, STROKES[place % len(STROKES)])


def dots(name: str, place: int) -> dict[str, Any]:
    """Colour and marker of a series of points."""
    return {"color": colour(name, place), "marker": MARKERS[place % len(MARKERS)]}


def plain(value: float, _: object = None) -> str:
    """A tick's number: commas between thousands, and a true minus."""
    return f"{value:,.10g}".replace("-", "\N{MINUS SIGN}")


def apart(wanted: Sequence[float], sizes: Sequence[float], *, low: float, high: float) -> list[float]:
    """Middles as near to the `wanted` ones as lets things of these sizes lie in a row between the bounds."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    middles = list(wanted)
    for turn, edge, sign in ((order, low, 1), (order[::-1], high, -1)):
        for index in turn:
            nearest = edge + sign * sizes[index] / 2
            middles[index] = max(middles[index], nearest) if sign > 0 else min(middles[index], nearest)
            edge = middles[index] + sign * sizes[index] / 2
    return middles


def label(
    axes: Axes, text: str, at: tuple[float, float], *, dx: float = 0, dy: float = 0, **look: Any
) -> None:
    """Text beside a point, `dx` and `dy` typographic points away, at the same distance on every scale."""
    side = "left" if dx > 0 else "right" if dx < 0 else "center"
    usual: dict[str, Any] = {"fontsize": 10, "ha": side, "va": "baseline" if dy else "center"}
    axes.annotate(text, at, (dx, dy), textcoords="offset points", **usual | look)
