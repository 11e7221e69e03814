"""Every plot is drawn whole, and what carries its meaning: order, hatches, common scales, numbers."""

from functools import cache
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from helpers.view.attention_maps import attention_grid
from helpers.view.bars import barh, grouped_bars, signed_bars, speedup_bars, stacked_barh
from helpers.view.diagrams import Step, cascade, residual_chain, subgraphs
from helpers.view.images import SHADES, contact_sheet, heatmaps
from helpers.view.journey import journey
from helpers.view.lines import (
    Panel,
    curves,
    histogram_with_ranges,
    intervals,
    labelled_lines,
    log_scatter,
    parity_plot,
    residuals,
    roofline,
)
from helpers.view.style import Interval, svg

TITLE = "The layers that a rehearsal changes most, in a rather long title"
XY = {"xlabel": "work per image, million MACs", "ylabel": "time per image, µs"}
TABLE = {f"a rather long name of a layer {row}": {"NPU1": 4219.0 - row, "NPU3": 6714.0} for row in range(4)}
PHOTO = np.full((224, 224, 3), 120, dtype=np.uint8)
STEPS = [Step("a 3 × 3 conv\nof its own", "mixes\nneighbours", 0), Step("FFN", "channels", 1)]
HEAD = [("Conv", ()), ("Split", (0,)), ("Reshape", (1,)), ("Reshape", (1,)), ("MatMul", (2, 3))]
SPEEDUPS = {"GPU": {"V100": Interval(1.4, 1.4, 1.4)}, "CPU": {"here": Interval(0.25, 0.2, 0.3)}}
RESIDUALS = {"NPU1": {"M0": Interval(2.5, -9, 18), "M1": Interval(-4.6, -5.3, -3.9)}}
ROOF = {"DeiT": {"linear": (60.0, 90.0)}, "M5": {"linear": (40.0, 80.0), "depth-wise": (2.0, 4.0)}}
PLOTS = {
    "grouped_bars": lambda: grouped_bars(
        {f"M{i}": {"fps": 6714.0} for i in range(6)}, title=TITLE, ylabel="fps"
    ),
    "barh": lambda: barh(TABLE, title=TITLE, xlabel="images/s"),
    "stacked_barh": lambda: stacked_barh(TABLE, title=TITLE, xlabel="ms"),
    "stacked_barh, percent": lambda: stacked_barh(TABLE, title=TITLE, xlabel="% of all", percent=True),
    "signed_bars": lambda: signed_bars({"no cascade": {"top-1": -1.5, "speed, %": 31.0}}, title=TITLE),
    "speedup_bars": lambda: speedup_bars(
        SPEEDUPS, title=TITLE, xlabel="ratio", better="ours", worse="theirs"
    ),
    "curves": lambda: curves(
        [Panel(title="p", curves={"a": [(0, 1), (9, 1e4)]}, xlabel="x")], title="t", ylabel="y"
    ),
    "roofline": lambda: roofline(ROOF, peak=120, bandwidth=12, title=TITLE),
    "labelled_lines": lambda: labelled_lines({"NPU1": [(1, 2, "M0"), (3, 4, "M5")]}, title=TITLE, **XY),
    "log_scatter": lambda: log_scatter(
        {"Add": [(0, 1e-3), (4, 1e-2)], "Conv": [(1, 1e-4)]}, title=TITLE, **XY
    ),
    "parity_plot": lambda: parity_plot([(0, 1), (2, 5)], {"cat": (2, 5)}, title="t", **XY),
    "ranges": lambda: histogram_with_ranges(
        [0, 1, 2], [9, 3, 1], {"MinMax": (0, 2)}, title=TITLE, xlabel="value"
    ),
    "intervals": lambda: intervals({"float": (97.2, 96.4, 97.8)}, title=TITLE, xlabel="accuracy, %"),
    "residuals": lambda: residuals(RESIDUALS, title=TITLE, ylabel="% off"),
    "contact_sheet": lambda: contact_sheet(
        {"two": [(PHOTO, "a"), (PHOTO, "b")], "one": [(PHOTO, "c")]}, title=TITLE
    ),
    "heatmaps": lambda: heatmaps({"a": np.eye(3), "b": 2 * np.eye(3)}, title=TITLE, number="{:.0f}", **XY),
    "attention_grid": lambda: attention_grid(
        PHOTO, {"stage 1": np.ones((2, 7, 7, 7, 7))}, point=(9, 9), title=TITLE
    ),
    "residual_chain": lambda: residual_chain(
        [*STEPS, *STEPS, STEPS[0]], [("before", 2), ("after", 3)], title=TITLE
    ),
    "cascade": lambda: cascade(width=384, heads=4, key_dim=16, kernels=(7, 5, 3, 3), title=TITLE),
    "subgraphs": lambda: subgraphs({"before": HEAD, "after": HEAD[:2]}, title=TITLE),
    "journey": lambda: journey("07"),
}


@cache
def plot(name: str) -> Figure:
    return PLOTS[name]()


@pytest.mark.parametrize("name", PLOTS)
def test_nothing_is_cut_off_and_the_words_for_it_are_inside(name: str) -> None:
    drawn = plot(name)
    assert "<title>what is to be seen</title>" in svg(drawn, alt="what is to be seen")
    page, used = drawn.bbox_inches, drawn.get_tightbbox()
    assert used.x0 >= -0.01 and used.x1 <= page.x1 + 0.01 and used.y0 >= -0.01 and used.y1 <= page.y1 + 0.01


