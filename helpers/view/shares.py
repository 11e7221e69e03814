"""What a whole is made of, and what a change does to several measures at once, from plain data."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from helpers.view.style import BLUE, INK, ORANGE, bar_look, figure, headline, value_grid


def stacked_shares(
    wholes: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    unit: str,
    smallest_label: float = 5.0,
    width: float = 7.5,
) -> Figure:
    """Lying bars of 100 %: `wholes[label][part]` in any unit, the first label on top, at most six parts."""
    drawn, (axes,) = figure(width, 1.7 + 0.42 * len(wholes))
    parts = list(next(iter(wholes.values())))
    left = [0.0] * len(wholes)
    for place, part in enumerate(parts):
        shares = [100 * whole[part] / sum(whole.values()) for whole in wholes.values()]
        bars = axes.barh(range(len(wholes)), shares, 0.72, left=left, label=part, **bar_look(place))
        labels = [f"{share:.0f}" if share >= smallest_label else "" for share in shares]
        for text in axes.bar_label(bars, labels=labels, label_type="center", fontsize=9, color=INK):
            if text.get_text():
                text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.85})
        left = [before + share for before, share in zip(left, shares, strict=True)]
    axes.set_yticks(range(len(wholes)), list(wholes))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel(unit)
    axes.set_title(title)
    drawn.legend(loc="outside lower center", ncols=min(3, len(parts)), fontsize=10)
    return drawn


def changes(
    rows: Mapping[str, Mapping[str, float]], *, title: str, number: str = "{:+.1f}", width: float = 7.5
) -> Figure:
    """Signed lying bars, `rows[label][measure]`: one panel for each measure, which names its own unit."""
    measures = list(next(iter(rows.values())))
    drawn, plots = figure(width, 1.2 + 0.34 * len(rows), columns=len(measures))
    for axes, measure in zip(plots, measures, strict=True):
        values = [row[measure] for row in rows.values()]
        bars = axes.barh(
            range(len(rows)),
            values,
            0.7,
            color=[BLUE if value >= 0 else ORANGE for value in values],
            hatch=["" if value >= 0 else "///" for value in values],
            edgecolor="white",
        )
        axes.bar_label(bars, labels=[number.format(value) for value in values], fontsize=9, padding=3)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), list(rows) if axes is plots[0] else [""] * len(rows))
        axes.invert_yaxis()
        span = max(0.0, *values) - min(0.0, *values)
        axes.set_xlim(min(0.0, *values) - 0.32 * span, max(0.0, *values) + 0.32 * span)  # room for labels
        axes.spines["left"].set_visible(False)
        axes.set_title(measure, fontsize=10)
        value_grid(axes, "x")
    headline(drawn, title)
    return drawn
