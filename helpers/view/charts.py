"""Bar charts and scatter plots, from plain data."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from helpers.view.style import GREY, bar_look, dot_look, figure, headline, value_grid


def grouped_bars(
    groups: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    unit: str,
    highlight: str | None = None,
    number: str = "{:,.0f}",
    width: float = 7.5,
    height: float = 3.8,
) -> Figure:
    """Upright bars: `groups[label][series]`, one bar for each; the label to `highlight` is set in bold."""
    drawn, (axes,) = figure(width, height)
    series = list(next(iter(groups.values())))
    bar = 0.8 / len(series)
    for place, name in enumerate(series):
        left = [index - 0.4 + bar * (place + 0.5) for index in range(len(groups))]
        heights = [values[name] for values in groups.values()]
        drawn_bars = axes.bar(left, heights, bar * 0.94, label=name, **bar_look(place))
        axes.bar_label(drawn_bars, labels=[number.format(value) for value in heights], fontsize=9, padding=2)
    axes.set_xticks(range(len(groups)), list(groups))
    for label in axes.get_xticklabels():
        if label.get_text() == highlight:
            label.set_fontweight("bold")
    axes.set_ylabel(unit)
    axes.set_title(title)
    axes.margins(y=0.12)
    value_grid(axes, "y")
    if len(series) > 1:
        axes.legend(ncols=len(series))
    return drawn


def lying_bars(
    values: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    unit: str,
    number: str = "{:,.0f}",
    width: float = 7.5,
) -> Figure:
    """Lying bars for many named things: `values[label][series]`, the first label on top."""
    series = list(next(iter(values.values())))
    drawn, (axes,) = figure(width, 1.3 + 0.22 * len(values) * (len(series) + 0.4))
    bar = 0.8 / len(series)
    for place, name in enumerate(series):
        centres = [index - 0.4 + bar * (place + 0.5) for index in range(len(values))]
        lengths = [entry[name] for entry in values.values()]
        bars = axes.barh(centres, lengths, bar * 0.94, label=name, **bar_look(place))
        axes.bar_label(bars, labels=[number.format(length) for length in lengths], fontsize=9, padding=3)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlabel(unit)
    headline(drawn, title)  # long names leave the axes little room
    axes.margins(x=0.1)
    value_grid(axes, "x")
    if len(series) > 1:
        axes.legend(loc="lower right")
    return drawn


def scatter(
    series: Mapping[str, Sequence[tuple[float, float, str]]],
    *,
    title: str,
    x_unit: str,
    y_unit: str,
    line: bool = False,
    y_from_zero: bool = False,
    width: float = 7.5,
    height: float = 4.2,
) -> Figure:
    """Points (x, y, label) per named series, labelled above or below; `line` joins a series in order."""
    drawn, (axes,) = figure(width, height)
    for place, (name, points) in enumerate(series.items()):
        x, y, labels = zip(*points, strict=True)
        axes.plot(x, y, linestyle="-" if line else "none", markersize=8, label=name, **dot_look(place))
        for left, up, label in zip(x, y, labels, strict=True):
            offset = (0, -18 if place else 9)  # the second series hangs below, clear of the first
            axes.annotate(
                label, (left, up), xytext=offset, textcoords="offset points", ha="center", fontsize=9
            )
    axes.set_xlabel(x_unit)
    axes.set_ylabel(y_unit)
    axes.set_title(title)
    axes.margins(0.1)
    if y_from_zero:
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
    axes.grid(True)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.legend()
    return drawn
