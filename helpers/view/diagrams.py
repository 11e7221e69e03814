"""Diagrams of the network and of its graph: boxes and arrows, laid out in inches, from plain data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle

from helpers.view.style import BLUE, GREY, INK, PALE, TINT, figure, headline

WIDTH = 7.5
TINTS = ("white", PALE, TINT)  # apart in lightness, and dark text is legible on each
SMALL = 9.0
Place = tuple[float, float, float, float]
"""Left, bottom, width and height."""


@dataclass(frozen=True)
class Step:
    """One residual step: what its box says, what it mixes, and which of the three tints it has."""

    label: str
    mixes: str
    tint: int


def residual_chain(steps: Sequence[Step], groups: Sequence[tuple[str, int]], *, title: str) -> Figure:
    """Boxes from left to right, each with a line around it that is added again: x + step(x).

    `groups` names runs of neighbouring steps, in order: (name, how many steps).
    """
    axes = _page(2.05, title)
    pitch = (WIDTH - 0.5) / len(steps)
    box, middle, bypass = 0.68 * pitch, 0.85, 1.45
    for place, step in enumerate(steps):
        fork = 0.2 + place * pitch
        left, plus = fork + 0.12 * pitch, fork + 0.93 * pitch
        _box(axes, (left, middle - 0.33, box, 0.66), step.label, tint=step.tint)
        _arrow(axes, (fork - 0.2 if place == 0 else fork - 0.07 * pitch + 0.1, middle), (left, middle))
        _arrow(axes, (left + box, middle), (plus - 0.1, middle))
        _arrow(axes, (fork, middle), (fork, bypass), (plus, bypass), (plus, middle + 0.1))
        _plus(axes, plus, middle)
        axes.text(left + box / 2, middle - 0.42, step.mixes, ha="center", va="top", fontsize=SMALL)
    _arrow(axes, (plus + 0.1, middle), (WIDTH - 0.03, middle))
    first = 0
    for name, count in groups:
        left, right = 0.2 + first * pitch, 0.2 + (first + count) * pitch - 0.14 * pitch
        axes.plot([left, left, right, right], [1.62, 1.7, 1.7, 1.62], color=GREY, linewidth=1)
        axes.text((left + right) / 2, 1.76, name, ha="center", va="bottom", fontsize=10.5, fontweight="bold")
        first += count
    return axes.get_figure(root=True)  # type: ignore[return-value]


def cascade(*, width: int, heads: int, key_dim: int, kernels: Sequence[int], title: str) -> Figure:
    """Cascaded group attention, one row per head; the thick line carries a head's output to the next head.

    Numbers in the boxes are channels. `kernels[i]` is the side of head i's query convolution.
    """
    share, pitch, tall = width // heads, 1.3, 0.9
    height = heads * pitch
    axes = _page(height, title)
    rows = [height - 0.3 - tall / 2 - row * pitch for row in range(heads)]
    for row, y in enumerate(rows):
        low = y - tall / 2
        level = {"Q": y + 0.31, "K": y, "V": y - 0.31}
        _box(axes, (0.1, low, 0.5, tall), str(share), tint=1)
        _arrow(axes, (0.6, y), (0.88 if row else 1.3, y))
        if row:
            _plus(axes, 0.98, y)
            _arrow(axes, (1.08, y), (1.3, y))
        _box(axes, (1.3, low, 0.72, tall), "1 × 1\nconv")
        for name, channels in (("Q", key_dim), ("K", key_dim), ("V", share)):
            _arrow(axes, (2.02, level[name]), (2.22, level[name]))
            _box(axes, (2.22, level[name] - 0.13, 0.62, 0.26), f"{name}  {channels}", tint=1)
            if name != "Q":
                _arrow(axes, (2.84, level[name]), (4.2, level[name]))
        _arrow(axes, (2.84, level["Q"]), (3.04, level["Q"]))
        _box(axes, (3.04, level["Q"] - 0.14, 0.96, 0.28), f"{kernels[row]} × {kernels[row]} conv")
        _arrow(axes, (4.0, level["Q"]), (4.2, level["Q"]))
        _box(axes, (4.2, low, 0.98, tall), "softmax(\nQ·K + bias)\n· V", tint=2)
        _arrow(axes, (5.18, y), (5.4, y))
        _box(axes, (5.4, low, 0.5, tall), str(share), tint=1)
        _arrow(axes, (5.9, y), (6.12, y))
        if row + 1 < heads:
            below = (low + rows[row + 1] + tall / 2) / 2
            way = [(5.65, low), (5.65, below), (0.98, below), (0.98, rows[row + 1] + 0.1)]
            _arrow(axes, *way, color=BLUE, thick=2.4)
            found = f"what head {row + 1} found"
            axes.text(3.3, below + 0.03, found, ha="center", va="bottom", fontsize=SMALL, color=BLUE)
    bottom, whole = rows[-1] - tall / 2, rows[0] - rows[-1] + tall
    _box(axes, (6.12, bottom, 0.62, whole), "ReLU\n\n1 × 1\nconv")
    _arrow(axes, (6.74, bottom + whole / 2), (6.94, bottom + whole / 2))
    _box(axes, (6.94, bottom, 0.5, whole), str(width), tint=1)
    columns = (0.35, 1.66, 3.52, 4.69, 5.65, 6.43, 7.19)
    headers = ("split", "project", "local queries", "attend", "join", "project", "out")
    for x, text in zip(columns, headers, strict=True):
        axes.text(x, height - 0.23, text, ha="center", va="bottom", fontsize=10.5, fontweight="bold")
    return axes.get_figure(root=True)  # type: ignore[return-value]


Subgraph = Sequence[tuple[str, Sequence[int]]]
"""Operators in order: the kind, and the places of those that it reads."""

COMPUTES = frozenset(
    {"Add", "BatchNormalization", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "Mul"}
    | {"ReduceMean", "Relu", "Sigmoid", "Softmax"}
)


def subgraphs(columns: Mapping[str, Subgraph], *, title: str) -> Figure:
    """One column per subgraph; operators that compute are tinted, those the next one lacks are struck out."""
    pitch, box = 0.34, 0.22  # inches between two rows, and of one box
    places = {name: _lanes_and_rows(operators) for name, operators in columns.items()}
    height = pitch * (1 + max(row for placed in places.values() for _, row in placed))
    drawn, (axes,) = figure(WIDTH, height + 1.2)
    axes.set(xlim=(0, len(columns)), ylim=(height, -0.55))
    axes.set_axis_off()
    note = "blue: computes · white: moves numbers or works out sizes · struck out: gone in the next"
    headline(drawn, title, note)
    kinds = [[kind for kind, _ in operators] for operators in columns.values()]
    for column, (name, operators) in enumerate(columns.items()):
        gone = Counter(kinds[column]) - Counter(kinds[min(column + 1, len(kinds) - 1)])
        lanes = [lane for lane, _ in places[name]]
        share = 0.96 / max(3, 1 + round(max(lanes) - min(lanes)))
        centres = [(column + 0.5 + lane * share, pitch * (row + 0.5)) for lane, row in places[name]]
        for (_, reads), (end, bottom) in zip(operators, centres, strict=True):
            for x, top in (centres[other] for other in reads):
                turn = bottom + box / 2 - pitch  # down its own lane as far as the gap above the reader
                line = [(x, top + box / 2), (x, turn), (end, bottom - box / 2)]
                axes.plot(*zip(*line, strict=True), color=INK, linewidth=0.8, zorder=1)
        for kind, (x, y) in zip(kinds[column], centres, strict=True):
            tint = 2 if kind in COMPUTES else 0
            _box(axes, (x - 0.46 * share, y - box / 2, 0.92 * share, box), kind, tint=tint)
            if gone[kind] > 0:  # of several of one kind, the first
                gone[kind] -= 1
                axes.plot([x - 0.4 * share, x + 0.4 * share], [y, y], color=INK, linewidth=1.5)
        head = f"{name}: {len(operators)} operators"
        axes.text(column + 0.5, -0.25, head, ha="center", fontsize=10.5, fontweight="bold")
    return axes.get_figure(root=True)  # type: ignore[return-value]


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


def _page(height: float, title: str) -> Axes:
    """Empty axes whose units are about inches."""
    _, (axes,) = figure(WIDTH, height + 0.35)
    axes.set(xlim=(0, WIDTH), ylim=(0, height))
    axes.set_axis_off()
    axes.set_title(title)
    return axes


def _box(axes: Axes, place: Place, text: str, *, tint: int = 0, size: float = SMALL) -> None:
    left, bottom, width, height = place
    axes.add_patch(Rectangle((left, bottom), width, height, facecolor=TINTS[tint], edgecolor=INK))
    axes.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=size)


def _plus(axes: Axes, x: float, y: float) -> None:
    axes.add_patch(Circle((x, y), 0.1, facecolor="white", edgecolor=INK, linewidth=1))
    axes.plot([x - 0.06, x + 0.06], [y, y], color=INK, linewidth=1)
    axes.plot([x, x], [y - 0.06, y + 0.06], color=INK, linewidth=1)


def _arrow(axes: Axes, *points: tuple[float, float], color: str = INK, thick: float = 1) -> None:
    """A line through the points, with an arrow head at the last."""
    if len(points) > 2:
        x, y = zip(*points[:-1], strict=True)
        axes.plot(x, y, color=color, linewidth=thick, solid_capstyle="butt", solid_joinstyle="miter")
    look: dict[str, Any] = {"color": color, "linewidth": thick, "shrinkA": 0, "shrinkB": 0}
    arrow = FancyArrowPatch(*points[-2:], arrowstyle="-|>", mutation_scale=8 + 2 * thick, **look)
    axes.add_patch(arrow)
