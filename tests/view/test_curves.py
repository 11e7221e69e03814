import pytest

from helpers.view.curves import Panel, curves, roofline


def test_panels_share_their_scale_and_one_legend():
    left = Panel(title="Swin", curves={"fast": [(0, 10), (1, 20)], "slow": [(0, 15), (1, 5)]}, x_unit="x")
    right = Panel(title="DeiT", curves={"slow": [(0, 70), (1, 90)]}, x_unit="x")
    drawn = curves([left, right], title="t", y_unit="top-1, %", y_from_zero=True)
    assert drawn.axes[0].get_ylim() == drawn.axes[1].get_ylim()
    assert drawn.axes[0].get_ylim()[0] == 0
    assert drawn.axes[1].get_ylim()[1] >= 90
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == ["fast", "slow"]
    same = [axes.get_lines()[-1].get_color() for axes in drawn.axes]
    assert same[0] == same[1]  # "slow" looks the same in both


def test_uneven_values_can_stand_equally_far_apart():
    panel = Panel(title="Q and K", curves={"m": [(4, 1.0), (64, 2.0)]}, x_unit="channels", ticks=[4, 16, 64])
    drawn = curves([panel], title="t", y_unit="y")
    (axes,) = drawn.axes
    assert list(axes.get_lines()[0].get_xdata()) == [0, 2]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4", "16", "64"]
    assert not drawn.legends


def test_the_roof_bends_where_copy_and_product_meet():
    panels = {"DeiT-T": {"linear": (60.0, 90.0)}, "M5": {"linear": (40.0, 80.0), "depth-wise": (2.0, 4.0)}}
    drawn = roofline(panels, peak=120, bandwidth=12, title="t")
    for axes, row in zip(drawn.axes, panels.values(), strict=True):
        roof, _, *points = axes.get_lines()
        assert list(roof.get_xdata())[1] == pytest.approx(10)
        assert list(roof.get_ydata())[1:] == [120, 120]
        assert [(point.get_xdata()[0], point.get_ydata()[0]) for point in points] == list(row.values())
        assert axes.get_xscale() == axes.get_yscale() == "log"
        assert axes.get_xlim()[0] < 2 and axes.get_ylim()[0] < 4
    texts = {text.get_text() for text in drawn.axes[0].texts}
    assert texts == {"ridge, 10.0", "copy, 12 GB/s", "product, 120 Gop/s"}
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["linear", "depth-wise"]
