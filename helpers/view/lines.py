"""Lines and points over axes: curves in panels, a roofline, scatter plots, points with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from helpers.view.style import (
    CYCLE,
    GREY,
    INK,
    LINES,
    MARKERS,
    MEASURED,
    MISSED,
    PALE,
    dot_look,
    figure,
    label,
    suptitle,
)

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot: named curves of (x, y). `ticks` are the x-values to print, all equally far apart."""

    title: str
    curves: Mapping[str, Points]
    xlabel: str
    ticks: Sequence[float] | None = None


def curves(panels: Sequence[Panel], *, title: str, ylabel: str, y_from_zero: bool = False) -> Figure:
    """Panels with one y-axis in common; a name has the same look in each, and one legend serves all."""
    drawn, plots = figure(columns=len(panels))
    drawn.set_layout_engine("constrained", wspace=0.06)
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    for axes, panel in zip(plots, panels, strict=True):
        for name, points in panel.curves.items():
            look = names.index(name)
            x, y = zip(*points, strict=True)
            if panel.ticks is not None:
                x = tuple(panel.ticks.index(value) for value in x)
            axes.plot(x, y, linestyle=LINES[look], label=name, **dot_look(look))
        if panel.ticks is not None:
            axes.set_xticks(range(len(panel.ticks)), [f"{value:g}" for value in panel.ticks])
        axes.set_title(panel.title, fontsize=11)
        axes.set_xlabel(panel.xlabel)
        axes.grid(True)
    low = 0 if y_from_zero else min(axes.get_ylim()[0] for axes in plots)
    high = max(axes.get_ylim()[1] for axes in plots)
    for axes in plots:
        axes.set_ylim(low, high)
        axes.tick_params(labelleft=axes is plots[0])
    plots[0].set_ylabel(ylabel)
    suptitle(drawn, title)
    if len(names) > 1:
        _legend(drawn, columns=min(4, len(names)))
    return drawn


def roofline(
    panels: Mapping[str, Mapping[str, tuple[float, float]]], *, peak: float, bandwidth: float, title: str
) -> Figure:
    """One point per kind, `panels[panel][kind]` in (operations per byte, Gop/s), under one machine's roof.

    `peak` is a matrix product's rate in Gop/s, `bandwidth` a copy's in GB/s; they meet at the ridge.
    """
    drawn, plots = figure(height=4.4, columns=len(panels))
    ridge = peak / bandwidth
    x, y = zip(*(point for row in panels.values() for point in row.values()), strict=True)
    left, right = 0.4 * min(ridge, *x), 4 * max(ridge, *x)
    bottom, top = 0.4 * min(y), 4 * max(peak, *y)
    kinds = list(dict.fromkeys(kind for row in panels.values() for kind in row))
    for axes, (name, row) in zip(plots, panels.items(), strict=True):
        axes.loglog([left, ridge, right], [left * bandwidth, peak, peak], color=INK, linewidth=1.6)
        axes.plot([ridge, ridge], [bottom, peak], color=GREY, linestyle=":")
        for kind, point in row.items():
            axes.plot(*point, markersize=7, linestyle="none", label=kind, **dot_look(kinds.index(kind)))
        axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="operations per byte (log)")
        axes.set_title(name, fontsize=11)
        axes.grid(True)
        axes.tick_params(labelleft=axes is plots[0])
    first = plots[0]
    label(first, f"copy, {bandwidth:.0f} GB/s", (0.6 * ridge, 0.6 * peak), dx=-4, dy=3)
    label(first, f"product, {peak:.0f} Gop/s", (right, peak), dx=-3, dy=5)
    label(first, f"ridge, {ridge:.1f}", (ridge, bottom), dx=4, dy=5, color=GREY)
    first.set_ylabel("rate reached, Gop/s (log)")
    suptitle(drawn, title)
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
    drawn, (axes,) = figure(height=4.2)
    for place, (name, points) in enumerate(series.items()):
        x, y, _ = zip(*points, strict=True)
        axes.plot(x, y, markersize=8, label=name, **dot_look(place))
        for left, up, text in points:
            label(
                axes, text, (left, up), dy=-18 if place else 9
            )  # the second hangs below, clear of the first
    _describe(axes, title=title, xlabel=xlabel, ylabel=ylabel)
    axes.margins(0.1)
    if from_zero:
        axes.set(xlim=(0, None), ylim=(0, None))
    axes.legend()
    return drawn


