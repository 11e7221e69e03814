"""Diagrams of attention heads and of graphs: boxes and arrows, laid out in inches, from plain data."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from numpy.typing import NDArray

from helpers.view.style import BLUE, GREY, HOLLOW, INK, PALE, ROLES, TINT, Words, bar, figure

WIDTH = 7.5
SPAN = 2.15  # inches that all channels are long
FAINT = 0.25
Mask = NDArray[np.bool_]
Place = tuple[float, float, float, float]
"""Left, bottom, width and height."""


@dataclass(frozen=True)
class Kind:
    """A kind of attention with several heads.

    `reads[head, share]`: whether a head reads a share of the channels itself; `cascade`: whether it gets what
    the head before it found, too; `key_dim` and `value_dim`: channels of a head's Q and K, and of its V.
    """

    name: str
    says: str
    reads: Mask
    cascade: bool
    key_dim: int
    value_dim: int

    @property
    def hears(self) -> Mask:
        """[head, share]: what reaches a head, itself or through the heads before it."""
        return np.logical_or.accumulate(self.reads) if self.cascade else self.reads

    def weights(self, width: int) -> tuple[int, int]:
        """Of all heads together: those that make Q and K, and those that make V."""
        read = int(self.reads.sum()) * width // len(self.reads)
        return 2 * read * self.key_dim, read * self.value_dim

    def sources(self, head: int) -> list[str]:
        """The names of all parts of `three_ways` that light up when one looks at a head."""
        chain = range(head + 1) if self.cascade else [head]
        lit = [f"read-{one}-{share}" for one in chain for share in np.flatnonzero(self.reads[one])]
        lit += [f"share-{share}" for share in np.flatnonzero(self.hears[head])]
        lit += [f"head-{one}" for one in chain] + [f"hand-{one}" for one in chain if self.cascade and one]
        return [f"{self.name}-{part}" for part in (*lit, f"look-{head}", f"row-{head}")]


def lights(kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """For each head, the parts of `three_ways` that light up with it, and what they say."""
    made = []
    for head in range(len(kinds[0].reads)):
        heard = [", ".join(map(str, np.flatnonzero(kind.hears[head]) + 1)) for kind in kinds]
        says = "; ".join(f"{shares} ({kind.name})" for kind, shares in zip(kinds, heard, strict=True))
        parts = [part for kind in kinds for part in kind.sources(head)]
        made.append({"parts": parts, "says": f"Head {head + 1} hears shares {says}"})
    return made


def three_ways(kinds: Sequence[Kind], *, width: int, **words: Unpack[Words]) -> Figure:
    """A column per kind: shares of the channels on top, heads below, who hears whom, the weights to scale.

    Lengths are channels. What the last head of each kind hears is drawn strongly. Parts have their names as
    ids, for `live/heads.js`.
    """
    heads = len(kinds[0].reads)
    drawn, axes = page(3.55 + 0.22 * heads, **words)
    whole = sum(kinds[0].weights(width))
    for left, kind in zip(0.2 + 2.53 * np.arange(len(kinds)), kinds, strict=True):
        _ways(axes, left, kind, width)
        heard = f"hears\n{kind.hears.sum()} of {heads**2}"
        _text(axes, left + 0.74 + 0.22 * heads, 0.84 + 0.11 * heads, heard)
        end, weights = left, kind.weights(width)
        for role, count in zip(("Q/K", "V"), weights, strict=True):
            long = SPAN * count / whole
            box(axes, (end, 0.3, long, 0.3), role if long > 0.4 else "", role=role, edgecolor="white")
            end += long
        of_first = f"{100 * sum(weights) / whole:.0f} %"
        _text(axes, left, 0.15, f"{sum(weights):,} weights, {of_first}")
    return drawn


def _text(axes: Axes, x: float, y: float, text: str, **look: Any) -> None:
    axes.text(x, y, text, **{"va": "center", "fontsize": 10, **look})


def _ways(axes: Axes, left: float, kind: Kind, width: int) -> None:
    """The shares, the heads below them, the ways from those to these, and a row per head of what it hears."""
    heads, top = len(kind.reads), axes.get_ylim()[1]
    strong = {*kind.sources(heads - 1)}

    def part(name: str) -> dict[str, Any]:
        name = f"{kind.name}-{name}"
        return {"gid": name, "alpha": 1 if name in strong else FAINT}

    def slab(name: str, x: float, y: float, long: float, tall: float = 0.18, **look: Any) -> None:
        box(axes, (x, y, long, tall), **{"facecolor": BLUE, "edgecolor": "none"} | look | part(name))

    pitch, full = SPAN / heads, 0.9 * SPAN / heads
    slabs, low = top - 0.88, top - 2.32
    _text(axes, left, top - 0.1, kind.name, fontsize=11, fontweight="bold")
    _text(axes, left, top - 0.34, kind.says, fontsize=9, color=GREY)
    for head, start in enumerate(left + pitch * np.arange(heads)):
        number, middle, ends = f"{head + 1}", start + full / 2, start + full * (np.arange(4) + 0.5) / 4
        _text(axes, middle, slabs + 0.29, number if head else "share 1", ha="center", fontsize=9)
        for x in ends:
            slab(f"share-{head}", x - 0.11 * full, slabs, 0.22 * full)
        for share in np.flatnonzero(kind.reads[head]):
            x = [at for end in ends for at in (end + (share - head) * pitch, middle, np.nan)]
            y = [slabs - 0.03, low + 0.68, np.nan] * 4
            axes.plot(x, y, color=BLUE, linewidth=1, **part(f"read-{head}-{share}"))
        if kind.cascade and head:
            turn, found, enters = start - 0.05 * pitch, low + 0.09, low + 0.7
            x, y = [turn - 0.05 * pitch, turn, turn, middle], [found, found, enters, enters]
            axes.plot(x, y, color=BLUE, linewidth=3, solid_joinstyle="miter", **part(f"hand-{head}"))
        for row, (letter, role) in enumerate({"Q": "Q/K", "K": "Q/K", "V": "V"}.items()):
            long = 0.9 * SPAN * (kind.value_dim if letter == "V" else kind.key_dim) / width
            slab(f"head-{head}", start, low + 0.4 - 0.2 * row, long, **bar(role))
            if not head:
                _text(axes, left - 0.07, low + 0.49 - 0.2 * row, letter, ha="right", fontsize=9)
        frame = {"facecolor": "none", "edgecolor": INK, "linewidth": 1.5}
        slab(f"look-{head}", start - 0.03, low - 0.04, full + 0.06, 0.66, **frame)
        _text(axes, middle, low - 0.14, number if head else "head 1", ha="center", fontsize=9)
        row_low = 0.85 + 0.22 * (heads - 1 - head)
        _text(axes, left, row_low + 0.1, f"head {number}", fontsize=9)
        for place, heard in enumerate(kind.hears[head]):
            fill = part(f"row-{head}") | {"facecolor": BLUE} if heard else {}
            look: dict[str, Any] = {"edgecolor": GREY, "linewidth": 0.6} | fill
            box(axes, (left + 0.62 + 0.22 * place, row_low, 0.2, 0.2), **look)


def reach(
    rows: Mapping[str, Sequence[tuple[str, str, Mask]]], *, window: int, **words: Unpack[Words]
) -> Figure:
    """How far one token gets: in each row, after each step, the tokens that have noticed it.

    A step is (name, role, [row, column]), the first of a row its input. Dark: reached by this step; light:
    before it; the dark lines bound windows of `window` tokens.
    """
    columns, tall = max(len(steps) for steps in rows.values()), 2.05
    drawn, axes = page(tall * len(rows), **words)
    pitch = WIDTH / columns
    side = 0.86 * pitch
    for (name, steps), top in zip(rows.items(), tall * np.arange(len(rows), 0, -1), strict=True):
        axes.text(0.02, top - 0.02, name, fontsize=10.5, fontweight="bold", va="top")
        before = np.zeros_like(steps[0][2])
        for place, (step, role, now) in enumerate(steps):
            left, low = place * pitch + 0.02, top - 0.68
            if place:
                arrow(axes, (left - pitch + side, low + 0.19), (left, low + 0.19))
            box(axes, (left, low, side, 0.38), step, role=role)
            _tokens(axes, (left, low - 0.06 - side), side, now.astype(int) + (now & ~before), window)
            axes.text(left + side / 2, low - 0.09 - side, f"{now.sum()}", ha="center", va="top", fontsize=10)
            before = now
    return drawn


def _tokens(axes: Axes, at: tuple[float, float], side: float, shades: NDArray[np.int_], window: int) -> None:
    """Tokens as squares, in three shades, with the windows' borders; `at` is the lower left corner."""
    (left, low), count = at, len(shades)
    extent, colours = (left, left + side, low, low + side), ListedColormap(["white", TINT, BLUE])
    axes.imshow(shades, colours, extent=extent, vmin=0, vmax=2, interpolation="nearest", aspect="auto")
    for step, colour, thick in ((1, PALE, 0.5), (window, INK, 1.2)):
        across = (np.arange(0, count + 1, step) / count).repeat(3)  # a line each: on, off, and the pen up
        along = np.resize([0, 1, np.nan], len(across))
        x, y = left + side * np.append(across, along), low + side * np.append(along, across)
        axes.plot(x, y, color=colour, linewidth=thick)


