"""Dots with intervals, a row for each name and one scale for all: for what has no zero to begin a bar at."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from helpers.view import style
from helpers.view.style import BLUE, GREY, INK, Interval, bar, figure, headline, label, lying, signed

Rows = Mapping[str, Mapping[str, Interval | float]]
"""`rows[name][series]`: a value, or one with its bounds. A row may lack a series."""

LOOKS = ((BLUE, "o"), (GREY, "s"), (GREY, "D"))


def dot_plot(
    rows: Rows,
    *,
    title: str,
    xlabel: str,
    note: str = "",
    baseline: str = "",
    number: Callable[[float], str] = signed,
) -> Figure:
    """At most three series, all in the first row; one that is a role has its look.

    `baseline` names the line at 0; without it there is none.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    drawn, (axes,) = figure(7.5, 1.5 + 0.16 * len(rows) + 0.2 * sum(map(len, rows.values())))
    drawn.set_layout_engine("constrained", rect=(0.02, 0, 0.97, 1))  # room for names in a wider font
    for place, row in enumerate(rows.values()):
        for index, (name, value) in enumerate(row.items()):
            at = place + (index - (len(row) - 1) / 2) * 0.7 / len(row)
            middle, low, high = value if isinstance(value, tuple) else (value,) * 3
            colour, marker = LOOKS[series.index(name)]
            look = bar(name, otherwise=colour)
            axes.plot([low, high], [at, at], color=colour, linewidth=2.4, solid_capstyle="butt", zorder=1)
            axes.scatter(middle, at, 90, marker=marker, zorder=2, label=name if place == 0 else None, **look)
            end, aside = (low, -8) if high < 0 else (high, 8)  # away from the line at 0
            label(axes, number(middle), (end, at), dx=aside)
    if baseline:
        axes.axvline(0, color=INK, linewidth=1, zorder=0)
        label(axes, baseline, (0, -0.5), dy=3, color=GREY)
    if len(series) > 1:
        corner = blended_transform_factory(drawn.transFigure, axes.transAxes)
        key = {"ncols": len(series), "handletextpad": 0.2, "borderpad": 0, "bbox_transform": corner}
        axes.legend(loc="lower left", bbox_to_anchor=(0.01, 1.05), fontsize=10, **key)
    lying(axes, list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.16)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(xlabel)
    axes.xaxis.set_major_formatter(style.plain)
    headline(drawn, title, note)
    return drawn


def words(rows: Rows) -> str:
    """The same for those who cannot see it."""

    def told(value: Interval | float) -> str:
        if not isinstance(value, tuple):
            return signed(value)
        return "{} ({} to {})".format(*map(signed, value))

    parts = {name: [f"{series} {told(value)}" for series, value in row.items()] for name, row in rows.items()}
    return "; ".join(f"{name}: {', '.join(row)}" for name, row in parts.items()) + "."


def changes(
    before: Sequence[float],
    moved: Mapping[str, Sequence[float]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    note: str = "",
) -> Figure:
    """A dot per value: `before` against how far each run in a panel `moved` it, all on one scale around 0."""
    drawn, plots = style.panels(list(moved), height=3.4, title=title, ylabel=ylabel, note=note)
    for axes, change in zip(plots, moved.values(), strict=True):
        axes.scatter(before, change, 12, color=BLUE, linewidths=0, alpha=0.6, rasterized=True)
        axes.axhline(0, color=INK, linewidth=1, zorder=1)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(style.plain)
        axes.set_xlabel(xlabel)
    return drawn
