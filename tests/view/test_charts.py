"""Bars: what a reader must be able to read."""

from helpers.view import charts


def test_a_long_title_over_long_names_stays_on_the_page():
    names = {f"a rather long name of a layer {index}": {"x": 1.0} for index in range(3)}
    drawn = charts.lying_bars(
        names, title="The layers that a rehearsal changes most, in a long title", unit="u"
    )
    drawn.draw_without_rendering()
    box = drawn._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= drawn.bbox.x1
