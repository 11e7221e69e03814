"""Pictures with captions and matrices as heat maps, from plain arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from helpers.view.style import BLUE, GREY, INK, ORANGE, TINT, figure, headline

Picture = NDArray[np.uint8]
"""RGB, [height, width, 3]"""

ERRORS = LinearSegmentedColormap.from_list("errors", ["white", ORANGE])
SHADES = LinearSegmentedColormap.from_list("shades", ["white", BLUE])  # lightness falls with the value

_EMBEDDED = 112
"""Side in pixels at which a picture is kept in a figure: a notebook holds dozens."""


def thinned(picture: Picture, *, side: int = _EMBEDDED) -> Picture:
    """A picture as a figure keeps it: every so many pixels, in few colours, for a smaller file."""
    step = max(1, len(picture) // side)
    return picture[::step, ::step] // 16 * 16 + 8


def framed(axes: Axes) -> None:
    """A thin frame on all four sides, and no ticks."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)


def contact_sheet(rows: Mapping[str, Sequence[tuple[Picture, str]]], *, title: str) -> Figure:
    """Rows of (picture, caption), each with its name above it; a short row ends early."""
    columns = max(len(row) for row in rows.values())
    side = 7.5 / columns
    drawn, places = figure(7.5, len(rows) * (side + 0.42) + 0.4, columns=columns, rows=len(rows))
    for axes in places:
        axes.set_axis_off()
    for number, (name, row) in enumerate(rows.items()):
        if name:
            places[number * columns].set_title(name, fontsize=11, pad=4)
        for axes, (picture, caption) in zip(places[number * columns :], row, strict=False):
            axes.set_axis_on()
            axes.imshow(thinned(picture), interpolation="none")
            axes.set_xlabel(caption, fontsize=9)
            framed(axes)
    headline(drawn, title)
    return drawn


def heatmaps(
    named: Mapping[str, NDArray[np.floating]], *, title: str, note: str, ylabel: str, xlabel: str
) -> Figure:
    """One square per matrix [rows, columns], darker for larger, all on one scale from 0; row 1 is on top.

    Cells that are not 0 carry their value.
    """
    drawn, panels = figure(7.5, 3.6, columns=len(named))
    largest = max(float(values.max()) for values in named.values())
    for axes, (name, values) in zip(panels, named.items(), strict=True):
        rows, columns = values.shape
        extent = (0.5, columns + 0.5, rows + 0.5, 0.5)
        axes.imshow(values, cmap=SHADES, vmin=0, vmax=largest, extent=extent, interpolation="nearest")
        axes.set_title(name, fontsize=11, loc="center", pad=6)
        axes.spines[:].set_visible(True)
        axes.set(xticks=range(1, columns + 1), yticks=range(1, rows + 1))
        for row, column in np.argwhere(values):
            value = values[row, column]
            ink = "white" if value > 0.6 * largest else INK
            axes.text(column + 1, row + 1, f"{value:.2f}", ha="center", va="center", fontsize=10, color=ink)
        axes.set_xlabel(xlabel, fontsize=10)
    panels[0].set_ylabel(ylabel, fontsize=10)
    headline(drawn, title, note)
    return drawn


def confusion_matrix(counts: NDArray[np.number], names: Sequence[str], *, title: str, note: str) -> Figure:
    """`counts[true, predicted]`: what is right is plain, errors are coloured, and zeros stay out of sight."""
    drawn, (axes,) = figure(7.5, 4.9)
    errors = counts - np.diag(counts.diagonal())
    axes.imshow(errors, cmap=ERRORS, vmin=0, aspect="auto", interpolation="nearest")
    for (row, column), count in np.ndenumerate(counts):
        if row == column:
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=TINT, linewidth=0))
        text, ink = (f"{count:.0f}", INK) if count else ("·", GREY)
        weight = "bold" if row == column else "normal"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontweight=weight)
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=10)
    axes.set_yticks(range(len(names)), names, fontsize=10)
    axes.set(xlabel="answered", ylabel="drawn")
    axes.spines[:].set_visible(False)
    headline(drawn, title, note)
    return drawn
