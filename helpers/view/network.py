"""The network and its plans, drawn to scale: every layer, what pruning moved, and what a change costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Polygon, Rectangle

from helpers.view.style import BLUE, GREY, INK, TINT, Words, bar, bare, figure, label, lying

STEM = "stem and downsampling"
SHADES = LinearSegmentedColormap.from_list("shades", ["white", BLUE])  # lightness falls with the value


@dataclass(frozen=True)
class Layer:
    """What one layer gives, `width` channels of side x side tokens; `spent[role]` is (parameters, MACs)."""

    name: str
    side: int
    width: int
    spent: Mapping[str, tuple[int, int]]


def to_scale(layers: Sequence[Layer], opened: Sequence[Layer], **words: Unpack[Words]) -> Figure:
    """All layers to scale, the first downsampling opened, and on the same x each layer's costs."""
    drawn, plots = figure(7.5, 7.6, rows=4, **words)
    if grid := plots[0].get_gridspec():
        grid.set_height_ratios([2.1, 1.6, 1.4, 1.4])
    whole, inside, *strips = plots
    for place, layer in enumerate(layers):
        _slab(whole, place, layer)
        whole.text(place, -1, f"{layer.name}\n{layer.width:,}", ha="center", va="top", fontsize=9)
    for side in dict.fromkeys(layer.side for layer in layers if layer.side > 1):
        first, *_, last = (place for place, layer in enumerate(layers) if layer.side == side)
        whole.plot([first - 0.35, last + 0.35], [19, 19], color=GREY, linewidth=1)
        tokens = f"{side} × {side} = {side**2} tokens"
        label(whole, tokens, ((first + last) / 2, 19), dy=4, fontsize=9.5, fontweight="bold")
    whole.set(xlim=(-0.6, len(layers) - 0.4), ylim=(-6, 22))
    whole.set_axis_off()
    _chain(inside, opened)
    place = next(place for place, layer in enumerate(layers) if STEM in layer.spent and place)
    for foot, corner in ((-0.3, 0), (0.3, 1)):
        at, to = (place + foot, -5.4), (corner, 0.98)
        line = ConnectionPatch(at, to, whole.transData, inside.transAxes, color=GREY, linestyle=":")
        drawn.add_artist(line)
    _strip(strips[0], layers, 0, 1e3, "Parameters, thousands")
    _strip(strips[1], layers, 1, 1e6, "Multiply-accumulates (MACs), millions")
    below: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, -0.01), "borderaxespad": 0}
    strips[1].legend(fontsize=9.5, ncols=5, handlelength=1, columnspacing=1.2, **below)
    return drawn


def _strip(axes: Axes, layers: Sequence[Layer], which: int, unit: float, what: str) -> None:
    """A bar for each layer, made of its roles."""
    bottom = np.zeros(len(layers))
    for role in dict.fromkeys(role for layer in layers for role in layer.spent):
        part = np.array([layer.spent.get(role, (0, 0))[which] / unit for layer in layers])
        axes.bar(range(len(layers)), part, 0.62, bottom=bottom, label=role, **bar(role, otherwise=INK))
        bottom += part
    for place, tall in enumerate(bottom):
        label(axes, f"{tall:,.0f}" if tall >= 1 else f"{tall:.1f}", (place, tall), dy=3, fontsize=9)
    axes.set_title(f"{what}: {bottom.sum():,.0f} in all", pad=4)
    axes.set(xlim=(-0.6, len(layers) - 0.4), ylim=(0, 1.18 * bottom.max()), xticks=[], yticks=[])
    axes.spines["left"].set_visible(False)


def _slab(axes: Axes, place: int, layer: Layer) -> None:
    """A slab as long as its channels, as high and as deep as its tokens; the tokens are its right end."""
    side, away, up = layer.side, 0.028, 0.2  # one token's depth: to the right in columns, upwards in tokens
    right = place + (layer.width / 1150 - away * side) / 2
    left, far = right - layer.width / 1150, right + away * side
    face = bar(next(iter(layer.spent)) if STEM in layer.spent else "", otherwise=TINT if side > 1 else INK)
    high = side * (1 + up)
    axes.add_patch(Polygon([(left, 0), (right, 0), (right, side), (left, side)], **face))
    top = [(left, side), (right, side), (far, high), (left + far - right, high)]
    axes.add_patch(Polygon(top, **face, alpha=0.6))
    for token in range(side + 1):
        x = right + away * token
        axes.plot([x, x], [up * token, side + up * token], color=INK, linewidth=0.3)
        axes.plot([right, far], [token, token + up * side], color=INK, linewidth=0.3)


