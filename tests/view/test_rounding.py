"""Figures of chapter 06: what is drawn is what was given."""

from helpers.view.rounding import losses_along, ranges_over_histogram, shares_with_intervals


def test_each_range_is_a_stretch_at_its_place():
    drawn = ranges_over_histogram([0, 1, 2], [9, 3, 1], {"A": (0, 2), "B": (0, 1)}, title="t", unit="u")
    stretches = drawn.axes[1]
    assert [list(line.get_xdata()) for line in stretches.lines[::2]] == [[0, 2], [0, 1]]
    assert [text.get_text() for text in stretches.texts] == ["0.00 to 2.00", "0.00 to 1.00"]
    assert drawn.axes[0].get_xlim() == stretches.get_xlim()


def test_losses_keep_their_kind_and_place():
    drawn = losses_along(
        {"Add": [(0, 1e-3), (4, 1e-2)], "Conv": [(1, 1e-4)]}, title="t", x_unit="x", y_unit="y"
    )
    (axes,) = drawn.axes
    assert [line.get_label() for line in axes.lines] == ["Add", "Conv"]
    assert list(axes.lines[0].get_ydata()) == [1e-3, 1e-2]
    assert axes.get_yscale() == "log"


def test_a_share_stands_within_its_interval():
    drawn = shares_with_intervals(
        {"float": (97.2, 96.4, 97.8), "INT8": (97.0, 96.2, 97.7)}, title="t", unit="%"
    )
    (axes,) = drawn.axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[96.4, 97.8], [97.2], [96.2, 97.7], [97.0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["float", "INT8"]
