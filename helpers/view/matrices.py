"""Small matrices side by side, as shaded squares, from plain arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from helpers.view.style import BLUE, GREY, INK, figure, headline

SHADES = LinearSegmentedColormap.from_list("shades", ["white", BLUE])  # lightness falls with the value


def matrices(
    named: Mapping[str, NDArray[np.floating]],
    *,
    title: str,
    y_unit: str,
    x_unit: str,
    number: str | None = None,
    names: Sequence[str] | None = None,
    height: float = 2.2,
) -> Figure:
    """One square per matrix [rows, columns], darker for larger, all on one scale from 0; row 1 is on top.

    `number` formats the value written into every cell; None leaves the cells empty. `names` are
    written at the rows and columns, which else are counted from 1.
    """
    drawn, panels = figure(7.5, height, columns=len(named))
    largest = max(float(values.max()) for values in named.values())
    for place, (axes, (name, values)) in enumerate(zip(panels, named.items(), strict=True)):
        rows, columns = values.shape
        extent = (0.5, columns + 0.5, rows + 0.5, 0.5)
        axes.imshow(values, cmap=SHADES, vmin=0, vmax=largest, extent=extent, interpolation="nearest")
        axes.set_title(name, fontsize=10, loc="center", pad=6)
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(GREY)
        axes.set_xticks([1, columns] if number is None else range(1, columns + 1))
        axes.set_yticks([1, rows] if number is None else range(1, rows + 1))
        if names is not None:
            axes.set_xticks(range(1, columns + 1), names, rotation=45, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(1, rows + 1), names)
        axes.tick_params(labelsize=9, labelleft=place == 0)
        if place == 0:
            axes.set_ylabel(y_unit, fontsize=10)
        if number is not None:
            for (row, column), value in np.ndenumerate(values):
                axes.text(
                    column + 1,
                    row + 1,
                    number.format(value),
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if value > 0.6 * largest else INK,
                )
    drawn.supxlabel(x_unit, fontsize=10)
    headline(drawn, title)
    return drawn
