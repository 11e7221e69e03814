"""Pieces of a graph side by side: operators as boxes, what they read as lines."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from helpers.view.style import INK, figure

Piece = Sequence[tuple[str, Sequence[int]]]
"""Operators in order: the kind, and the places of those that it reads."""

COMPUTES = frozenset({"Add", "Conv", "Gemm", "MatMul", "Mul", "Relu", "Softmax"})
PITCH = 0.34  # inches between two rows


def pieces(columns: Mapping[str, Piece], *, title: str) -> Figure:
    """One column per piece; operators that compute are dark, those that move or count are white."""
    rows = {name: _rows(piece) for name, piece in columns.items()}
    height = PITCH * (1 + max(max(row) for row in rows.values()))
    drawn, (axes,) = figure(7.5, height + 0.9)
    axes.set_axis_off()
    axes.set_title(title)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(height, -0.55)
    for column, (name, piece) in enumerate(columns.items()):
        beside = Counter(rows[name])
        seen: dict[int, int] = defaultdict(int)
        centres = []
        share = 0.96 / max(3, *beside.values())
        for row in rows[name]:
            offset = (seen[row] - (beside[row] - 1) / 2) * share
            seen[row] += 1
            centres.append((column + 0.5 + offset, PITCH * (row + 0.5)))
        for place, (_, reads) in enumerate(piece):
            for other in reads:
                start, end = centres[other], centres[place]
                bend = 0.12 if rows[name][place] - rows[name][other] > 1 else 0.0
                axes.add_patch(
                    FancyArrowPatch(
                        (start[0], start[1] + 0.11),
                        (end[0], end[1] - 0.11),
                        connectionstyle=f"arc3,rad={bend if end[0] >= start[0] else -bend}",
                        arrowstyle="-",
                        linewidth=0.8,
                        color=INK,
                        zorder=1,
                    )
                )
        for (kind, _), (x, y) in zip(piece, centres, strict=True):
            fill = "#A9CCE3" if kind in COMPUTES else "white"
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


def _rows(piece: Piece) -> list[int]:
    """The row of each operator: below everything that it reads."""
    rows: list[int] = []
    for _, reads in piece:
        rows.append(1 + max((rows[other] for other in reads), default=-1))
    return rows
