"""Bars: upright, lying, stacked, signed, and speed-ups on both sides of one, from plain data."""

from collections.abc import Callable, Container, Iterable, Mapping

from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from helpers.view.style import GAIN, GREY, INK, LOSS, Interval, bar_look, figure, headline, label, lying

Table = Mapping[str, Mapping[str, float]]
"""`table[name][series]`; every name has the same series."""


def grouped_bars(
    table: Table,
    *,
    title: str,
    ylabel: str,
    highlight: str | None = None,
    number: str = "{:,.0f}",
    width: float = 7.5,
) -> Figure:
    """Upright bars, one group for each name; the name to `highlight` is set in bold."""
    drawn, (axes,) = figure(width)
    _side_by_side(axes, axes.bar, table, number=number, padding=2)
    axes.set_xticks(range(len(table)), list(table))
    _bold(axes.get_xticklabels(), [highlight] if highlight else [])
    axes.set_ylabel(ylabel)
    headline(drawn, title)
    axes.margins(y=0.12)
    axes.grid(True, axis="y")
    return drawn


def barh(table: Table, *, title: str, xlabel: str, number: str = "{:,.0f}") -> Figure:
    """Lying bars for many or long names, the first name on top."""
    series = len(_series(table))
    drawn, (axes,) = figure(7.5, 1.3 + 0.22 * len(table) * (series + 0.4))
    _side_by_side(axes, axes.barh, table, number=number, padding=3)
    lying(axes, list(table))
    axes.set_xlabel(xlabel)
    axes.grid(True, axis="x")
    axes.margins(x=0.1)
    headline(drawn, title)
    return drawn


def stacked_barh(table: Table, *, title: str, xlabel: str, percent: bool = False) -> Figure:
    """Lying bars made of at most six parts, with the sum at the end; `percent`: of 100 %, with each share."""
    drawn, (axes,) = figure(7.5, 1.7 + 0.42 * len(table))
    scale = [100 / sum(row.values()) if percent else 1 for row in table.values()]
    left = [0.0] * len(table)
    for place, (part, values) in enumerate(_series(table).items()):
        widths = [value * factor for value, factor in zip(values, scale, strict=True)]
        made = axes.barh(range(len(table)), widths, 0.72, left=left, label=part, **bar_look(place))
        left = [before + width for before, width in zip(left, widths, strict=True)]
        if percent:
            shares = [f"{share:.0f}" if share >= 5 else "" for share in widths]
            for text in axes.bar_label(made, labels=shares, label_type="center", fontsize=9, color=INK):
                if text.get_text():
                    text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.85})
    if percent:
        axes.set_xlim(0, 100)
    else:
        axes.bar_label(made, labels=[f"{end:.2f}" for end in left], fontsize=9, padding=4)
        axes.margins(x=0.1)
        axes.grid(True, axis="x")
    lying(axes, list(table))
    axes.set_xlabel(xlabel)
    headline(drawn, title)
    drawn.legend(loc="outside lower center", ncols=3 if percent else 2, fontsize=10)
    return drawn


def signed_bars(table: Table, *, title: str) -> Figure:
    """Signed lying bars, gains plain, losses hatched: one panel for each series, which names its own unit."""
    panels = _series(table)
    drawn, plots = figure(7.5, 1.2 + 0.34 * len(table), columns=len(panels))
    for axes, (measure, values) in zip(plots, panels.items(), strict=True):
        for place, value in enumerate(values):
            made = axes.barh(place, value, 0.7, **(GAIN if value >= 0 else LOSS))
            axes.bar_label(made, fmt="{:+.1f}", fontsize=9, padding=3)
        axes.axvline(0, color=INK, linewidth=0.8)
        lying(axes, list(table) if axes is plots[0] else [""] * len(table))
        axes.use_sticky_edges = False  # room for the numbers on both sides
        axes.margins(x=0.38)
        axes.spines["left"].set_visible(False)
        axes.set_title(measure, fontsize=10)
        axes.grid(True, axis="x")
    headline(drawn, title)
    return drawn


def speedup_bars(
    groups: Mapping[str, Mapping[str, Interval]], *, title: str, xlabel: str, better: str, worse: str
) -> Figure:
    """Lying bars from 1 to each ratio, on a logarithmic axis, in named groups from top to bottom.

    Bars above 1 are plain, below 1 hatched, and a dark line spans what was measured; `better` and `worse` say
    what the two sides mean.
    """
    rows = [row for name, group in groups.items() for row in ((name, None), *group.items())]
    drawn, (axes,) = figure(7.5, 1.4 + 0.27 * len(rows))
    ratios = [0.5, 1.5]
    for place, (_, ratio) in enumerate(rows):
        if ratio is None:
            continue
        wins = ratio.value >= 1
        axes.barh(place, ratio.value - 1, 0.72, left=1, **(GAIN if wins else LOSS))
        axes.plot([ratio.low, ratio.high], [place, place], color=INK, linewidth=2.2, solid_capstyle="butt")
        end = (ratio.high if wins else ratio.low, place)
        label(axes, f"{ratio.value:.2f}", end, dx=4 if wins else -4)
        ratios.append(ratio.value)
    axes.set_xscale("log")
    axes.minorticks_off()
    ticks = (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 8)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set(xlim=(min(ratios) / 1.25, max(ratios) * 1.2), xlabel=xlabel)
    axes.axvline(1, color=INK, linewidth=1)
    lying(axes, [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -1.2)
    _bold(axes.get_yticklabels(), groups)
    label(axes, f"{better} →", (1, -0.8), dx=6, color=GREY)
    label(axes, f"← {worse}", (1, -0.8), dx=-6, color=GREY)
    axes.grid(True, axis="x")
    headline(drawn, title)
    return drawn


def _series(table: Table) -> dict[str, list[float]]:
    """The table by series, each with one value per name."""
    return {name: [row[name] for row in table.values()] for name in next(iter(table.values()))}


def _side_by_side(
    axes: Axes, draw: Callable[..., BarContainer], table: Table, *, number: str, padding: float
) -> None:
    """`draw` is the axes' `bar` or `barh`; every bar carries its value, and several series have a legend."""
    series = _series(table)
    thick = 0.8 / len(series)
    for place, (name, values) in enumerate(series.items()):
        centres = [index - 0.4 + thick * (place + 0.5) for index in range(len(values))]
        made = draw(centres, values, thick * 0.94, label=name, **bar_look(place))
        axes.bar_label(made, labels=[number.format(value) for value in values], fontsize=9, padding=padding)
    if len(series) > 1:
        axes.legend(ncols=len(series)) if draw == axes.bar else axes.legend(loc="lower right")


def _bold(written: Iterable[Text], names: Container[str]) -> None:
    for text in written:
        if text.get_text() in names:
            text.set_fontweight("bold")
