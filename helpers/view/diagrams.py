"""Diagrams of the network and of its graph: boxes and arrows, laid out in inches, from plain data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text

from helpers.view.style import BLUE, HOLLOW, INK, PALE, ROLES, TINT, bar, figure, headline

WIDTH = 7.5
Place = tuple[float, float, float, float]
"""Left, bottom, width and height."""


def cascade(*, width: int, heads: int, key_dim: int, kernels: Sequence[int], title: str, note: str) -> Figure:
    """Cascaded group attention, one row per head; the thick line carries a head's output to the next head.

    Boxes that hold channels are as tall as they hold many. `kernels[i]` is the side of head i's query
    convolution.
    """
    share, gap, pitch = width // heads, 0.07, 1.46
    inch = 1 / (2 * key_dim + share)  # of a channel: Q, K and V are an inch together
    tall, whole = 1 + 2 * gap, width * inch
    height = (heads - 1) * pitch + tall + 0.55
    drawn, axes = page(height, title, note)
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
            end = 3.78 if name == "Q" else 2.64
            if name == "Q":
                query = f"{kernels[row]} × {kernels[row]} conv"
                arrow(axes, (2.64, level), (2.84, level))
                box(axes, (2.84, level - 0.15, 0.94, 0.3), query, role="convolution")
            arrow(axes, (end, level), (3.98, level))
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

COMPUTES = frozenset(
    {"Add", "BatchNormalization", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "Mul"}
    | {"ReduceMean", "Relu", "Sigmoid", "Softmax"}
)


def subgraphs(columns: Mapping[str, Subgraph], *, title: str) -> Figure:
    """One column per subgraph; operators that compute are tinted, those the next one lacks are struck out."""
    pitch, tall = 0.34, 0.22  # inches between two rows, and of one box
    places = {name: _lanes_and_rows(operators) for name, operators in columns.items()}
    height = pitch * (1 + max(row for placed in places.values() for _, row in placed))
    note = "blue: computes · white: moves numbers or works out sizes · struck out: gone in the next"
    drawn, axes = page(height + 0.55, title, note)
    axes.set(xlim=(0, len(columns)), ylim=(height, -0.55))
    kinds = [[kind for kind, _ in operators] for operators in columns.values()]
    for column, (name, operators) in enumerate(columns.items()):
        gone = Counter(kinds[column]) - Counter(kinds[min(column + 1, len(kinds) - 1)])
        lanes = [lane for lane, _ in places[name]]
        share = 0.96 / max(3, 1 + round(max(lanes) - min(lanes)))
        centres = [(column + 0.5 + lane * share, pitch * (row + 0.5)) for lane, row in places[name]]
        for (_, reads), (end, bottom) in zip(operators, centres, strict=True):
            for x, top in (centres[other] for other in reads):
                turn = bottom + tall / 2 - pitch  # down its own lane as far as the gap above the reader
                line = [(x, top + tall / 2), (x, turn), (end, bottom - tall / 2)]
                axes.plot(*zip(*line, strict=True), color=INK, linewidth=0.8, zorder=1)
        for kind, (x, y) in zip(kinds[column], centres, strict=True):
            place = (x - 0.46 * share, y - tall / 2, 0.92 * share, tall)
            box(axes, place, kind, facecolor=TINT if kind in COMPUTES else "white")
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


def page(height: float, title: str = "", note: str = "") -> tuple[Figure, Axes]:
    """A figure of empty axes whose units are about inches."""
    drawn, (axes,) = figure(WIDTH, height + (0.6 if title else 0))
    axes.set(xlim=(0, WIDTH), ylim=(0, height))
    axes.set_axis_off()
    if title:
        headline(drawn, title, note)
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
