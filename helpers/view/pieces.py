"""Pieces of a graph side by side: operators as boxes, what they read as lines."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers.view.style import INK, TINT, figure

Piece = Sequence[tuple[str, Sequence[int]]]
"""Operators in order: the kind, and the places of those that it reads."""

COMPUTES = frozenset({"Add", "Conv", "Gemm", "MatMul", "Mul", "Relu", "Softmax"})
PITCH = 0.34  # inches between two rows


def pieces(columns: Mapping[str, Piece], *, title: str) -> Figure:
    """One column per piece; operators that compute are tinted, those that move or count are white."""
    rows = {name: _rows(piece) for name, piece in columns.items()}
    height = PITCH * (1 + max(max(row) for row in rows.values()))
    drawn, (axes,) = figure(7.5, height + 0.9)
    axes.set_axis_off()
    axes.set_title(title)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(height, -0.55)
    for column, (name, piece) in enumerate(columns.items()):
        lanes = _lanes(piece, rows[name])
        share = 0.96 / max(3, 1 + round(max(lanes) - min(lanes)))
        centres = [
            (column + 0.5 + lane * share, PITCH * (row + 0.5))
            for lane, row in zip(lanes, rows[name], strict=True)
        ]
        for place, (_, reads) in enumerate(piece):
            for other in reads:
                (x, top), (end, bottom) = centres[other], centres[place]
                turn = bottom + 0.11 - PITCH  # down its own lane as far as the gap above the reader
                points = [(x, top + 0.11), (x, turn), (end, bottom - 0.11)]
                axes.plot(*zip(*points, strict=True), color=INK, linewidth=0.8, zorder=1)
        for (kind, _), (x, y) in zip(piece, centres, strict=True):
            fill = TINT if kind in COMPUTES else "white"
            box = Rectangle((x - 0.46 * share, y - 0.11), 0.92 * share, 0.22, facecolor=fill, zorder=2)
            box.set(edgecolor=INK, linewidth=0.7)
            axes.add_patch(box)
            axes.text(x, y, kind, ha="center", va="center", fontsize=8, zorder=3)
        axes.text(
            column + 0.5,
            -0.25,
            f"{name}: {len(piece)} operators",
            ha="center",
            fontsize=10.5,
            fontweight="bold",
        )
    return drawn


def _lanes(piece: Piece, rows: Sequence[int]) -> list[float]:
    """Below what an operator reads last; several that read the same in one row stand side by side."""
    lanes: list[float] = []
    for place, (_, reads) in enumerate(piece):
        twins = [
            other
            for other, (_, also) in enumerate(piece)
            if reads and also and also[-1] == reads[-1] and rows[other] == rows[place]
        ]
        middle = lanes[reads[-1]] if reads else 0.0
        lanes.append(middle + (twins.index(place) - (len(twins) - 1) / 2 if twins else 0.0))
    return lanes


def _rows(piece: Piece) -> list[int]:
    """The row of each operator: below everything that it reads."""
    rows: list[int] = []
    for _, reads in piece:
        rows.append(1 + max((rows[other] for other in reads), default=-1))
    return rows
