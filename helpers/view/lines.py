"""Lines and points over axes: curves in panels, a roofline, scatter plots, points with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from helpers.view import style
from helpers.view.style import (
    GREY,
    INK,
    MEASURED,
    MISSED,
    Interval,
    dot_look,
    figure,
    headline,
    label,
    lying,
    panels,
)

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot: named curves of (x, y). `ticks` are the x-values to print, all equally far apart."""

    title: str
    curves: Mapping[str, Points]
    xlabel: str
    ticks: Sequence[float] | None = None


def curves(plots: Sequence[Panel], *, title: str, ylabel: str, y_from_zero: bool = False) -> Figure:
    """Panels with one y-axis in common; a name has the same look in each, and one legend serves all."""
    drawn, places = panels([plot.title for plot in plots], height=3.8, title=title, ylabel=ylabel)
    drawn.set_layout_engine("constrained", wspace=0.06)
    names = list(dict.fromkeys(name for plot in plots for name in plot.curves))
    for axes, plot in zip(places, plots, strict=True):
        for name, points in plot.curves.items():
            look = names.index(name)
            x, y = zip(*points, strict=True)
            if plot.ticks is not None:
                x = tuple(plot.ticks.index(value) for value in x)
            axes.plot(x, y, linestyle=style.LINES[look], label=name, **dot_look(look))
        if plot.ticks is not None:
            axes.set_xticks(range(len(plot.ticks)), [f"{value:g}" for value in plot.ticks])
        axes.set_xlabel(plot.xlabel)
    if y_from_zero:
        places[0].set_ylim(0, 1.06 * max(y for plot in plots for row in plot.curves.values() for _, y in row))
    if len(names) > 1:
        _legend(drawn, columns=min(4, len(names)))
    return drawn


def roofline(
    kinds: Mapping[str, Mapping[str, tuple[float, float]]], *, peak: float, bandwidth: float, title: str
) -> Figure:
    """One point per kind, `kinds[panel][kind]` in (operations per byte, Gop/s), under one machine's roof.

    `peak` is a matrix product's rate in Gop/s, `bandwidth` a copy's in GB/s; they meet at the ridge.
    """
    drawn, plots = panels(list(kinds), height=4.4, title=title, ylabel="rate reached, Gop/s (log)")
    ridge = peak / bandwidth
    x, y = zip(*(point for row in kinds.values() for point in row.values()), strict=True)
    left, right = 0.4 * min(ridge, *x), 4 * max(ridge, *x)
    bottom, top = 0.4 * min(y), 4 * max(peak, *y)
    names = list(dict.fromkeys(name for row in kinds.values() for name in row))
    for axes, row in zip(plots, kinds.values(), strict=True):
        axes.loglog([left, ridge, right], [left * bandwidth, peak, peak], color=INK, linewidth=1.6)
        axes.plot([ridge, ridge], [bottom, peak], color=GREY, linestyle=":")
        for name, point in row.items():
            axes.plot(*point, markersize=7, linestyle="none", label=name, **dot_look(names.index(name)))
        axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="operations per byte (log)")
    first = plots[0]
    label(first, f"copy, {bandwidth:.0f} GB/s", (0.6 * ridge, 0.6 * peak), dx=-4, dy=3)
    label(first, f"product, {peak:.0f} Gop/s", (right, peak), dx=-3, dy=5)
    label(first, f"ridge, {ridge:.1f}", (ridge, bottom), dx=4, dy=5, color=GREY)
    _legend(drawn, columns=3)
    return drawn


def labelled_lines(
    series: Mapping[str, Sequence[tuple[float, float, str]]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    from_zero: bool = False,
) -> Figure:
    """Points (x, y, label) per named series, joined in order, labelled above or below."""
    joined = {name: [(x, y) for x, y, _ in points] for name, points in series.items()}
    drawn, axes = _points(joined, title=title, xlabel=xlabel, ylabel=ylabel, linestyle="-", markersize=8)
    for place, points in enumerate(series.values()):
        for x, y, text in points:
            label(axes, text, (x, y), dy=-18 if place else 9)  # the second hangs below, clear of the first
    axes.margins(0.1)
    if from_zero:
        axes.set(xlim=(0, None), ylim=(0, None))
    axes.legend()
    return drawn


def log_scatter(points: Mapping[str, Points], *, title: str, xlabel: str, ylabel: str) -> Figure:
    """Points (x, y) per kind, y on a logarithmic scale."""
    drawn, axes = _points(points, title=title, xlabel=xlabel, ylabel=ylabel)
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(False, axis="x")
    drawn.legend(loc="outside lower center", ncols=len(points), fontsize=9)
    return drawn


def parity_plot(
    points: Points, marked: Mapping[str, tuple[float, float]], *, title: str, xlabel: str, ylabel: str
) -> Figure:
    """Many points around the line where both are equal, a few of them named."""
    named = {name: [point] for name, point in marked.items()}
    drawn, axes = _points(named, title=title, xlabel=xlabel, ylabel=ylabel, markersize=8)
    drawn.set_size_inches(5.2, 4.4)
    x, y = zip(*points, strict=True)
    ends = (min(x + y), max(x + y))
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle="--", zorder=1, label="both equal")
    axes.plot(
        x, y, ".", color=MEASURED, markersize=5, markeredgewidth=0, alpha=0.5, zorder=1, rasterized=True
    )
    axes.legend(fontsize=9)
    return drawn


