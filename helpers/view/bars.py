"""Bars: lying, stacked, and speed-ups on both sides of one, from plain data."""

from collections.abc import Container, Mapping, Sequence
from typing import Unpack

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from helpers.view import style
from helpers.view.style import BLUE, GREY, INK, ROLES, TINT, Interval, Words, figure, label, lying

Table = Mapping[str, Mapping[str, float]]
"""`table[name][series]`; every name has the same series."""


def barh(
    table: Table,
    *,
    number: str = "{:,.0f}",
    highlight: Sequence[str] = (),
    level: tuple[float, str] | None = None,
    **words: Unpack[Words],
) -> Figure:
    """Lying bars with their values, the first name on top; names to `highlight` stand out.

    `level` is a value that all are compared with, and its name.
    """
    series = _series(table)
    drawn, (axes,) = figure(7.5, 1.2 + 0.24 * len(table) * (len(series) + 0.4), **words)
    thick = 0.8 / len(series)
    for place, (name, values) in enumerate(series.items()):
        centres = [index - 0.4 + thick * (place + 0.5) for index in range(len(values))]
        look = style.bar(name, otherwise=style.CYCLE[place])
        made = axes.barh(centres, values, thick * 0.94, label=name, **look)
        if highlight and len(series) == 1:
            for key, one in zip(table, made, strict=True):
                one.set_facecolor(BLUE if key in highlight else TINT)
        axes.bar_label(made, labels=[number.format(value) for value in values], fontsize=10, padding=3)
    if len(series) > 1:
        axes.legend(loc="lower right")
    lying(axes, list(table))
    style.embolden(axes, highlight)
    axes.set_xticks([])
    if level is not None:
        axes.axvline(level[0], color=INK, linewidth=1.2)
        axes.set_xticks([level[0]], [level[1]])
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.1)
    return drawn


def stacked_barh(
    table: Table, *, percent: bool = False, number: str = "{:.1f}", **words: Unpack[Words]
) -> Figure:
    """Lying bars made of parts, with the sum at the end; `percent`: of 100 %, with each share.

    A part that is a role has its colour, and the rest are greys; without any, all are one hue, the first
    darkest. Its name stands above the first bar, or in the first one that has the part.
    """
    drawn, (axes,) = figure(7.5, 1.6 + 0.46 * len(table), **words)
    series = _series(table)
    others = [part for part in series if part not in ROLES]
    hue = "#BDBDBD" if len(others) < len(series) else "#00517F"  # lighter than any role
    sums = [sum(row.values()) for row in table.values()]
    longest = 100 if percent else max(sums)
    units = [total / 100 if percent else 1 for total in sums]
    left = [0.0] * len(table)
    named: dict[str, float] = {}
    for part, values in series.items():
        widths = [value / unit for value, unit in zip(values, units, strict=True)]
        light = 0 if part in ROLES else 0.9 * others.index(part) / len(others)
        face = [one + light * (1 - one) for one in to_rgb(ROLES.get(part, hue))]
        made = axes.barh(range(len(table)), widths, 0.72, left=left, label=part, fc=face, ec="white", lw=1.5)
        em = 0.018 * longest  # a letter's room
        said = [number.format(width) for width in widths]
        inside = [one if size > em * (len(one) + 0.7) else "" for one, size in zip(said, widths, strict=True)]
        if widths[0] > 0.005 * longest:  # else it cannot be seen
            named[part] = left[0] + widths[0] / 2
        elif not widths[0]:
            first = next(row for row, width in enumerate(widths) if width)
            inside[first] = f"{part}: {said[first]}"
        ink = INK if sum(face) > 1.5 else "white"
        axes.bar_label(made, labels=inside, label_type="center", fontsize=10, color=ink)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    if not percent:
        axes.bar_label(made, labels=[number.format(total) for total in sums], fontsize=10, padding=4)
    lying(axes, list(table))
    axes.set(xlim=(0, longest * (1 if percent else 1.12)), ylim=(len(table) - 0.4, -1.2))
    axes.set_xticks([0, 25, 50, 75, 100] if percent else [])
    axes.spines[["left", "bottom"]].set_visible(False)
    last = next(reversed(named), "")
    if percent and 2 * (100 - named[last]) < em * len(last):  # too narrow for its name: into the margin
        label(axes, last, (100, 0), dx=6)
        del named[last]
    _name_parts(drawn, axes, named)
    return drawn


def speedup_bars(
    groups: Mapping[str, Mapping[str, Interval]],
    *,
    better: str,
    worse: str,
    published: Container[str] = (),
    **words: Unpack[Words],
) -> Figure:
    """Lying bars from 1 to each ratio, on a logarithmic axis, in named groups from top to bottom.

    A dark line spans what was measured, names that were `published` are grey; `better` and `worse` say what
    the two sides mean.
    """
    rows = [row for name, group in groups.items() for row in ((name, None), *group.items())]
    drawn, (axes,) = figure(7.5, 1.4 + 0.27 * len(rows), **words)
    ratios = [0.5, 1.5]
    for place, (name, ratio) in enumerate(rows):
        if ratio is None:
            continue
        wins = ratio.value >= 1
        role = "published" if name in published else "measured"
        axes.barh(place, ratio.value - 1, 0.72, left=1, label=role, **style.bar(role))
        axes.plot([ratio.low, ratio.high], [place, place], color=INK, linewidth=2.2, solid_capstyle="butt")
        end = (ratio.high if wins else ratio.low, place)
        label(axes, f"{ratio.value:.2f}", end, dx=4 if wins else -4)
        ratios.append(ratio.value)
    axes.set_xscale("log")
    axes.minorticks_off()
    ticks = (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 8)
    axes.set_xticks(ticks, [f"{style.plain(tick)}×" for tick in ticks])
    axes.set(xlim=(min(ratios) / 1.3, max(ratios) * 1.25))
    axes.axvline(1, color=INK, linewidth=1)
    lying(axes, [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -1.2)
    style.embolden(axes, groups)
    label(axes, f"{better} →", (1, -0.8), dx=6, color=GREY)
    label(axes, f"← {worse}", (1, -0.8), dx=-6, color=GREY)
    axes.spines["left"].set_visible(False)
    return drawn


def _series(table: Table) -> dict[str, list[float]]:
    """The table by series, each with one value per name."""
    return {name: [row[name] for row in table.values()] for name in next(iter(table.values()))}


def _name_parts(drawn: Figure, axes: Axes, named: Mapping[str, float]) -> None:
    """The name of each part above the first bar, as near to its middle as the others let it."""
    drawn.draw_without_rendering()  # the layout stands, so the widths of words are known
    box = axes.get_window_extent()
    unit = (axes.get_xlim()[1] - axes.get_xlim()[0]) / box.width
    words = [axes.text(0, -0.72, name, fontsize=10, ha="center", va="center") for name in named]
    sizes = [1.12 * unit * word.get_window_extent().width for word in words]
    middles = style.apart(list(named.values()), sizes, low=0, high=axes.get_xlim()[1])
    for word, middle, wanted in zip(words, middles, named.values(), strict=True):
        word.set_x(middle)
        axes.plot([middle, wanted], [-0.54, -0.38], color=GREY, linewidth=0.8)