def cascade(*, width: int, heads: int, key_dim: int, kernels: Sequence[int], title: str, note: str) -> Figure:
    """Cascaded group attention, one row per head; the thick line carries a head's output to the next head.

    Boxes that hold channels are as tall as they hold many. `kernels[i]` is the side of head i's query
    convolution.
    """
    share, gap, pitch = width // heads, 0.07, 1.46
    inch = 1 / (2 * key_dim + share)  # of a channel: Q, K and V are an inch together
    tall, whole = 1 + 2 * gap, width * inch
    height = (heads - 1) * pitch + tall + 0.55
    drawn, axes = page(height, title=title, note=note)
    rows = [height - 0.45 - tall / 2 - row * pitch for row in range(heads)]
    middle = (rows[0] + rows[-1]) / 2
    for row, y in enumerate(rows):
        part, low, top = middle + (heads / 2 - row - 0.5) * share * inch, y - tall / 2, y + tall / 2
        box(axes, (0.03, part - share * inch / 2, 0.42, share * inch), str(share), facecolor=PALE)
        arrow(axes, (0.45, part), (0.7, y), (0.88 if row else 1.2, y))
        if row:
            axes.plot(0.98, y, "o", markersize=14, markerfacecolor="white", markeredgewidth=1)
            axes.plot(0.98, y, "+", markersize=9, markeredgewidth=1)
            arrow(axes, (1.08, y), (1.2, y))
        axes.text(1.2, top + 0.05, f"head {row + 1}", ha="left", va="bottom", fontsize=10, fontweight="bold")
        box(axes, (1.2, low, 0.62, tall), "1 × 1\nconv")
        for name, role, channels in (("Q", "Q/K", key_dim), ("K", "Q/K", key_dim), ("V", "V", share)):
            top -= channels * inch
            level = top + channels * inch / 2
            arrow(axes, (1.82, level), (2.02, level))
            box(axes, (2.02, top, 0.62, channels * inch), f"{name}  {channels}", role=role)
            arrow(axes, (2.64, level), (3.98, level))
            if name == "Q":
                query = f"{kernels[row]} × {kernels[row]} conv"
                arrow(axes, (2.64, level), (2.84, level))
                box(axes, (2.84, level - 0.15, 0.94, 0.3), query, role="convolution")
            top -= gap
        box(axes, (3.98, low, 1.0, tall), "softmax(\nQ·K + bias)\n· V", role="attention")
        arrow(axes, (4.98, y), (5.18, y))
        box(axes, (5.18, y - share * inch / 2, 0.42, share * inch), str(share), facecolor=PALE)
        arrow(axes, (5.6, y), (5.75, y), (6.1, part))
        if row + 1 < heads:
            below = low - 0.06
            way = [(5.39, y - share * inch / 2), (5.39, below), (0.98, below), (0.98, rows[row + 1] + 0.1)]
            arrow(axes, *way, color=BLUE, thick=2.6)
            found = f"what head {row + 1} found"
            axes.text(3.3, below - 0.04, found, ha="center", va="top", fontsize=10, color=BLUE)
    box(axes, (6.1, middle - whole / 2, 0.62, whole), "ReLU\n\n1 × 1\nconv")
    arrow(axes, (6.72, middle), (6.95, middle))
    box(axes, (6.95, middle - whole / 2, 0.5, whole), str(width), facecolor=PALE)
    for x, text in zip((0.24, 3.3, 4.48, 5.39, 7.2), ("share", "ask", "attend", "found", "out"), strict=True):
        axes.text(x, height - 0.2, text, ha="center", va="bottom", fontsize=10.5, fontweight="bold")
    return drawn


