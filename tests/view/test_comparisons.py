import pytest

from helpers.view.comparisons import Lead, Residual, against, leads, residuals, stacked_bars
from helpers.view.style import svg


def test_leads_point_away_from_one_and_losses_are_hatched():
    drawn = leads(
        {"GPU": [Lead(label="V100", value=1.4)], "CPU": [Lead(label="here", value=0.5, low=0.4, high=0.6)]},
        title="t",
        unit="ratio",
        better="ours",
        worse="theirs",
    )
    (axes,) = drawn.axes
    win, loss = axes.patches
    assert (win.get_x(), win.get_width()) == (1, pytest.approx(0.4))
    assert (loss.get_x(), loss.get_width()) == (1, pytest.approx(-0.5))
    assert (win.get_hatch(), loss.get_hatch()) == ("", "///")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["GPU", "V100", "CPU", "here"]
    assert {"1.40", "0.50", "ours →", "← theirs"} <= {text.get_text() for text in axes.texts}
    svg(drawn, alt="a")


def test_a_forecast_that_missed_is_a_cross():
    rows = [
        Residual(label="M0", error=2.5, low=-9, high=18),
        Residual(label="M1", error=-4.6, low=-5.3, high=-3.9),
    ]
    (axes,) = residuals({"NPU1": rows}, title="t", unit="%").axes
    markers = [line.get_marker() for line in axes.lines if line.get_marker() != "None"]
    assert markers == ["o", "X"]
    assert axes.get_ylim()[1] >= 18


def test_parts_lie_end_to_end_and_the_sum_is_written():
    (axes,) = stacked_bars({"M5": {"convolution": 6.0, "rest": 1.5}}, title="t", unit="ms").axes
    first, second = axes.patches
    assert first.get_width() == second.get_x() == 6.0
    assert [text.get_text() for text in axes.texts] == ["7.50"]


def test_the_named_points_are_told_apart_and_the_line_spans_all():
    drawn = against(
        [(0, 1), (2, 5)], {"cat": (2, 5), "dog": (0, 1)}, title="t", x_unit="float", y_unit="INT8"
    )
    (axes,) = drawn.axes
    equal, cloud, cat, dog = axes.lines
    assert list(equal.get_xdata()) == [0, 5]
    assert cloud.get_rasterized()
    assert cat.get_marker() != dog.get_marker()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["both equal", "cat", "dog"]
