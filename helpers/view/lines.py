"""Lines and points over axes: curves in panels, a roofline, scatter plots, a network from end to end."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Unpack

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from helpers.view import style
from helpers.view.style import BLUE, GREY, INK, PALE, TINT, Words, figure, label, plain

Points = Sequence[tuple[float, float]]
NEAR = 15  # neighbours on each side, of which a running median is taken


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot: named curves of (x, y), all of `role`. `ticks` are the x-values to print, equally far apart.

    The points at `marked` are rings, with their height; `line` is an x that is compared with, and its name.
    """

    title: str
    curves: Mapping[str, Points]
    xlabel: str
    ticks: Sequence[float] | None = None
    marked: float | None = None
    line: tuple[float, str] | None = None
    role: str = ""


def curves(
    plots: Sequence[Panel],
    *,
    y_from_zero: bool = False,
    level: tuple[float, str] | None = None,
    **words: Unpack[Words],
) -> Figure:
    """Panels with one y-axis in common; a name has the same look in each, and stands at its last line's end.

    Alone, a panel has it at the marked point. `level` is a height that all are compared with, and its name.
    """
    drawn, places = style.panels([plot.title for plot in plots], height=3.8, **words)
    names = list(dict.fromkeys(name for plot in plots for name in plot.curves))
    alone = len(plots) == 1 and plots[0].marked is not None
    ends: dict[str, tuple[Axes, tuple[float, float]]] = {}
    for axes, plot in zip(places, plots, strict=True):
        for name, points in plot.curves.items():
            x, y = zip(*points, strict=True)
            if plot.ticks is not None:
                x = tuple(plot.ticks.index(value) for value in x)
            place = names.index(name)
            look = style.dots(plot.role or name, place) | {"zorder": 3 - place / 10}  # the first on top
            axes.plot(x, y, linestyle=style.LINES[place % 4], label=name, **look)
            ends[name] = axes, (x[-1], y[-1])
            for at, (value, high) in zip(x, points, strict=True):
                if value == plot.marked:
                    axes.plot(at, high, **look, mfc="white", mec=look["color"], mew=2)
                    said = f"{name}: " * alone + f"{high:.1f}"
                    side = ("left" if place else "right") if alone else "center"
                    label(axes, said, (at, high), dx=4 * place, dy=9 - 31 * place, ha=side)
                    axes.margins(y=0.12)
        if plot.ticks is not None:
            axes.set_xticks(range(len(plot.ticks)), [plain(value) for value in plot.ticks])
        axes.set_xlabel(plot.xlabel)
        if plot.line is not None:
            axes.axvline(plot.line[0], color=INK, linewidth=1.2, zorder=0)
            label(axes, plot.line[1], (plot.line[0], 0.03), dx=4, xycoords=axes.get_xaxis_transform())
        if level is not None:
            axes.axhline(level[0], color=INK, linewidth=1.2)
    if y_from_zero:
        places[0].set_ylim(0, 1.06 * max(y for plot in plots for row in plot.curves.values() for _, y in row))
    if level is not None:
        axes = places[len(places) // 2]
        label(axes, level[1], (0.02, level[0]), dx=1, dy=3, xycoords=axes.get_yaxis_transform())
    if len(ends) > 1 and not alone:
        for axes in places:
            _beside(axes, {name: end for name, (own, end) in ends.items() if own is axes}, names)
    return drawn


def roofline(
    kinds: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    peak: float,
    bandwidth: float,
    roles: Mapping[str, str],
    **words: Unpack[Words],
) -> Figure:
    """`kinds[network][kind]`, points (operations per byte, Gop/s, share of the time) under a machine's roof.

    `peak` is a matrix product's rate in Gop/s, `bandwidth` a copy's in GB/s; they meet at the ridge. An area
    is a share of the time, a colour that of the role of the kind; the last network is the subject.
    """
    words |= {"xlabel": "operations per byte moved (log)", "ylabel": "rate reached, Gop/s (log)"}
    drawn, (axes,) = figure(height=4.8, **words)
    ridge = peak / bandwidth
    x, y, _ = zip(*(point for row in kinds.values() for point in row.values()), strict=True)
    left, right, bottom, top = 0.5 * min(ridge, *x), 3 * max(ridge, *x), 0.4 * min(y), 3 * max(peak, *y)
    axes.loglog([left, ridge, right], [left * bandwidth, peak, peak], color=INK, linewidth=1.6)
    axes.plot([ridge, ridge], [bottom, peak], color=GREY, linestyle=":")
    ends: dict[str, tuple[float, float]] = {}
    radii: dict[str, float] = {}
    shapes: list[Artist] = []
    for network, marker in zip(kinds, style.MARKERS, strict=False):
        edge = INK if network == [*kinds][-1] else "none"
        for name, (at, rate, share) in kinds[network].items():
            area = 20 + 500 * share
            look: dict[str, Any] = {"color": style.ROLES.get(roles.get(name, ""), GREY), "edgecolor": edge}
            axes.scatter(at, rate, area, marker=marker, alpha=0.75, zorder=3, label=name, **look)
            alike = [row[name] for row in kinds.values() if name in row]  # right of those about as high
            beyond = 1.3 * rate / bandwidth if at < ridge else 0  # the roof, whose line a name would cut
            ends[name] = max(beyond, *(x for x, y, _ in alike if rate / 1.5 < y < 1.5 * rate)), rate
            radii[name] = area**0.5 / 2
        shapes.append(axes.scatter([], [], color=GREY, edgecolor=edge, marker=marker, label=network))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plain)
    label(axes, f"copy, {bandwidth:.0f} GB/s", (0.25 * ridge, 0.25 * peak), dx=-6, dy=3)
    label(axes, f"matrix product, {peak:.0f} Gop/s", (0.8 * ridge, peak), dx=3, dy=8)
    label(axes, f"ridge, {ridge:.1f}", (ridge, bottom), dx=4, dy=5, color=GREY)
    axes.legend(handles=shapes, loc="lower right")
    several = [*dict.fromkeys(role for role in roles.values() if [*roles.values()].count(role) > 1)]
    for role in several:
        of_role = [at for row in kinds.values() for name, at in row.items() if roles.get(name) == role]
        label(axes, role, min(of_role, key=lambda at: at[1])[:2], dy=-22, color=style.ROLES[role])
    _beside(axes, ends, radii=radii)
    return drawn