def _chain(axes: Axes, layers: Sequence[Layer]) -> None:
    """Boxes as high as the side of the map and as long as the channels, with a line between token rows."""
    gap = 0.02 * sum(layer.width for layer in layers)
    widest = {layer.side: layer for layer in sorted(layers[::-1], key=lambda layer: layer.width)}
    left = 0.0
    for layer in layers:
        (role,) = layer.spent
        axes.add_patch(Rectangle((left, 0), layer.width, layer.side, **bar(role)))
        axes.hlines(range(1, layer.side), left, left + layer.width, color="white", linewidth=0.4)
        middle = left + layer.width / 2
        size = f" × {layer.side} × {layer.side}" if layer is widest[layer.side] else ""
        axes.text(middle, layer.side + 0.5, f"{layer.width}{size}", ha="center", va="bottom", fontsize=9)
        axes.text(middle, -0.7, layer.name, ha="center", va="top", fontsize=9)
        left += layer.width + gap
    axes.set(xlim=(-gap, left), ylim=(-4.5, 17))
    axes.set_axis_off()


def reallocation(
    plans: Mapping[str, Mapping[str, int]],
    pruned: Mapping[str, Mapping[str, Sequence[float]]],
    **words: Unpack[Words],
) -> Figure:
    """Channels of Q, K, V and FFN under two plans, what the second cuts dashed; below, what pruning left.

    `plans[plan][part]` are channels to one scale; `pruned[network][kind]` is the share left in % by block.
    """
    drawn, _ = figure(7.5, 4.6, rows=0, **words)
    blocks = [len(next(iter(strips.values()))) for strips in pruned.values()]
    grid = drawn.add_gridspec(2, len(pruned), width_ratios=blocks, height_ratios=[1.1, 1])
    above = drawn.add_subplot(grid[0, :])
    usual, ours = plans.values()
    gap, places = 0.03 * sum(usual.values()), {}
    left = 0.0
    for part, whole in usual.items():
        places[part] = left
        role = "Q/K" if part in "QK" else part
        for row, channels in enumerate((whole, ours[part])):
            if channels < whole:
                above.barh(row, whole, 0.6, left=left, facecolor="white", edgecolor=GREY, linestyle="--")
            above.barh(row, channels, 0.6, left=left, **bar(role))
            above.text(left, row - 0.38, f"{part} {channels}", va="bottom", fontsize=10)
        left += whole + gap
    for parts in (list(usual)[:-1], list(usual)[-1:]):
        share = sum(ours[part] for part in parts) / sum(usual[part] for part in parts)
        text = f"weights: {100 * share:.0f} %"
        above.text(places[parts[0]], 1.38, text, va="top", fontsize=10, fontweight="bold")
    lying(above, list(plans))
    above.set_ylim(1.8, -0.8)
    bare(above)
    for place, (network, strips) in enumerate(pruned.items()):
        axes = drawn.add_subplot(grid[1, place])
        values = np.array(list(strips.values()))
        axes.imshow(values, cmap=SHADES, vmin=0, vmax=100, aspect="auto")
        for (row, block), value in np.ndenumerate(values):
            ink = "white" if value > 60 else INK
            axes.text(block, row, f"{value:.0f}", ha="center", va="center", fontsize=9.5, color=ink)
        axes.set_yticks(range(len(strips)), list(strips) if not place else [""] * len(strips))
        axes.set_xticks(range(blocks[place]), [str(block + 1) for block in range(blocks[place])])
        axes.spines[:].set_visible(False)
        axes.set_title(network, pad=5)
        axes.set_xlabel("block", fontsize=10)
    return drawn
