"""Where a token looks: one head in numbers, and attention as squares over the picture, from plain arrays."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray
from PIL import Image

from helpers.view.images import Picture, picture, thinned
from helpers.view.style import ATTENTION, GREY, INK, ORANGE, QUERY, ROLES, Words, figure

Array = NDArray[np.floating]
Token = tuple[int, int]
"""Row and column."""
Maps = Sequence[Array]
"""One per head, [windows, queries, keys]: windows, and tokens inside a window, are numbered row by row."""


def windows(maps: Maps) -> tuple[Array, int, int]:
    """The maps as [head, window, query, key], how many windows lie in a row, and tokens in a window's row."""
    heads = np.stack(maps)
    return heads, math.isqrt(heads.shape[1]), math.isqrt(heads.shape[2])


def looks(maps: Maps, photo: Picture, point: tuple[int, int]) -> tuple[Token, Array]:
    """The token in which a point of a square picture lies (x, y in pixels), and where it looks: [head, n, n].

    Outside the token's window all is 0.
    """
    heads, across, side = windows(maps)
    row, column = (at * across * side // len(photo) for at in reversed(point))
    seen = heads[:, row // side * across + column // side, row % side * side + column % side]
    over = np.zeros((len(heads), across, side, across, side))
    over[:, row // side, :, column // side] = seen.reshape(-1, side, side)
    return (row, column), over.reshape(-1, across * side, across * side)


def digits(value: float) -> str:
    """Two digits, for a narrow cell: .31, −1.8, 12."""
    places = 2 if abs(value) < 0.995 else 1 if abs(value) < 9.95 else 0
    text = f"{value:z.{places}f}".replace("-", "\N{MINUS SIGN}")
    return text.replace("0.", ".") if places == 2 else text


def one_head(
    q: Array, k: Array, v: Array, *, asked: Array, bias: Array, token: Token, near: int, title: str, note: str
) -> Figure:
    """All that one head computes for the token that asks, as maps of numbers, one for each channel or step.

    q, k and v: [channels, n, n], two channels of q and k, four of v; asked: the token's query after its
    convolution over `near` x `near` tokens, a number for each channel; bias: [n, n], as the token sees it.
    """
    products = np.tensordot(asked, k, axes=1) / math.sqrt(len(k))
    scores = products + bias
    shares = np.exp(scores) / np.exp(scores).sum()
    inside = np.abs(np.indices(bias.shape) - np.reshape(token, (2, 1, 1))).max(axis=0) <= near // 2
    drawn, panels = figure(7.5, 7.0, columns=4, rows=3, title=title, note=note)
    drawn.set_layout_engine("constrained", rect=(0.02, 0, 0.96, 1), hspace=0.08, h_pad=0.06)  # words apart
    for first, letter, role, maps in ((0, "Q", "Q/K", q), (2, "K", "Q/K", k), (8, "V", "V", v)):
        channels = {f"{letter}, channel {place}": one for place, one in enumerate(maps, start=1)}
        _numbers(panels[first:], channels, role)
    _numbers(panels[4:], {"query · K / √2": products, "+ bias": bias, "= score": scores})
    _numbers(panels[7:], {"→ attention, %": 100 * shares}, "attention")
    for axes, number in zip(panels, asked, strict=False):
        axes.set_xlabel(f"convolved: query {digits(number)}", fontsize=10)
        _dashed(axes, inside)
    for axes, channel in zip(panels[8:], v, strict=True):
        axes.set_xlabel(f"mixed by it: {digits((shares * channel).sum())}", fontsize=10)
    for axes in panels:
        _outline(axes, token, len(bias))
    return drawn


_HEAD: dict[str, Any] = {"fontsize": 10, "loc": "center", "pad": 4}


def attention_grid(
    photo: Picture, blocks: Mapping[str, Maps], *, point: tuple[int, int], **words: Unpack[Words]
) -> Figure:
    """One row per block, one panel per head: how much the token at `point` (x, y in pixels) looks where.

    The area of a square is the weight. A square that fills its token is the largest weight in its row of
    panels; each head's own largest stands above it. A dashed line is the token's window, where it has one.
    """
    columns = 1 + max(map(len, blocks.values()))
    height = 0.65 + (7.5 / columns + 0.1) * len(blocks)
    drawn, panels = figure(7.5, height, columns=columns, rows=len(blocks), **words)
    for axes in panels:
        axes.set_axis_off()
    for row, (name, maps) in enumerate(blocks.items()):
        first, *rest = panels[row * columns :][:columns]
        token, seen = looks(maps, photo, point)
        tokens = seen.shape[-1]
        picture(first, thinned(photo))
        _outline(first, token, tokens)
        first.set_title(f"{name}\n{tokens} × {tokens} tokens", **_HEAD)
        for head, (axes, look) in enumerate(zip(rest, seen, strict=False), start=1):
            _looked(axes, photo, look, largest=seen.max(), token=token)
            if not look.any(axis=0).all():
                _dashed(axes, look > 0)
            axes.set_title(f"head {head}\nup to {100 * look.max():.0f} %", **_HEAD)
    return drawn


def cascade_cut(
    photo: Picture, chained: Maps, alone: Maps, *, point: tuple[int, int], **words: Unpack[Words]
) -> Figure:
    """One column per head: where the token at `point` looks with the cascade and without, and what moved.

    One scale for all: the area of a square is attention, or its change. Above: how much of it moved, in %.
    """
    (token, before), (_, after) = (looks(maps, photo, point) for maps in (chained, alone))
    change = after - before
    largest = max(before.max(), after.max())
    drawn, panels = figure(7.5, 6.0, columns=len(before), rows=3, **words)
    for head, moved in enumerate(change):
        column = panels[head :: len(change)]
        for axes, look in zip(column, (before[head], after[head], moved.clip(min=0)), strict=True):
            _looked(axes, photo, look, largest=largest, token=token)
        _areas(column[2], -moved.clip(max=0), largest=largest, colour=ORANGE)
        column[0].set_title(f"head {head + 1}\n{50 * np.abs(moved).sum():.0f} % moved", **_HEAD)
        if not moved.any():
            told = "hears no other head:\nnothing moves"
            column[2].text(0.5, 0.85, told, ha="center", va="center", fontsize=10)
    names = ("with the cascade", "cascade cut", "blue more, orange less")
    for axes, name in zip(panels[:: len(change)], names, strict=True):
        axes.set_ylabel(name, fontsize=10)
    return drawn


def live_maps(photo: Picture, blocks: Mapping[str, Maps], *, point: tuple[int, int]) -> dict[str, Any]:
    """What the live picture `cat` draws: the maps of each block in 8-bit numbers.

    They are edges of squares, roots of the weights, so that the small ones keep their steps, too; beside
    them the largest weight of each map's row, in %.
    """

    def packed(values: Array) -> str:
        return base64.b64encode(values.round().astype(np.uint8).tobytes()).decode()

    stages = []
    for name, maps in blocks.items():
        heads, across, side = windows(maps)
        stage = {"name": name, "heads": len(heads), "across": across, "side": side}
        edges, percent = 255 * np.sqrt(heads / heads.max()), 100 * heads.max(axis=-1)
        stages.append(stage | {"edges": packed(edges), "percent": packed(percent)})
    packed_photo = io.BytesIO()
    Image.fromarray(photo).save(packed_photo, "JPEG", quality=75)
    uri = f"data:image/jpeg;base64,{base64.b64encode(packed_photo.getvalue()).decode()}"
    return {"photo": uri, "point": [at / len(photo) for at in point], "stages": stages}


def _looked(axes: Axes, photo: Picture, look: Array, *, largest: float, token: Token) -> None:
    """A pale picture, for marks to stand out on, in few greys; squares on it, and who asks."""
    grey = thinned(photo, side=74).mean(axis=2, keepdims=True).repeat(3, axis=2)
    picture(axes, (255 - (255 - grey) * 0.35).astype(np.uint8) // 8 * 8)
    _areas(axes, look, largest=largest, colour=ATTENTION)
    _outline(axes, token, len(look))


def _areas(axes: Axes, weights: Array, *, largest: float, colour: str) -> None:
    """A square on each token, its area the weight; the largest fills it."""
    rows, columns = np.nonzero(weights)
    edges = np.sqrt(weights[rows, columns] / largest)[:, None, None]
    centres = np.stack([columns, rows], axis=1)[:, None] + 0.5
    squares = centres + edges * (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - 0.5)
    together = Path.make_compound_path_from_polys(squares / len(weights))  # one path: a smaller file
    axes.add_patch(PathPatch(together, facecolor=colour, linewidth=0))


def _numbers(panels: Sequence[Axes], maps: Mapping[str, Array], role: str = "") -> None:
    """Maps with their numbers, each in a panel, all on one scale; darker means larger."""
    shades = LinearSegmentedColormap.from_list("shades", ["white", ROLES.get(role, GREY)])
    every = np.stack([*maps.values()])
    low, high = every.min(), every.max() + 0.6 * np.ptp(every)  # never too dark for ink
    for axes, (name, values) in zip(panels, maps.items(), strict=False):
        picture(axes, values, cmap=shades, vmin=low, vmax=high)
        axes.set_title(name, **_HEAD)
        for (row, column), value in np.ndenumerate(values):
            x, y = (column + 0.5) / len(values), (row + 0.5) / len(values)
            axes.text(x, y, digits(float(value)), ha="center", va="center", fontsize=10)


def _dashed(axes: Axes, inside: NDArray[np.bool_]) -> None:
    """A dashed frame round the tokens of a window."""
    n = len(inside)
    (top, left), (down, right) = np.argwhere(inside).min(axis=0), np.argwhere(inside).max(axis=0) + 1
    look: dict[str, Any] = {"fill": False, "edgecolor": INK, "linewidth": 1.2, "linestyle": "--"}
    axes.add_patch(Rectangle((left / n, top / n), (right - left) / n, (down - top) / n, **look))


def _outline(axes: Axes, token: Token, side: int) -> None:
    """A frame outside the token that asks, dark between light for any picture, and below all squares."""
    down, right = token
    around, own = np.array([[[-9, -9], [99, -9], [99, 99], [-9, 99]], [[0, 0], [0, 1], [1, 1], [1, 0]]])
    outside = Path.make_compound_path_from_polys(np.array([around, own + np.array([right, down])]) / side)
    for colour, width in (("white", 2.3), (QUERY, 1.8), ("white", 0.4)):
        look: dict[str, Any] = {"edgecolor": colour, "linewidth": 2 * width, "zorder": 0.5, "fill": False}
        frame = axes.add_patch(Rectangle((right / side, down / side), 1 / side, 1 / side, **look))
        frame.set_clip_path(outside, axes.transData)