def collisions(drawn: Figure) -> list[tuple[str, str]]:
    drawn.canvas.draw()
    texts = [text for text in drawn.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    return [(a, b) for (a, at), (b, bt) in combinations(boxes, 2) if at.overlaps(bt)]


@pytest.mark.parametrize("name", ["residual_chain", "cascade", "subgraphs", "journey"])
def test_words_of_a_diagram_do_not_meet(name: str) -> None:
    assert not collisions(plot(name))


def test_words_that_meet_are_noticed() -> None:
    step = Step("FFN", "mixes everything with everything else", 0)
    assert collisions(residual_chain([step] * 5, [("all", 5)], title="t"))


def written(drawn: Figure) -> list[str]:
    return [text.get_text() for axes in drawn.axes for text in axes.texts]


def test_bars_carry_their_values_and_the_first_lying_one_is_on_top() -> None:
    drawn = barh({"Conv": {"before": 3000}, "Relu": {"before": 1}}, title="t", xlabel="nodes")
    drawn.canvas.draw()
    top, bottom = drawn.axes[0].patches
    assert top.get_width() == 3000 and top.get_window_extent().y0 > bottom.get_window_extent().y1
    assert written(drawn) == ["3,000", "1"]


def test_parts_lie_end_to_end_with_their_sum_or_their_shares() -> None:
    table = {"M0": {"FFN": 60.0, "head": 1.0, "stem": 19.0}}
    summed = stacked_barh(table, title="t", xlabel="ms")
    assert [(bar.get_x(), bar.get_width()) for bar in summed.axes[0].patches] == [(0, 60), (60, 1), (61, 19)]
    assert written(summed) == ["80.00"]
    shares = stacked_barh(table, title="t", xlabel="%", percent=True)
    assert sum(bar.get_width() for bar in shares.axes[0].patches) == pytest.approx(100)
    assert written(shares) == ["75", "", "24"]


def test_gains_and_losses_differ_without_colour_and_alike_in_both_plots() -> None:
    loss, gain = (axes.patches[0] for axes in plot("signed_bars").axes)
    faster, slower = plot("speedup_bars").axes[0].patches
    assert gain.get_hatch() == faster.get_hatch() != loss.get_hatch() == slower.get_hatch()
    assert gain.get_facecolor() == faster.get_facecolor() != loss.get_facecolor() == slower.get_facecolor()
    assert (slower.get_x(), slower.get_width()) == (1, -0.75), "from 1 to the ratio"


def test_a_forecast_that_missed_is_a_cross() -> None:
    (axes,) = plot("residuals").axes
    assert [line.get_marker() for line in axes.lines if line.get_marker() != "None"] == ["o", "X"]


def test_panels_share_their_scale_and_a_name_looks_the_same_in_each() -> None:
    left = Panel(title="", curves={"fast": [(0, 10), (1, 20)], "slow": [(0, 15), (1, 5)]}, xlabel="x")
    right = Panel(title="", curves={"slow": [(4, 70), (64, 90)]}, xlabel="x", ticks=[4, 16, 64])
    drawn = curves([left, right], title="t", ylabel="y", y_from_zero=True)
    assert drawn.axes[0].get_ylim() == drawn.axes[1].get_ylim()
    assert drawn.axes[0].get_ylim()[0] == 0 and drawn.axes[0].get_ylim()[1] >= 90
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["fast", "slow"]
    slow, same = (axes.lines[-1] for axes in drawn.axes)
    assert (slow.get_color(), slow.get_marker()) == (same.get_color(), same.get_marker())
    assert list(same.get_xdata()) == [0, 2], "ticks stand equally far apart"


def test_the_roof_bends_where_copy_and_product_meet() -> None:
    for axes, row in zip(plot("roofline").axes, ROOF.values(), strict=True):
        roof, _, *points = axes.lines
        assert roof.get_xdata()[1] == pytest.approx(10) and list(roof.get_ydata())[1:] == [120, 120]
        assert [(point.get_xdata()[0], point.get_ydata()[0]) for point in points] == list(row.values())


def test_each_range_is_a_stretch_under_the_same_axis_as_the_histogram() -> None:
    bars, stretches = plot("ranges").axes
    assert list(stretches.lines[0].get_xdata()) == [0, 2]
    assert bars.get_xlim() == stretches.get_xlim()


def test_matrices_share_one_scale_and_darker_means_more_in_grey_too() -> None:
    assert [axes.images[0].get_clim() for axes in plot("heatmaps").axes] == [(0, 2), (0, 2)]
    grey = [np.dot(to_rgb(SHADES(value)), (0.299, 0.587, 0.114)) for value in np.linspace(0, 1, 9)]
    assert all(a > b for a, b in pairwise(grey))
    (axes,) = heatmaps({"": np.array([[0.5, 0], [0, 1]])}, title="t", number="{:.1f}", **XY).axes
    assert {text.get_position(): text.get_text() for text in axes.texts}[(1, 1)] == "0.5"


def test_pictures_are_kept_small_and_in_reading_order() -> None:
    shown = [axes for axes in plot("contact_sheet").axes if axes.images]
    assert [axes.get_xlabel() for axes in shown] == ["a", "b", "c"]
    assert shown[0].images[0].get_array().shape[:2] == (112, 112)


def test_every_operator_stands_below_what_it_reads_and_twins_side_by_side() -> None:
    boxes = [patch for patch in plot("subgraphs").axes[0].patches if isinstance(patch, Rectangle)][:5]
    tops = [box.get_y() for box in boxes]
    assert tops[0] < tops[1] < tops[2] == tops[3] < tops[4]
    assert boxes[2].get_x() + boxes[2].get_width() < boxes[3].get_x()