Subgraph = Sequence[tuple[str, Sequence[int]]]
"""Operators in order: the kind, and the places of those that it reads."""


def subgraphs(columns: Mapping[str, Subgraph], *, computes: Collection[str], title: str) -> Figure:
    """One column per subgraph; operators that compute are tinted, those the next one lacks are struck out."""
    pitch, tall = 0.34, 0.22  # inches between two rows, and of one box
    places = {name: _lanes_and_rows(operators) for name, operators in columns.items()}
    height = pitch * (1 + max(row for placed in places.values() for _, row in placed))
    note = "blue: computes · white: moves numbers or works out sizes · struck out: gone in the next"
    drawn, axes = page(height + 0.55, title=title, note=note)
    axes.set(xlim=(0, len(columns)), ylim=(height, -0.55))
    kinds = [[kind for kind, _ in operators] for operators in columns.values()]
    for column, (name, operators) in enumerate(columns.items()):
        gone = Counter(kinds[column]) - Counter(kinds[min(column + 1, len(kinds) - 1)])
        lanes = [lane for lane, _ in places[name]]
        share = 0.96 / max(3, 1 + round(max(lanes) - min(lanes)))
        centres = [(column + 0.5 + lane * share, pitch * (row + 0.5)) for lane, row in places[name]]
        for (_, reads), (end, bottom) in zip(operators, centres, strict=True):
            for x, top in (centres[other] for other in reads):
                between = [at for at, y in centres if top < y < bottom]
                free = [way for way in (x, end) if all(abs(way - at) > 0.46 * share for at in between)]
                way = [*free, end - share / 2][0]  # down a lane, or else beside one
                low, high, gap = top + tall / 2, bottom - tall / 2, pitch - tall
                line = [(x, low), (way, min(low + gap, high - gap)), (way, high - gap), (end, high)]
                axes.plot(*zip(*line, strict=True), color=INK, linewidth=0.8, zorder=1)
        for kind, (x, y) in zip(kinds[column], centres, strict=True):
            place = (x - 0.46 * share, y - tall / 2, 0.92 * share, tall)
            box(axes, place, kind, facecolor=TINT if kind in computes else "white")
            if gone[kind] > 0:  # of several of one kind, the first
                gone[kind] -= 1
                axes.plot([x - 0.4 * share, x + 0.4 * share], [y, y], color=INK, linewidth=1.5)
        head = f"{name}: {len(operators)} operators"
        axes.text(column + 0.5, -0.25, head, ha="center", fontsize=10.5, fontweight="bold")
    return drawn


