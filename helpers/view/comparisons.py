"""Measured against expected or rival: leads on both sides of one, and errors with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from helpers.view.style import (
    BLUE,
    CYCLE,
    GREY,
    INK,
    MARKERS,
    ORANGE,
    bar_look,
    dot_look,
    figure,
    headline,
    value_grid,
)


@dataclass(frozen=True, kw_only=True)
class Lead:
    """One bar of `leads`; `low` and `high` bound what was measured, none for a published figure."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


def leads(groups: Mapping[str, Sequence[Lead]], *, title: str, unit: str, better: str, worse: str) -> Figure:
    """Lying bars from 1 to each ratio, on a logarithmic axis, in named groups from top to bottom.

    Bars above 1 are plain, below 1 hatched; `better` and `worse` say what the two sides mean.
    """
    rows = sum(len(group) + 1 for group in groups.values())
    drawn, (axes,) = figure(7.5, 1.4 + 0.27 * rows)
    place = 0
    ticks: dict[int, str] = {}
    bold = []
    for name, group in groups.items():
        bold.append(place)
        ticks[place] = name
        place += 1
        for row in group:
            wins = row.value >= 1
            look: dict[str, Any] = {"color": BLUE if wins else ORANGE, "hatch": "" if wins else "///"}
            axes.barh(place, row.value - 1, 0.72, left=1, edgecolor="white", **look)
            end = row.value
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [place, place], color=INK, linewidth=2.2)
                end = row.high if wins else row.low
            axes.annotate(
                f"{row.value:.2f}",
                (end, place),
                xytext=(4 if wins else -4, 0),
                textcoords="offset points",
                va="center",
                ha="left" if wins else "right",
                fontsize=9,
            )
            ticks[place] = row.label
            place += 1
    values = [row.value for group in groups.values() for row in group]
    axes.set_xscale("log")
    axes.set_xlim(min([0.5, *values]) / 1.25, max([1.5, *values]) * 1.2)
    axes.xaxis.set_minor_locator(NullLocator())
    steps = [0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 8]
    axes.set_xticks([step for step in steps if axes.get_xlim()[0] < step < axes.get_xlim()[1]])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(list(ticks), list(ticks.values()))
    for index in bold:
        axes.get_yticklabels()[index].set_fontweight("bold")
    axes.set_ylim(place - 0.4, -1.2)
    note: dict[str, Any] = {"va": "center", "fontsize": 9, "color": GREY, "textcoords": "offset points"}
    axes.annotate(f"{better} →", (1, -0.8), xytext=(6, 0), ha="left", **note)
    axes.annotate(f"← {worse}", (1, -0.8), xytext=(-6, 0), ha="right", **note)
    axes.set_xlabel(unit)
    headline(drawn, title)
    value_grid(axes, "x")
    return drawn


@dataclass(frozen=True, kw_only=True)
class Residual:
    """A forecast against what was measured, all in percent of the measured value, which is 0."""

    label: str
    error: float
    low: float
    high: float


def residuals(panels: Mapping[str, Sequence[Residual]], *, title: str, unit: str) -> Figure:
    """One panel per name: each forecast a point with its interval; those that miss zero have a cross."""
    drawn, plots = figure(7.5, 3.6, columns=len(panels))
    reach = 1.1 * max(abs(end) for rows in panels.values() for row in rows for end in (row.low, row.high))
    for index, (axes, (name, rows)) in enumerate(zip(plots, panels.items(), strict=True)):
        for place, row in enumerate(rows):
            inside = row.low <= 0 <= row.high
            axes.plot([place, place], [row.low, row.high], color=GREY, linewidth=5, solid_capstyle="butt")
            axes.plot(
                place,
                row.error,
                marker=MARKERS[index] if inside else "X",
                markersize=8 if inside else 11,
                color=CYCLE[index] if inside else ORANGE,
            )
            axes.annotate(
                f"{row.error:+.1f}",
                (place, row.error),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )
        axes.axhline(0, color=INK, linewidth=1)
        axes.set_xticks(range(len(rows)), [row.label for row in rows])
        axes.set_xlim(-0.5, len(rows) - 0.2)
        axes.set_ylim(-reach, reach)
        axes.set_title(name, fontsize=11)
        value_grid(axes, "y")
        if index:
            axes.set_yticklabels([])
    plots[0].set_ylabel(unit)
    headline(drawn, title)
    return drawn


def stacked_bars(wholes: Mapping[str, Mapping[str, float]], *, title: str, unit: str) -> Figure:
    """Lying bars made of parts, `wholes[label][part]` in one unit, the sum written at the end of each."""
    drawn, (axes,) = figure(7.5, 1.7 + 0.42 * len(wholes))
    left = [0.0] * len(wholes)
    for place, part in enumerate(next(iter(wholes.values()))):
        widths = [whole[part] for whole in wholes.values()]
        axes.barh(range(len(wholes)), widths, 0.72, left=left, label=part, **bar_look(place))
        left = [before + width for before, width in zip(left, widths, strict=True)]
    for place, end in enumerate(left):
        axes.annotate(
            f"{end:.2f}", (end, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(range(len(wholes)), list(wholes))
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel(unit)
    axes.set_title(title)
    value_grid(axes, "x")
    drawn.legend(loc="outside lower center", ncols=2, fontsize=10)
    return drawn


def against(
    points: Sequence[tuple[float, float]],
    marked: Mapping[str, tuple[float, float]],
    *,
    title: str,
    x_unit: str,
    y_unit: str,
) -> Figure:
    """Many points around the line where both are equal, a few of them named."""
    drawn, (axes,) = figure(5.2, 4.4)
    x, y = zip(*points, strict=True)
    ends = (min(x + y), max(x + y))
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle="--", label="both equal")
    axes.plot(x, y, ".", markersize=5, color=BLUE, markeredgewidth=0, alpha=0.5, rasterized=True)
    for place, (name, point) in enumerate(marked.items()):
        axes.plot(*point, linestyle="none", markersize=8, label=name, **dot_look(place))
    axes.set_xlabel(x_unit)
    axes.set_ylabel(y_unit)
    axes.set_title(title)
    axes.grid(True)
    axes.legend(fontsize=9)
    return drawn
