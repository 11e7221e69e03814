"""Changes and scores with their intervals: a row for each name, and one scale for what has one unit."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Unpack

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from helpers.view import style
from helpers.view.style import BLUE, GREY, INK, RED, TINT, Interval, Words, figure, label, signed

Rows = Mapping[str, Mapping[str, Interval | float]]
"""`rows[name][series]`: a value, or one with its bounds. A row may lack a series."""
Number = Callable[[float], str]


def dot_plot(
    rows: Rows, *, baseline: str = "", whole: float = 0, number: Number = signed, **words: Unpack[Words]
) -> Figure:
    """At most four series, all in the first row; one that is a role has its look.

    `baseline` names the line at 0, or at the `whole` that values are shares of; without it there is none.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    height = 1.5 + 0.16 * len(rows) + 0.2 * sum(map(len, rows.values()))
    drawn, (axes,) = figure(7.5, height, **words)
    for place, row in enumerate(rows.values()):
        for index, (name, value) in enumerate(row.items()):
            at = place + (index - (len(row) - 1) / 2) * 0.7 / len(row)
            middle, low, high = value if isinstance(value, tuple) else (value,) * 3
            colour, marker = style.dots(name, series.index(name)).values()
            look = style.bar(name, otherwise=colour)
            axes.plot([low, high], [at, at], color=colour, linewidth=2.4, solid_capstyle="butt", zorder=1)
            axes.scatter(middle, at, 90, marker=marker, zorder=2, label=name if place == 0 else None, **look)
            dx, dy = (2, 7) if low < high else (8, 0)  # above an interval; away from the line at 0
            label(axes, number(middle), (middle, at), dx=-dx if middle < 0 else dx, dy=dy)
    if baseline:
        axes.axvline(whole, color=INK, linewidth=1, zorder=0)
        label(axes, baseline, (whole, -0.5), dy=7, color=GREY)
    if len(series) > 1:
        corner = blended_transform_factory(drawn.transFigure, axes.transAxes)
        key = {"ncols": len(series), "handletextpad": 0.2, "borderpad": 0, "bbox_transform": corner}
        axes.legend(loc="lower left", bbox_to_anchor=(0.01, 1.05), fontsize=10, **key)
    style.lying(axes, list(rows))
    axes.margins(x=0.16)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, whole) if whole else None)
    axes.spines["left"].set_visible(False)
    return drawn


def words(rows: Rows) -> str:
    """The same for those who cannot see it."""

    def told(value: Interval | float) -> str:
        return "{} ({} to {})".format(*map(signed, value)) if isinstance(value, tuple) else signed(value)

    parts = {name: [f"{series} {told(value)}" for series, value in row.items()] for name, row in rows.items()}
    return "; ".join(f"{name}: {', '.join(row)}" for name, row in parts.items()) + "."


def deltas(
    changes: Mapping[str, Rows],
    *,
    highlight: Container[str] = (),
    alone: Container[str] = (),
    judged: bool = False,
    number: Number = signed,
    **words: Unpack[Words],
) -> Figure:
    """Changes, `changes[panel][name][series]`, to one scale but for the panels that stand `alone`.

    A value is a bar, and names to `highlight` stand out; a forecast is its interval, hollow, with a line at
    its value. When they are `judged`, 0 is what was measured: those that miss it are red, and say so.
    """
    rows = list(next(iter(changes.values())))
    each = 0.34 * max(1, *(0.75 * len(row) for panel in changes.values() for row in panel.values()))
    drawn, plots = figure(7.5, 1.2 + each * len(rows), columns=len(changes), **words)
    reach: dict[bool, list[float]] = {True: [0], False: [0]}
    for axes, (panel, plans) in zip(plots, changes.items(), strict=True):
        for row, (name, series) in enumerate(plans.items()):
            thick = 0.8 / len(series)
            for place, (key, change) in enumerate(series.items()):
                at = row + thick * (place - (len(series) - 1) / 2)
                value, low, high = change if isinstance(change, tuple) else (change,) * 3
                missed = judged and not low <= 0 <= high
                if low < high:
                    look = style.bar("forecast") | {"edgecolor": RED if missed else style.colour(key, place)}
                    axes.barh(at, high - low, 0.6 * thick, left=low, **look)
                    axes.plot([value] * 2, [at - 0.4 * thick, at + 0.4 * thick], color=INK, linewidth=1.6)
                else:
                    axes.barh(at, value, 0.7, color=BLUE if name in highlight else TINT)
                said = number(value) + (", missed" if missed else "") if value else key
                end, aside = (low, -4) if value < 0 else (high, 4)
                label(axes, said, (end, at), dx=aside, color=RED if missed else INK)
                reach[panel in alone] += [low, high]
        axes.axvline(0, color=INK, linewidth=1)
        style.lying(axes, rows if axes is plots[0] else [""] * len(rows))
        style.embolden(axes, highlight)
        style.bare(axes)
        if judged:  # the ends of intervals are read off
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for axes, panel in zip(plots, changes, strict=True):
        ends = reach[panel in alone]
        room = 0.8 * (max(ends) - min(ends))  # for the numbers on both sides
        axes.set(title=panel, xlim=(min(ends) - room, max(ends) + room))
    return drawn


def changes(before: Sequence[float], moved: Mapping[str, Sequence[float]], **words: Unpack[Words]) -> Figure:
    """A dot per value: `before` against how far each run in a panel `moved` it, all on one scale around 0."""
    drawn, plots = style.panels(list(moved), height=3.4, **words)
    for axes, change in zip(plots, moved.values(), strict=True):
        axes.scatter(before, change, 12, color=BLUE, linewidths=0, alpha=0.6, rasterized=True)
        axes.axhline(0, color=INK, linewidth=1, zorder=1)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    return drawn
