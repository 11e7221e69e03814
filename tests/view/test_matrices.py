from itertools import pairwise

import numpy as np
from matplotlib.colors import to_rgb

from helpers.view.matrices import SHADES, matrices


def test_cells_carry_their_numbers_where_they_belong() -> None:
    values = np.array([[0.5, 0.0], [0.25, 1.0]])
    drawn = matrices(
        {"with": values, "without": values / 2}, title="t", y_unit="y", x_unit="x", number="{:.2f}"
    )
    cells = {text.get_position(): text.get_text() for text in drawn.axes[0].texts}
    assert cells == {(1, 1): "0.50", (2, 1): "0.00", (1, 2): "0.25", (2, 2): "1.00"}


def test_all_share_one_scale_from_zero() -> None:
    drawn = matrices(
        {"small": np.full((2, 2), 0.1), "large": np.full((2, 2), 3.0)}, title="t", y_unit="", x_unit=""
    )
    assert [axes.images[0].get_clim() for axes in drawn.axes] == [(0, 3), (0, 3)]
    assert not any(axes.texts for axes in drawn.axes)


def test_darker_means_more_in_greyscale_too() -> None:
    grey = [np.dot(to_rgb(SHADES(value)), (0.299, 0.587, 0.114)) for value in np.linspace(0, 1, 9)]
    assert all(a > b for a, b in pairwise(grey))


def test_names_stand_at_rows_and_columns() -> None:
    names = ("cat", "mug")
    (axes,) = matrices({"": np.eye(2)}, title="t", y_unit="y", x_unit="x", names=names).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(names)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(names)
