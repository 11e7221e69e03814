import pytest

from helpers.view.shares import changes, stacked_shares


def test_every_whole_is_a_hundred_percent_and_small_parts_stay_unlabelled():
    drawn = stacked_shares({"M0": {"FFN": 60, "head": 1, "stem": 19}}, title="t", unit="% of the MACs")
    (axes,) = drawn.axes
    bars = axes.patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(100)
    assert bars[2].get_x() == pytest.approx(100 * 61 / 80)
    assert [text.get_text() for text in axes.texts] == ["75", "", "24"]
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["FFN", "head", "stem"]


def test_losses_and_gains_look_different_without_colour():
    drawn = changes({"no cascade": {"top-1": -1.5, "speed, %": 3.1}}, title="t")
    loss, gain = (axes.patches[0] for axes in drawn.axes)
    assert (loss.get_width(), gain.get_width()) == (-1.5, 3.1)
    assert loss.get_hatch() != gain.get_hatch()
    assert [axes.texts[0].get_text() for axes in drawn.axes] == ["-1.5", "+3.1"]
    assert [label.get_text() for label in drawn.axes[1].get_yticklabels()] == [""]