def histogram_with_ranges(
    middles: Sequence[float],
    counts: Sequence[int],
    ranges: Mapping[str, tuple[float, float]],
    *,
    title: str,
    xlabel: str,
) -> Figure:
    """A histogram with a logarithmic count, and below it the stretch that each named range keeps."""
    drawn, (bars, stretches) = figure(height=4.2, rows=2)
    drawn.set_layout_engine("constrained", hspace=0.02)
    if grid := bars.get_gridspec():
        grid.set_height_ratios([2.2, 1])
    bars.fill_between(
        middles, counts, step="mid", color=style.PALE, edgecolor=GREY, linewidth=0.5, rasterized=True
    )
    headline(drawn, title)
    bars.set(yscale="log", ylim=(0.7, None), ylabel="values seen")
    for place, (low, high) in enumerate(ranges.values()):
        stretches.plot(
            [low, high], [place, place], color=style.CYCLE[place], linewidth=5, solid_capstyle="butt"
        )
        stretches.plot([low, high], [place, place], "|", markersize=10, markeredgewidth=1)
        label(stretches, f"{low:.2f} to {high:.2f}", (high, place), dx=6)
    lying(stretches, list(ranges))
    stretches.set_xlabel(xlabel)
    left, right = min(*middles, *(low for low, _ in ranges.values())), max(middles)
    for axes in (bars, stretches):
        axes.set_xlim(left - 0.02 * (right - left), right + 0.18 * (right - left))
    return drawn


def intervals(shares: Mapping[str, tuple[float, float, float]], *, title: str, xlabel: str) -> Figure:
    """A dot per name with its interval, (value, low, high), and a line at 0 if one reaches below it."""
    drawn, (axes,) = figure(height=1.1 + 0.4 * len(shares))
    for place, (share, low, high) in enumerate(shares.values()):
        axes.plot([low, high], [place, place], color=GREY, linewidth=2)
        axes.plot(share, place, marker=style.MARKERS[place], markersize=9, color=MEASURED)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        end, aside = (low, -6) if high < 0 else (high, 6)  # away from the line at 0
        label(axes, f"{share:.2f}", (end, place), dx=aside, bbox=box)
    if min(low for _, low, _ in shares.values()) < 0:
        axes.axvline(0, color=INK, linewidth=1)
    lying(axes, list(shares))
    axes.margins(x=0.15)
    axes.set_xlabel(xlabel)
    axes.grid(True, axis="x")
    headline(drawn, title)
    return drawn


def residuals(errors: Mapping[str, Mapping[str, Interval]], *, title: str, ylabel: str) -> Figure:
    """Forecasts against what was measured, which is 0: `errors[panel][name]`, in percent of it.

    Each is a point with its interval; those that miss zero have a cross.
    """
    drawn, plots = panels(list(errors), height=3.6, title=title, ylabel=ylabel)
    reach = 1.1 * max(abs(end) for rows in errors.values() for row in rows.values() for end in row)
    for index, (axes, rows) in enumerate(zip(plots, errors.values(), strict=True)):
        for place, (error, low, high) in enumerate(rows.values()):
            look = dot_look(index) | {"markersize": 8} if low <= 0 <= high else MISSED
            axes.plot([place, place], [low, high], color=GREY, linewidth=5, solid_capstyle="butt")
            axes.plot(place, error, **look)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            label(axes, f"{error:+.1f}", (place, error), dx=7, bbox=box)
        axes.axhline(0, color=INK, linewidth=1)
        axes.set_xticks(range(len(rows)), list(rows))
        axes.set(xlim=(-0.5, len(rows) - 0.2), ylim=(-reach, reach))
        axes.grid(False, axis="x")
    return drawn


def _points(
    series: Mapping[str, Points],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    linestyle: str = "none",
    **look: Any,
) -> tuple[Figure, Axes]:
    """Points (x, y) per name on one plane."""
    drawn, (axes,) = figure(height=4.2)
    for place, (name, points) in enumerate(series.items()):
        axes.plot(*zip(*points, strict=True), linestyle=linestyle, label=name, **dot_look(place), **look)
    headline(drawn, title)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(True)
    return drawn, axes


def _legend(drawn: Figure, *, columns: int) -> None:
    """One legend below for all panels, in the order in which the names first appear."""
    known: dict[str, Any] = {}
    for axes in drawn.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            known.setdefault(name, handle)
    drawn.legend(known.values(), known.keys(), loc="outside lower center", ncols=columns)
