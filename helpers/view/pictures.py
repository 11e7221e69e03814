"""Pictures in rows with a caption under each, from plain arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from helpers.view.style import GREY, figure, headline

Picture = NDArray[np.uint8]
"""RGB, [height, width, 3]"""

_EMBEDDED = 112
"""Side in pixels at which a picture is kept in a figure: a notebook holds dozens."""


def thinned(picture: Picture) -> Picture:
    """A picture as a figure keeps it: every so many pixels, in few colours, for a smaller file."""
    step = max(1, len(picture) // _EMBEDDED)
    return picture[::step, ::step] // 16 * 16 + 8


def contact_sheet(rows: Mapping[str, Sequence[tuple[Picture, str]]], *, title: str) -> Figure:
    """Rows of (picture uint8 [h, w, 3], caption), all rows of one length, each with its name above it."""
    columns = max(len(row) for row in rows.values())
    side = 7.5 / columns
    drawn, places = figure(7.5, len(rows) * (side + 0.42) + 0.4, columns=columns, rows=len(rows))
    for axes in places:
        axes.set_axis_off()
    for number, (name, row) in enumerate(rows.items()):
        for place, (picture, caption) in enumerate(row):
            axes = places[number * columns + place]
            axes.set_axis_on()
            axes.imshow(thinned(picture), interpolation="none")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color(GREY)
            axes.set_xlabel(caption, fontsize=9)
            if place == 0 and name:
                axes.set_title(name, fontsize=10, pad=4)
    headline(drawn, title)
    return drawn
