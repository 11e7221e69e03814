"""Every plot is drawn whole, and what carries its meaning: order, looks, common scales, numbers."""

from functools import cache
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from helpers.view.attention_maps import attention_grid, cascade_cut, one_head
from helpers.view.bars import barh, speedup_bars, stacked_barh
from helpers.view.diagrams import Kind, cascade, lights, reach, subgraphs, three_ways
from helpers.view.dots import changes, deltas, dot_plot, words
from helpers.view.images import ERRORS, Mark, boxes, confusion_matrix, contact_sheet
from helpers.view.journey import journey
from helpers.view.lines import Panel, along, curves, histogram_with_ranges, roofline, scatter, spread
from helpers.view.network import SHADES, STEM, Layer, reallocation, to_scale
from helpers.view.style import RED, ROLES, Interval, svg

TITLE = "The layers that a rehearsal changes most, in a rather long title"
XY = {"xlabel": "work per image, million MACs", "ylabel": "time per image, µs"}
TABLE = {f"a rather long name of a layer {row}": {"NPU1": 4219.0 - row, "NPU3": 6714.0} for row in range(4)}
PHOTO = np.full((224, 224, 3), 120, dtype=np.uint8)
OWN, ALL, ONE = np.eye(4, dtype=bool), np.ones((4, 4), dtype=bool), np.eye(14, dtype=bool)
KINDS = [
    Kind("MHSA", "each head reads all channels", ALL, False, 32, 32),
    Kind("Groups", "each head reads its own share", OWN, False, 32, 32),
    Kind("CGA", "own share + the head before it", OWN, True, 16, 32),
]
HEAD = [("Conv", ()), ("Split", (0,)), ("Reshape", (1,)), ("Reshape", (1,)), ("MatMul", (2, 3))]
SPEEDUPS = {"GPU": {"V100": Interval(1.4, 1.4, 1.4)}, "CPU": {"here": Interval(0.25, 0.2, 0.3)}}
CONFUSION = np.array([[97, 2, 1], [0, 100, 0], [0, 3, 97]])
DOTS = {
    "CGA → MHSA": {"pocket": Interval(-0.8, -2.9, 1.4), "M4": -1.1},
    "BN → LN": {"pocket": Interval(-14.8, -23, -8)},
}
JUDGED = {"NPU1": {"M0": {"": Interval(2.5, -9, 18)}, "M1": {"": Interval(-4.6, -5.3, -3.9)}}}
ROOF = {"DeiT": {"linear": (60.0, 90.0, 1.0)}, "M5": {"linear": (40.0, 80.0, 0.7), "cut": (2.0, 4.0, 0.3)}}
LAYERS = [
    Layer("stem", 14, 192, {STEM: (30_000, 300_000_000)}),
    Layer("block", 14, 288, {"FFN": (15_000, 60_000_000), STEM: (5_000, 20_000_000)}),
]
OPENED = [Layer("1 × 1", 14, 768, {STEM: (9, 9)}), Layer("3 × 3, stride 2", 7, 288, {"convolution": (9, 9)})]
BEFORE, AFTER = {"Q": 64, "K": 64, "V": 64, "FFN": 768}, {"Q": 16, "K": 16, "V": 64, "FFN": 384}
STRIPS = {"Swin-T": {"Q and K": [50, 6], "V": [100, 48]}, "pocket model": {"Q and K": [27], "V": [84]}}
CHANGES = {
    "speed": {"+1 early": {"NPU1": Interval(-8, -12, -4), "NPU3": Interval(3, 1, 5)}},
    "MACs": {"+1 early": {"522 M": Interval(14, 14, 14)}},
}
PLOTS = {
    "barh": lambda: barh(TABLE, title=TITLE, xlabel="images/s"),
    "stacked_barh": lambda: stacked_barh(TABLE, title=TITLE, xlabel="ms"),
    "stacked_barh, percent": lambda: stacked_barh(TABLE, title=TITLE, xlabel="% of all", percent=True),
    "speedup_bars": lambda: speedup_bars(
        SPEEDUPS, title=TITLE, xlabel="ratio", better="ours", worse="theirs"
    ),
    "curves": lambda: curves(
        [Panel(title="p", curves={"a": [(0, 1), (9, 1e4)]}, xlabel="x")], title="t", ylabel="y"
    ),
    "roofline": lambda: roofline(ROOF, peak=120, bandwidth=12, title=TITLE, roles={"cut": "convolution"}),
    "scatter, joined": lambda: scatter(
        {"NPU1": [(9, 2, "M0"), (7, 4, "M5")], "NPU3": [(20, 2, "M0"), (8, 4, "M5")]},
        joined=True,
        title=TITLE,
        **XY,
    ),
    "scatter, log": lambda: scatter({"Add": [(0, 1e-3, "M0"), (4, 1e-2, "")]}, log=True, title=TITLE, **XY),
    "ranges": lambda: histogram_with_ranges(
        [0, 1, 2], [9, 3, 1], {"MinMax": (0, 2)}, {"MinMax": 1.0}, title=TITLE, cost="noise, %", note=TITLE
    ),
    "spread": lambda: spread({1: [6.9, 18.6], 32: [1.1]}, title=TITLE, **XY),
    "along": lambda: along(
        [
            ("stem", "", 1e-4),
            *[("stage 1", f"block {1 + i // 9}", 0.01 * (1 + i)) for i in range(18)],
            ("head", "", 1e-2),
        ],
        {"softmax": [4]},
        title=TITLE,
        note=TITLE,
        **XY,
    ),
    "deltas, judged": lambda: deltas(JUDGED, judged=True, title=TITLE, xlabel="% off"),
    "contact_sheet": lambda: contact_sheet(
        {"two": [(PHOTO, "a"), (PHOTO, "b")], "one": [(PHOTO, "c")]}, title=TITLE
    ),
    "boxes": lambda: boxes(
        [("two", PHOTO, [Mark((1, 1, 5, 6), "a"), Mark((-2, 0, 3, 9))]), ("none", PHOTO, [])],
        columns=2,
        around=0.2,
        title=TITLE,
        note=TITLE,
    ),
    "confusion_matrix": lambda: confusion_matrix(
        CONFUSION, ["sailboat", "umbrella", "mushroom"], title=TITLE, note="errors are coloured"
    ),
    "changes": lambda: changes([0, 2], {"INT8": [0.1, -1], "swapped": [3, -2]}, title=TITLE, **XY),
    "dot_plot": lambda: dot_plot(DOTS, title=TITLE, xlabel="points", baseline="whole network", note="here"),
    "attention_grid": lambda: attention_grid(
        PHOTO, {"stage 1": np.ones((2, 1, 49, 49))}, point=(9, 9), title=TITLE, note="note"
    ),
    "cascade_cut": lambda: cascade_cut(
        PHOTO, *np.random.default_rng(0).random((2, 4, 1, 16, 16)), point=(9, 9), title=TITLE, note=TITLE
    ),
    "one_head": lambda: one_head(
        *np.ones((2, 2, 4, 4)),
        -np.ones((4, 4, 4)),
        asked=np.ones(2),
        bias=np.eye(4),
        token=(1, 1),
        near=3,
        title=TITLE,
        note=TITLE,
    ),
    "three_ways": lambda: three_ways(KINDS, width=128, title=TITLE, note="note"),
    "reach": lambda: reach(
        {"one": [("input", "", ONE), *5 * [("3 × 3 conv", "convolution", ONE | ONE[::-1])]]},
        window=7,
        title=TITLE,
        note="note",
    ),
    "cascade": lambda: cascade(width=384, heads=4, key_dim=16, kernels=(7, 5, 3, 3), title=TITLE, note=TITLE),
    "subgraphs": lambda: subgraphs({"before": HEAD, "after": HEAD[:2]}, computes={"Conv"}, title=TITLE),
    "to_scale": lambda: to_scale(LAYERS, OPENED, title=TITLE, note="counted"),
    "reallocation": lambda: reallocation(
        {"usual": BEFORE, "EfficientViT": AFTER}, STRIPS, title=TITLE, note="one head"
    ),
    "deltas": lambda: deltas(CHANGES, title=TITLE, note="against M5"),
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
    svg(drawn, alt="placed as in the notebook")
    drawn.canvas.draw()
    texts = [text for text in drawn.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    return [(a, b) for (a, at), (b, bt) in combinations(boxes, 2) if at.overlaps(bt)]


@pytest.mark.parametrize("name", ["three_ways", "reach", "cascade", "subgraphs", "journey"])
def test_words_of_a_diagram_do_not_meet(name: str) -> None:
    assert not collisions(plot(name))


def test_heads_of_a_cascade_hear_all_shares_before_theirs_and_cost_what_the_formula_says() -> None:
    every, groups, cascade = KINDS
    assert every.hears.all() and (groups.hears == OWN).all() and (cascade.hears == np.tril(ALL)).all()
    assert [sum(kind.weights(128)) for kind in KINDS] == [3 * 128**2, 3 * 128 * 32, 128 * (2 * 16 + 32)]


def test_what_a_head_hears_is_drawn_strongly_and_lights_up_when_looked_at() -> None:
    last = set(lights(KINDS)[-1]["parts"])
    drawn = {part.get_gid(): part.get_alpha() for part in plot("three_ways").findobj() if part.get_gid()}
    assert last == {name for name, alpha in drawn.items() if alpha == 1}
    assert set(drawn) == {part for head in lights(KINDS) for part in head["parts"]}
    assert "1, 2 (CGA)" in lights(KINDS)[1]["says"] and "CGA-hand-1" in lights(KINDS)[1]["parts"]


def test_tokens_reached_by_a_step_are_darker_than_those_reached_before() -> None:
    first, second, third, *_ = (image.get_array() for image in plot("reach").axes[0].images)
    assert first.max() == 2 and (second == ONE + 2 * (ONE[::-1] & ~ONE)).all() and third.max() == 1


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
    assert written(summed) == ["60.0", "", "19.0", "80.0", *table["M0"]]
    shares = stacked_barh(table, title="t", xlabel="%", percent=True, number="{:.0f}")
    assert sum(bar.get_width() for bar in shares.axes[0].patches) == pytest.approx(100)
    assert written(shares) == ["75", "", "24", *table["M0"]]
    assert not collisions(shares), "the names make room for each other"


@pytest.mark.parametrize(("other", "share"), [("speed, %", 0.1), ("points", 1)])
def test_changes_in_one_unit_have_one_scale(other: str, share: float) -> None:
    table = {"memory, %": {"no cascade": {"": 30.0}}, other: {"no cascade": {"": -3.0}}}
    drawn = deltas(table, title="t", alone={"points"})
    big, small = (abs(axes.patches[0].get_window_extent().width) for axes in drawn.axes)
    assert small / big == pytest.approx(share, rel=0.01)
    assert written(drawn) == ["+30.0", "\N{MINUS SIGN}3.0"]


def test_a_speed_up_is_a_bar_from_one_and_grey_where_others_published_it() -> None:
    drawn = speedup_bars(SPEEDUPS, title="t", xlabel="", better="", worse="", published={"V100"})
    published, measured = drawn.axes[0].patches
    assert (measured.get_x(), measured.get_width()) == (1, -0.75)
    assert to_hex(published.get_facecolor()).upper() == ROLES["published"]
    assert to_hex(measured.get_facecolor()).upper() == ROLES["measured"]


def test_a_forecast_that_missed_is_red_says_so_and_shows_its_interval() -> None:
    (axes,) = plot("deltas, judged").axes
    held, missed = axes.patches
    assert (missed.get_x(), missed.get_width()) == pytest.approx((-5.3, 1.4))
    assert to_hex(held.get_edgecolor()).upper() != to_hex(missed.get_edgecolor()).upper() == RED
    assert written(plot("deltas, judged")) == ["+2.5", "\N{MINUS SIGN}4.6, missed"]


@pytest.mark.parametrize(
    "order", [("Q/K", "V", "FFN"), ("FFN", "other", "Q/K", "V"), ("NPU3, three cores", "NPU1", "NPU3")]
)
def test_a_role_has_one_colour_in_every_chart(order: tuple[str, ...]) -> None:
    table = {row: dict.fromkeys(order, 3.0) for row in ("a", "b")}
    lines = {name: [(0.0, 1.0), (1.0, 2.0 + place)] for place, name in enumerate(order)}
    drawn = {
        "barh": barh(table, title="t", xlabel="x"),
        "stacked_barh": stacked_barh(table, title="t", xlabel="x"),
        "curves": curves([Panel(title="", curves=lines, xlabel="x")], title="t", ylabel="y"),
        "scatter": scatter({n: [(*at, "") for at in row] for n, row in lines.items()}, title="t", **XY),
        "roofline": roofline(
            {"M5": {name: (1.0, 1.0 + i, 0.3) for i, name in enumerate(order)}},
            peak=9,
            bandwidth=3,
            title="t",
            roles={name: name for name in order},
        ),
    }
    for chart, made in drawn.items():
        found = {name: colours(made.axes[0], name) for name in order if name in ROLES}
        assert found == {name: {ROLES[name]} for name in found}, chart


def colours(axes: Axes, name: str) -> set[str]:
    """Of everything in the axes that has this name."""
    bars = [bar for group in axes.containers if group.get_label() == name for bar in group]
    dots = [one for one in axes.collections if one.get_label() == name]
    lines = [line.get_color() for line in axes.lines if line.get_label() == name]
    faces = [*(bar.get_facecolor() for bar in bars), *(one.get_facecolor()[0][:3] for one in dots)]
    assert faces or lines
    return {to_hex(one).upper() for one in (*faces, *lines)}


def test_a_fit_is_drawn_dashed_on_to_zero_and_says_where_it_ends() -> None:
    points = [(2.0, 30.0, "M0"), (4.0, 50.0, "M5")]
    drawn = scatter({"NPU1": points}, title="t", **XY, fits={"NPU1": (10.0, 10.0)})
    dashed = next(line for line in drawn.axes[0].lines if line.get_linestyle() == "--")
    assert list(zip(*dashed.get_data(), strict=True)) == [(0, 10), (2, 30)]
    assert "10" in written(drawn)


def test_panels_share_their_scale_and_a_name_looks_the_same_in_each() -> None:
    left = Panel(title="", curves={"fast": [(0, 10), (1, 20)], "slow": [(0, 15), (1, 5)]}, xlabel="x")
    right = Panel(title="", curves={"slow": [(4, 70), (64, 90)]}, xlabel="x", ticks=[4, 16, 64])
    drawn = curves([left, right], title="t", ylabel="y", y_from_zero=True)
    assert drawn.axes[0].get_ylim() == drawn.axes[1].get_ylim()
    assert drawn.axes[0].get_ylim()[0] == 0 and drawn.axes[0].get_ylim()[1] >= 90
    assert [[text.get_text() for text in axes.texts] for axes in drawn.axes] == [["fast"], ["slow"]]
    slow, same = (axes.lines[-1] for axes in drawn.axes)
    assert (slow.get_color(), slow.get_marker()) == (same.get_color(), same.get_marker())
    assert list(same.get_xdata()) == [0, 2], "ticks stand equally far apart"


def test_the_roof_bends_where_copy_and_product_meet() -> None:
    (axes,) = plot("roofline").axes
    roof = axes.lines[0]
    assert roof.get_xdata()[1] == pytest.approx(10) and list(roof.get_ydata())[1:] == [120, 120]
    points = [one for one in axes.collections if len(one.get_offsets())]
    assert [tuple(one.get_offsets()[0]) for one in points] == [
        at[:2] for row in ROOF.values() for at in row.values()
    ]
    areas = [one.get_sizes()[0] for one in points]
    assert areas[0] > areas[1] > areas[2], "the share of the time"


def test_each_range_is_a_stretch_under_the_histogram_with_both_ends_inside_and_its_cost_beside() -> None:
    bars, _, stretches, costs = plot("ranges").axes
    assert list(stretches.lines[0].get_xdata()) == [0, 2]
    assert bars.get_xlim() == stretches.get_xlim() and bars.get_xlim()[0] < 0 < 2 < bars.get_xlim()[1]
    assert costs.get_ylim() == stretches.get_ylim() and written(plot("ranges"))[-1] == "1.0"


def test_darker_means_more_in_grey_too() -> None:
    grey = [np.dot(to_rgb(SHADES(value)), (0.299, 0.587, 0.114)) for value in np.linspace(0, 1, 9)]
    assert all(a > b for a, b in pairwise(grey))


def test_a_confusion_matrix_colours_errors_only_and_keeps_zeros_out_of_sight() -> None:
    (axes,) = plot("confusion_matrix").axes
    assert axes.images[0].get_clim() == (0, 3) and not axes.images[0].get_array().diagonal().any()
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert (texts[1, 0], texts[0, 1], texts[0, 0]) == ("2", "·", "97"), "rows are true, columns predicted"
    assert min(ERRORS(1 / 3)[:3]) < 0.8, "one error of three is seen"


def test_dots_of_all_rows_lie_on_one_scale_with_their_intervals_and_numbers() -> None:
    (axes,) = plot("dot_plot").axes
    middles = [tuple(dots.get_offsets()[0]) for dots in axes.collections]
    assert [x for x, _ in middles] == [-0.8, -1.1, -14.8]
    assert [tuple(line.get_xdata()) for line in axes.lines[:3]] == [(-2.9, 1.4), (-1.1, -1.1), (-23, -8)]
    assert [text.get_text() for text in axes.texts[:3]] == ["−0.8", "−1.1", "−14.8"]
    assert words(DOTS).startswith("CGA → MHSA: pocket −0.8 (−2.9 to +1.4), M4 −1.1; BN → LN: pocket −14.8")


def test_changes_have_one_scale_in_all_panels() -> None:
    first, second = plot("changes").axes
    assert first.get_ylim() == second.get_ylim()
    assert second.collections[0].get_offsets().tolist() == [[0, 3], [2, -2]]


def test_pictures_are_kept_small_and_in_reading_order() -> None:
    shown = [axes for axes in plot("contact_sheet").axes if axes.images]
    assert [axes.get_xlabel() for axes in shown] == ["a", "b", "c"]
    assert shown[0].images[0].get_array().shape[:2] == (112, 112)


def test_operators_that_the_next_graph_lacks_are_struck_out() -> None:
    (axes,) = plot("subgraphs").axes
    struck = [line.get_ydata()[0] for line in axes.lines if line.get_linewidth() == 1.5]
    middles = [patch.get_y() + patch.get_height() / 2 for patch in axes.patches][2:5]
    assert struck == pytest.approx(middles), "two Reshape and MatMul"


def test_a_slab_is_as_long_as_its_channels_and_has_a_line_for_each_token() -> None:
    whole, inside, parameters, macs = plot("to_scale").axes
    long = [patch.get_xy()[1][0] - patch.get_xy()[0][0] for patch in whole.patches[::2]]
    assert long[1] / long[0] == pytest.approx(288 / 192)
    assert [box.get_height() for box in inside.patches] == [14, 7]
    for axes, totals in ((parameters, ["30", "20"]), (macs, ["300", "80"])):
        assert [text.get_text() for text in axes.texts] == totals
    assert parameters.get_xlim() == macs.get_xlim() == whole.get_xlim()


def test_what_a_plan_cuts_is_a_hollow_dashed_rest_and_strips_share_one_scale() -> None:
    above, *strips = plot("reallocation").axes
    cut = [bar for bar in above.patches if bar.get_linestyle() == "--"]
    assert [round(bar.get_width()) for bar in cut] == [64, 64, 768]
    assert {axes.images[0].get_clim() for axes in strips} == {(0, 100)}
    assert {text.get_text() for text in above.texts} >= {"Q 16", "V 64", "weights: 50 %"}


def test_changes_share_one_scale_and_a_forecast_is_hollow_on_its_interval() -> None:
    speed, macs = plot("deltas").axes
    assert speed.get_xlim() == macs.get_xlim() and speed.get_xlim()[0] < -12 < 14 < speed.get_xlim()[1]
    forecast, (counted,) = speed.patches[0], macs.patches
    assert (forecast.get_x(), forecast.get_width()) == (-12, 8) and counted.get_width() == 14
    assert to_hex(forecast.get_facecolor()) == "#ffffff" != to_hex(counted.get_facecolor())
    assert list(speed.lines[0].get_xdata()) == [-8, -8]
    assert written(plot("deltas")) == ["\N{MINUS SIGN}8.0", "+3.0", "+14.0"]


def test_a_panel_of_published_curves_is_grey_and_a_name_keeps_its_colour_elsewhere() -> None:
    lines = {"split": [(0, 1), (1, 2)]}
    panels = [Panel(title="", curves=lines, xlabel="", role=role) for role in ("published", "")]
    paper, here = (colours(axes, "split") for axes in curves(panels, title="t", ylabel="y").axes)
    assert paper == {ROLES["published"]} != here