def _lanes_and_rows(operators: Subgraph) -> list[tuple[float, int]]:
    """Each operator stands below all that it reads, in the lane of the last; twins stand side by side."""
    rows: list[int] = []
    for _, reads in operators:
        rows.append(1 + max((rows[other] for other in reads), default=-1))
    spots = [(reads[-1] if reads else None, row) for (_, reads), row in zip(operators, rows, strict=True)]
    lanes: list[float] = []
    for place, (above, row) in enumerate(spots):
        twins = [other for other, spot in enumerate(spots) if spot == (above, row)]
        middle = 0.0 if above is None else lanes[above]
        lanes.append(middle + twins.index(place) - (len(twins) - 1) / 2)
    return list(zip(lanes, rows, strict=True))


def page(height: float, **words: Unpack[Words]) -> tuple[Figure, Axes]:
    """A figure of empty axes whose units are about inches."""
    drawn, (axes,) = figure(WIDTH, height + (0.6 if words else 0), **words)
    axes.set(xlim=(0, WIDTH), ylim=(0, height))
    axes.set_axis_off()
    return drawn, axes


def box(axes: Axes, place: Place, text: str = "", *, role: str = "", **look: Any) -> Text:
    """A box in the colour of its role, else white; what is written in it comes back, to be styled."""
    left, bottom, width, height = place
    of_role = bar(role) if role in HOLLOW else {"facecolor": ROLES.get(role, "white"), "edgecolor": INK}
    axes.add_patch(Rectangle((left, bottom), width, height, **of_role | look))
    middle, ink = (left + width / 2, bottom + height / 2), "white" if role == "V" else INK
    return axes.text(*middle, text, ha="center", va="center", fontsize=9, color=ink)


def arrow(axes: Axes, *points: tuple[float, float], color: str = INK, thick: float = 1) -> None:
    """A line through the points, with an arrow head at the last."""
    look: dict[str, Any] = {"color": color, "linewidth": thick, "capstyle": "butt", "joinstyle": "miter"}
    way = FancyArrowPatch(path=Path(points), arrowstyle="-|>", mutation_scale=8 + 2 * thick, **look)
    axes.add_patch(way)
