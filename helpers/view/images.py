"""Pictures with captions, and a matrix of errors, from plain arrays."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from helpers.view.style import BLUE, GREY, INK, ORANGE, TINT, Words, figure

Picture = NDArray[np.uint8]
"""RGB, [height, width, 3]"""

ERRORS = LinearSegmentedColormap.from_list("errors", ["white", ORANGE]).with_extremes(bad=TINT)


def thinned(whole: Picture, *, side: int = 112) -> Picture:
    """A picture as a figure keeps it, for a notebook holds dozens: every so many pixels, in few colours."""
    step = max(1, len(whole) // side)
    return whole[::step, ::step] // 16 * 16 + 8


def picture(axes: Axes, shown: NDArray[Any], **look: Any) -> None:
    """A square picture, or map of numbers, 0 to 1 both ways, in a thin frame."""
    axes.set_axis_on()
    axes.imshow(shown, extent=(0, 1, 1, 0), interpolation="none", **look)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)


def contact_sheet(rows: Mapping[str, Sequence[tuple[Picture, str]]], **words: Unpack[Words]) -> Figure:
    """Rows of (picture, caption), each with its name above it; a short row ends early."""
    columns = max(len(row) for row in rows.values())
    side = 7.5 / columns
    drawn, places = figure(7.5, len(rows) * (side + 0.42) + 0.4, columns=columns, rows=len(rows), **words)
    for axes in places:
        axes.set_axis_off()
    for number, (name, row) in enumerate(rows.items()):
        places[number * columns].set_title(name, fontsize=11, pad=4)
        for axes, (one, caption) in zip(places[number * columns :], row, strict=False):
            picture(axes, thinned(one))
            axes.set_xlabel(caption, fontsize=9)
    return drawn


class Mark(NamedTuple):
    """A box on a picture: left, top, right, bottom in its pixels, and what stands in its corner."""

    box: Sequence[float]
    words: str = ""
    colour: str = BLUE
    line: str = "-"


def boxes(
    panels: Sequence[tuple[str, Picture, Sequence[Mark]]],
    *,
    columns: int,
    around: float = 0,
    **words: Unpack[Words],
) -> Figure:
    """Pictures in rows, each with its title and boxes; `around` is the room beside one, as a share of it."""
    rows = -(-len(panels) // columns)
    drawn, places = figure(7.5, rows * (7.3 / columns + 0.3) + 0.7, columns=columns, rows=rows, **words)
    for axes, (name, whole, marks) in zip(places, panels, strict=True):
        picture(axes, thinned(whole))
        axes.set_title(name, fontsize=10, pad=4)
        axes.set(xlim=(-around, 1 + around), ylim=(1 + around, -around))
        height, width = whole.shape[:2]
        for box, said, colour, line in marks:
            (left, right), (top, bottom) = np.divide(box[::2], width), np.divide(box[1::2], height)
            for ink, thick, dashes in (("white", 3.2, "-"), (colour, 1.6, line)):  # seen on any ground
                look: dict[str, Any] = {"edgecolor": ink, "linewidth": thick, "linestyle": dashes}
                axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, **look))
            if said:
                at = max(left, 0.0) + 0.01, min(max(top, 0.0), 0.93) + 0.01
                ground = {"facecolor": "white", "edgecolor": colour, "pad": 1.2}
                axes.text(*at, said, fontsize=8, va="top", bbox=ground)
    return drawn


def confusion_matrix(counts: NDArray[np.number], names: Sequence[str], **words: Unpack[Words]) -> Figure:
    """`counts[true, predicted]`: what is right is plain, errors are coloured, and zeros stay out of sight."""
    drawn, (axes,) = figure(7.5, 4.9, **words)
    errors = np.ma.masked_array(counts, mask=np.eye(len(counts), dtype=bool))
    axes.imshow(errors, cmap=ERRORS, vmin=0, aspect="auto", interpolation="nearest")
    for (row, column), count in np.ndenumerate(counts):
        text, ink = (f"{count:.0f}", INK) if count else ("·", GREY)
        weight = "bold" if row == column else "normal"
        axes.text(column, row, text, ha="center", va="center", color=ink, fontweight=weight)
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=10)
    axes.set_yticks(range(len(names)), names, fontsize=10)
    axes.set(xlabel="answered", ylabel="drawn")
    axes.spines[:].set_visible(False)
    return drawn