def scatter(
    series: Mapping[str, Sequence[tuple[float, float, str]]],
    *,
    joined: bool = False,
    log: bool = False,
    fits: Mapping[str, tuple[float, float]] | None = None,
    **words: Unpack[Words],
) -> Figure:
    """Points (x, y, label) per named series, labelled above or below; y on a logarithmic scale where `log`.

    They are `joined`, falling, or have `fits`, (value at zero, slope) of each: lines, dashed on to zero.
    """
    drawn, (axes,) = figure(height=4.2, **words)
    for place, (name, points) in enumerate(series.items()):
        look = style.dots(name, place)
        x, y, _ = zip(*points, strict=True)
        start, slope = (fits or {}).get(name, (0, 0))
        axes.plot(x, y, linestyle="-" if joined else "none", label=name, markersize=8, **look)
        for *at, text in points:
            below = place or at[1] < start + slope * at[0]  # the second's, and what lies below its line
            aside = {"dx": 9 if place else -9} if joined else {"dy": -18 if below else 9}
            label(axes, text, (at[0], at[1]), **aside)
        if fits:
            for a, b, line in ((0, min(x), "--"), (min(x), max(x), "-")):
                axes.plot([a, b], [start + slope * a, start + slope * b], line, c=look["color"], zorder=1)
            axes.plot(0, start, markersize=8, clip_on=False, **look | {"color": "white"})
            label(axes, f"{start:,.0f}", (0, start), dx=-9, fontweight="bold")
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set(xlim=(-0.1 * max(x), None), ylim=(0, None))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plain)
    if log:
        _logarithmic(axes)
    axes.grid(True, axis="y" if log else "both")
    axes.margins(0.1)
    if fits:
        _beside(axes, {name: max(points)[:2] for name, points in series.items()}, list(series))
    else:
        axes.legend(loc="lower left")
    return drawn


def histogram_with_ranges(
    middles: Sequence[float],
    counts: Sequence[int],
    ranges: Mapping[str, tuple[float, float]],
    costs: Mapping[str, float],
    *,
    cost: str,
    **words: Unpack[Words],
) -> Figure:
    """A histogram with a logarithmic count; below it the stretch that each name keeps, beside it its cost."""
    drawn, _ = figure(height=4.4, rows=0, **words)
    (bars, empty), (kept, beside) = drawn.subplots(2, 2, height_ratios=[1.7, 1], width_ratios=[2.4, 1])
    bars.fill_between(middles, counts, step="mid", color=BLUE, linewidth=0.6, rasterized=True)
    bars.set(yscale="log", ylim=(0.7, None), ylabel="values seen (log)")
    bars.tick_params(labelbottom=False)
    for place, (low, high) in enumerate(ranges.values()):
        kept.plot([low, high], [place, place], "|-", color=INK, lw=2, ms=11, mew=2, mec=INK)
        ends = f"{plain(round(low, 1))} to {plain(round(high, 1))}"
        label(kept, ends, (low, place), dx=4, dy=4, fontsize=9)
    kept.sharex(bars)
    kept.set_xlabel("value")
    bars.margins(x=0.04)
    made = beside.barh(range(len(costs)), list(costs.values()), 0.6, color=BLUE)
    beside.bar_label(made, fmt="{:,.1f}", fontsize=10, padding=3)
    beside.set(title=cost, xmargin=0.25)
    style.lying(kept, list(ranges))
    style.lying(beside, [""] * len(costs))
    style.bare(beside)
    beside.axvline(0, color=INK, linewidth=1)
    empty.set_axis_off()
    return drawn