def log_scatter(points: Mapping[str, Points], *, title: str, xlabel: str, ylabel: str) -> Figure:
    """Points (x, y) per kind, y on a logarithmic scale."""
    drawn, (axes,) = figure(height=4.2)
    for place, (name, marks) in enumerate(points.items()):
        axes.plot(*zip(*marks, strict=True), linestyle="none", label=name, **dot_look(place))
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    _describe(axes, title=title, xlabel=xlabel, ylabel=ylabel)
    axes.grid(False, axis="x")
    drawn.legend(loc="outside lower center", ncols=len(points), fontsize=9)
    return drawn


def parity_plot(
    points: Points, marked: Mapping[str, tuple[float, float]], *, title: str, xlabel: str, ylabel: str
) -> Figure:
    """Many points around the line where both are equal, a few of them named."""
    drawn, (axes,) = figure(5.2, 4.4)
    x, y = zip(*points, strict=True)
    ends = (min(x + y), max(x + y))
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle="--", label="both equal")
    axes.plot(x, y, ".", markersize=5, color=MEASURED, markeredgewidth=0, alpha=0.5, rasterized=True)
    for place, (name, point) in enumerate(marked.items()):
        axes.plot(*point, linestyle="none", markersize=8, label=name, **dot_look(place))
    _describe(axes, title=title, xlabel=xlabel, ylabel=ylabel)
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
    bars.fill_between(middles, counts, step="mid", color=PALE, edgecolor=GREY, linewidth=0.5, rasterized=True)
    bars.set(title=title, yscale="log", ylim=(0.7, None), ylabel="values seen")
    for place, (low, high) in enumerate(ranges.values()):
        stretches.plot([low, high], [place, place], color=CYCLE[place], linewidth=5, solid_capstyle="butt")
        stretches.plot([low, high], [place, place], "|", markersize=10, markeredgewidth=1)
        label(stretches, f"{low:.2f} to {high:.2f}", (high, place), dx=6)
    stretches.set_yticks(range(len(ranges)), list(ranges))
    stretches.set_ylim(len(ranges) - 0.4, -0.6)
    stretches.set_xlabel(xlabel)
    left, right = min(*middles, *(low for low, _ in ranges.values())), max(middles)
    for axes in (bars, stretches):
        axes.set_xlim(left, right + 0.18 * (right - left))
    return drawn


def intervals(shares: Mapping[str, tuple[float, float, float]], *, title: str, xlabel: str) -> Figure:
    """A dot per name with its interval: (value, low, high)."""
    drawn, (axes,) = figure(height=1.1 + 0.4 * len(shares))
    for place, (share, low, high) in enumerate(shares.values()):
        axes.plot([low, high], [place, place], color=GREY, linewidth=2)
        axes.plot(share, place, marker=MARKERS[place], markersize=9, color=MEASURED)
        label(axes, f"{share:.2f}", (high, place), dx=6)
    axes.set_yticks(range(len(shares)), list(shares))
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.margins(x=0.15)
    axes.set(title=title, xlabel=xlabel)
    axes.grid(True, axis="x")
    return drawn


@dataclass(frozen=True, kw_only=True)
class Residual:
    """A forecast against what was measured, all in percent of the measured value, which is 0."""

    label: str
    error: float
    low: float
    high: float


def residuals(panels: Mapping[str, Sequence[Residual]], *, title: str, ylabel: str) -> Figure:
    """One panel per name: each forecast a point with its interval; those that miss zero have a cross."""
    drawn, plots = figure(height=3.6, columns=len(panels))
    reach = 1.1 * max(abs(end) for rows in panels.values() for row in rows for end in (row.low, row.high))
    for index, (axes, (name, rows)) in enumerate(zip(plots, panels.items(), strict=True)):
        for place, row in enumerate(rows):
            look = dot_look(index) | {"markersize": 8} if row.low <= 0 <= row.high else MISSED
            axes.plot([place, place], [row.low, row.high], color=GREY, linewidth=5, solid_capstyle="butt")
            axes.plot(place, row.error, **look)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            label(axes, f"{row.error:+.1f}", (place, row.error), dx=7, bbox=box)
        axes.axhline(0, color=INK, linewidth=1)
        axes.set_xticks(range(len(rows)), [row.label for row in rows])
        axes.set(xlim=(-0.5, len(rows) - 0.2), ylim=(-reach, reach))
        axes.set_title(name, fontsize=11)
        axes.grid(True, axis="y")
        axes.tick_params(labelleft=index == 0)
    plots[0].set_ylabel(ylabel)
    suptitle(drawn, title)
    return drawn


def _describe(axes: Axes, *, title: str, xlabel: str, ylabel: str) -> None:
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.grid(True)


def _legend(drawn: Figure, *, columns: int) -> None:
    """One legend below for all panels, in the order in which the names first appear."""
    known: dict[str, Any] = {}
    for axes in drawn.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            known.setdefault(name, handle)
    drawn.legend(known.values(), known.keys(), loc="outside lower center", ncols=columns)
