"""Pictures of what INT8 does: ranges over a histogram, losses along the network, shares and intervals."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from helpers.view.style import BLUE, CYCLE, GREY, MARKERS, PALE, dot_look, figure, value_grid


def ranges_over_histogram(
    middles: Sequence[float],
    counts: Sequence[int],
    ranges: Mapping[str, tuple[float, float]],
    *,
    title: str,
    unit: str,
) -> Figure:
    """A histogram with a logarithmic count, and below it the stretch that each named range keeps."""
    drawn, (bars, stretches) = figure(7.5, 4.2, rows=2)
    drawn.set_layout_engine("constrained", hspace=0.02)
    if grid := bars.get_gridspec():
        grid.set_height_ratios([2.2, 1])
    bars.fill_between(middles, counts, step="mid", color=PALE, edgecolor=GREY, linewidth=0.5, rasterized=True)
    bars.set_yscale("log")
    bars.set_ylim(bottom=0.7)
    bars.set_ylabel("values seen")
    bars.set_title(title)
    for place, (low, high) in enumerate(ranges.values()):
        stretches.plot([low, high], [place, place], color=CYCLE[place], linewidth=5, solid_capstyle="butt")
        stretches.plot([low, high], [place, place], "|", markersize=10, markeredgewidth=1)
        stretches.annotate(
            f"{low:.2f} to {high:.2f}",
            (high, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    stretches.set_yticks(range(len(ranges)), list(ranges))
    stretches.set_ylim(len(ranges) - 0.4, -0.6)
    stretches.set_xlabel(unit)
    ends = (min(*middles, *(low for low, _ in ranges.values())), max(middles))
    for axes in (bars, stretches):
        axes.set_xlim(ends[0], ends[1] + 0.18 * (ends[1] - ends[0]))
    return drawn


def losses_along(
    points: Mapping[str, Sequence[tuple[int, float]]], *, title: str, x_unit: str, y_unit: str
) -> Figure:
    """Losses (place in the network, loss) per kind of operator, on a logarithmic scale."""
    drawn, (axes,) = figure(7.5, 4.2)
    for place, (name, marks) in enumerate(points.items()):
        x, y = zip(*marks, strict=True)
        axes.plot(x, y, linestyle="none", markersize=6, label=name, **dot_look(place))
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(x_unit)
    axes.set_ylabel(y_unit)
    axes.set_title(title)
    value_grid(axes, "y")
    drawn.legend(loc="outside lower center", ncols=len(points), fontsize=9)
    return drawn


def shares_with_intervals(
    shares: Mapping[str, tuple[float, float, float]], *, title: str, unit: str
) -> Figure:
    """A dot per name with its interval: (share, low, high), in per cent."""
    drawn, (axes,) = figure(7.5, 1.1 + 0.4 * len(shares))
    for place, (share, low, high) in enumerate(shares.values()):
        axes.plot([low, high], [place, place], color=GREY, linewidth=2)
        axes.plot(share, place, marker=MARKERS[place], markersize=9, color=BLUE)
        axes.annotate(
            f"{share:.2f}", (high, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.set_yticks(range(len(shares)), list(shares))
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.margins(x=0.15)
    axes.set_xlabel(unit)
    axes.set_title(title)
    value_grid(axes, "x")
    return drawn