def spread(draws: Mapping[int, Sequence[float]], **words: Unpack[Words]) -> Figure:
    """Dots over each x, joined from the least to the largest; both axes logarithmic, x by doublings."""
    drawn, (axes,) = figure(**words)
    for x, values in draws.items():
        ends = (min(values), max(values))
        axes.plot([x, x], ends, color=TINT, linewidth=7, solid_capstyle="round")
        axes.plot([x] * len(values), values, "o", color=BLUE)
        label(axes, " to ".join(dict.fromkeys(f"{end:.1f}" for end in ends)), (x, ends[1]), dy=11)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(draws), [plain(x) for x in draws])
    _logarithmic(axes)
    axes.margins(0.1)
    axes.grid(True, axis="y")
    return drawn


def along(
    values: Sequence[tuple[str, str, float]], marked: Mapping[str, Sequence[int]], **words: Unpack[Words]
) -> Figure:
    """A grey dot for each (stage, block, value) in order, with the running median; `marked` ones in colour.

    Stages and their blocks are bands, named above them.
    """
    drawn, (axes,) = figure(height=4.3, **words)
    heights = [value for *_, value in values]
    axes.semilogy(heights, ".", color=GREY, markersize=5, markeredgewidth=0)
    for place, (name, places) in enumerate(marked.items()):
        axes.plot(places, [heights[at] for at in places], "o", color=style.colour(name, place), label=name)
    near = [statistics.median(heights[max(0, at - NEAR) : at + NEAR + 1]) for at in range(len(heights))]
    axes.plot(near, color=INK, linewidth=2, label=f"median of {2 * NEAR + 1} neighbours")
    edge = len(values) - 0.5
    axes.set_xlim(-0.5, edge)
    looks: tuple[dict[str, Any], ...] = ({"fontweight": "bold", "dy": 17}, {"fontsize": 9, "dy": 4})
    for depth, look in enumerate(looks):
        start = -0.5
        for index, (names, inside) in enumerate(groupby(values, key=lambda value: value[: depth + 1])):
            end = start + len(list(inside))
            axes.axvline(start, color=PALE, linewidth=0.8, zorder=0)
            if not depth and index % 2:
                axes.axvspan(start, end, color=PALE, alpha=0.45, linewidth=0, zorder=0)
            # the outer ones are narrow: their names go outwards
            at, dx = (end, -0.1) if start < 0 else (start, 0.1) if end == edge else ((start + end) / 2, 0)
            label(axes, str(names[-1]), (at, 1), dx=dx, xycoords=axes.get_xaxis_transform(), **look)
            start = end
    axes.legend(loc="lower right")
    return drawn


def _logarithmic(axes: Axes) -> None:
    """A y-axis with the ticks 1, 2, 5, 10."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(NullFormatter())


def _beside(
    axes: Axes,
    ends: Mapping[str, tuple[float, float]],
    names: Sequence[str] = (),
    radii: Mapping[str, float] | None = None,
) -> None:
    """Each name to the right of its point, as high, or as little lower as the others let it.

    It has the colour of its place among the `names`; `radii` are of the points, in typographic points.
    """
    drawn = axes.get_figure(root=True)
    assert drawn is not None
    drawn.draw_without_rendering()  # the layout stands, so heights are known
    depths = [-axes.transData.transform(end)[1] for end in ends.values()]
    gaps = [(1 + name.count("\n")) * 13 * drawn.dpi / 72 for name in ends]
    box = axes.get_window_extent()
    placed = style.apart(depths, gaps, low=-box.y1, high=-box.y0)
    for (name, end), depth, wanted in zip(ends.items(), placed, depths, strict=True):
        dx, dy = 5 + (radii or {}).get(name, 4), (wanted - depth) * 72 / drawn.dpi
        colour = style.colour(name, names.index(name)) if name in names else INK
        over = {"facecolor": "white", "edgecolor": "none", "pad": 0}  # over lines, under marks
        label(axes, name, end, dx=dx, dy=dy, va="center", color=colour, bbox=over, zorder=2.5)
