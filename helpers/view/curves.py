"""Curves in panels side by side, and the roofline of a machine, from plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from helpers.view.style import GREY, INK, dot_look, figure, headline

Points = Sequence[tuple[float, float]]

LINES = ("-", "--", ":", "-.")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot: named curves of (x, y). `ticks` are the x-values to print, all equally far apart."""

    title: str
    curves: Mapping[str, Points]
    x_unit: str
    ticks: Sequence[float] | None = None


def curves(
    panels: Sequence[Panel],
    *,
    title: str,
    y_unit: str,
    y_from_zero: bool = False,
    width: float = 7.5,
    height: float = 3.8,
) -> Figure:
    """Panels with one y-axis in common; a name has the same look in each, and one legend serves all."""
    drawn, plots = figure(width, height, columns=len(panels))
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
        axes.set_xlabel(panel.x_unit)
        axes.grid(True)
    low = 0 if y_from_zero else min(axes.get_ylim()[0] for axes in plots)
    high = max(axes.get_ylim()[1] for axes in plots)
    for axes in plots:
        axes.set_ylim(low, high)
    for axes in plots[1:]:
        axes.set_yticklabels([])
    plots[0].set_ylabel(y_unit)
    headline(drawn, title)
    if len(names) > 1:
        _legend(drawn, columns=min(4, len(names)))
    return drawn


def roofline(
    panels: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    peak: float,
    bandwidth: float,
    title: str,
    width: float = 7.5,
    height: float = 4.4,
) -> Figure:
    """One point per kind, `panels[panel][kind]` in (operations per byte, Gop/s), under one machine's roof.

    `peak` is a matrix product's rate in Gop/s, `bandwidth` a copy's in GB/s; they meet at the ridge.
    """
    drawn, plots = figure(width, height, columns=len(panels))
    ridge = peak / bandwidth
    points = [point for row in panels.values() for point in row.values()]
    left, right = 0.4 * min(ridge, *(x for x, _ in points)), 4 * max(ridge, *(x for x, _ in points))
    bottom, top = 0.4 * min(y for _, y in points), 4 * max(peak, *(y for _, y in points))
    kinds = list(dict.fromkeys(kind for row in panels.values() for kind in row))
    for axes, (name, row) in zip(plots, panels.items(), strict=True):
        axes.plot([left, ridge, right], [left * bandwidth, peak, peak], color=INK, linewidth=1.6)
        axes.plot([ridge, ridge], [bottom, peak], color=GREY, linestyle=":")
        for kind, point in row.items():
            look = kinds.index(kind)
            axes.plot(*point, markersize=7, linestyle="none", label=kind, **dot_look(look))
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        axes.set_title(name, fontsize=11)
        axes.set_xlabel("operations per byte (log)")
        axes.grid(True)
        if axes is not plots[0]:
            axes.set_yticklabels([])
    note: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9}
    plots[0].annotate(
        f"copy, {bandwidth:.0f} GB/s", (0.6 * ridge, 0.6 * peak), xytext=(-4, 3), ha="right", **note
    )
    plots[0].annotate(f"product, {peak:.0f} Gop/s", (right, peak), xytext=(-3, 5), ha="right", **note)
    plots[0].annotate(f"ridge, {ridge:.1f}", (ridge, bottom), xytext=(4, 5), color=GREY, **note)
    plots[0].set_ylabel("rate reached, Gop/s (log)")
    headline(drawn, title)
    _legend(drawn, columns=3)
    return drawn


def _legend(drawn: Figure, *, columns: int) -> None:
    """One legend below for all panels, in the order in which the names first appear."""
    known: dict[str, Any] = {}
    for axes in drawn.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            known.setdefault(name, handle)
    drawn.legend(known.values(), known.keys(), loc="outside lower center", ncols=columns)
