"""Where a token looks: one head in numbers, and attention as squares over the picture, from plain arrays."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from PIL import Image

from helpers.view.images import Picture, framed, thinned
from helpers.view.style import ATTENTION, GREY, INK, ORANGE, QUERY, ROLES, figure, headline

Array = NDArray[np.floating]
Token = tuple[int, int]
"""Row and column."""
Looks = Array
"""[heads, n, n, n, n]: head, then row and column of the token that asks, then of the one it looks at."""


def looks(maps: Sequence[Array]) -> Looks:
    """The heads' attention maps, each [windows, queries, keys], over the whole feature map.

    Windows, and tokens inside a window, are numbered row by row. Outside a token's window all is 0.
    """
    heads = np.stack(maps)
    side, across = math.isqrt(heads.shape[2]), math.isqrt(heads.shape[1])
    tiles = heads.reshape(-1, across, across, side, side, side, side)
    over = np.zeros((len(heads), *4 * (across, side)))
    for down in range(across):
        for right in range(across):
            over[:, down, :, right, :, down, :, right] = tiles[:, down, right]
    return over.reshape(len(heads), *4 * (across * side,))


def digits(value: float) -> str:
    """Two digits, for a narrow cell: .31, −1.8, 12."""
    places = 2 if abs(value) < 0.995 else 1 if abs(value) < 9.95 else 0
    text = f"{value:z.{places}f}".replace("-", "\N{MINUS SIGN}")
    return text.replace("0.", ".") if places == 2 else text


def one_head(
    q: Array,
    k: Array,
    v: Array,
    *,
    asked: Array,
    bias: Array,
    token: Token,
    reach: int,
    title: str,
    note: str,
) -> Figure:
    """All that one head computes for the token that asks, as maps of numbers, one for each channel or step.

    q, k and v: [channels, n, n], two channels of q and k, four of v; asked: the token's query after its
    convolution over `reach` x `reach` tokens, a number for each channel; bias: [n, n], as the token sees it.
    """
    products = np.tensordot(asked, k, axes=1) / math.sqrt(len(k))
    scores = products + bias
    shares = np.exp(scores) / np.exp(scores).sum()
    near = np.abs(np.indices(bias.shape) - np.reshape(token, (2, 1, 1))).max(axis=0) <= reach // 2
    drawn, axes = figure(7.5, 6.8, columns=4, rows=3)
    drawn.set_layout_engine("constrained", rect=(0.02, 0, 0.96, 1), hspace=0.09)  # apart from the next title
    for place, (channel, number) in enumerate(zip(q, asked, strict=True)):
        _numbers(axes[place], channel, f"Q, channel {place + 1}", of=q, role="Q/K")
        axes[place].set_xlabel(f"convolved: query {digits(number)}", fontsize=10)
        _dashed(axes[place], near)
    for place, channel in enumerate(k, start=2):
        _numbers(axes[place], channel, f"K, channel {place - 1}", of=k, role="Q/K")
    steps = {"query · K / √2": products, "+ bias": bias, "= score": scores}
    for place, (name, values) in enumerate(steps.items(), start=4):
        _numbers(axes[place], values, name, of=np.stack([*steps.values()]))
    _numbers(axes[7], 100 * shares, "→ share, %", of=100 * shares, role="attention")
    for place, channel in enumerate(v, start=8):
        _numbers(axes[place], channel, f"V, channel {place - 7}", of=v, role="V")
        axes[place].set_xlabel(f"mixed by share: {digits((shares * channel).sum())}", fontsize=10)
    for panel in axes:
        _outline(panel, token, len(bias))
    headline(drawn, title, note)
    return drawn


_HEAD: dict[str, Any] = {"fontsize": 10, "loc": "center", "pad": 4}


def attention_grid(
    picture: Picture, blocks: Mapping[str, Looks], *, point: tuple[int, int], title: str, note: str = ""
) -> Figure:
    """One row per block, one panel per head: how much the token at `point` (x, y in pixels) looks where.

    The area of a square is the weight. A square that fills its token is the largest weight in its row of
    panels; each head's own largest stands above it. A dashed line is the token's window, where it has one.
    """
    columns = 1 + max(len(looks) for looks in blocks.values())
    side = 7.5 / columns
    drawn, panels = figure(7.5, 0.65 + (side + 0.1) * len(blocks), columns=columns, rows=len(blocks))
    for axes in panels:
        axes.set_axis_off()
    for row, (name, looks) in enumerate(blocks.items()):
        first, *rest = panels[row * columns :][:columns]
        tokens = looks.shape[-1]
        token = token_at(picture, point, tokens)
        _picture(first, thinned(picture))
        _outline(first, token, tokens)
        first.set_title(f"{name}\n{tokens} × {tokens} tokens", **_HEAD)
        seen = looks[:, *token]
        for head, (axes, look) in enumerate(zip(rest, seen, strict=False), start=1):
            _looked(axes, picture, look, largest=float(seen.max()), token=token)
            if not all(look.any(axis=across).all() for across in (0, 1)):
                _dashed(axes, look > 0)
            axes.set_title(f"head {head}\nup to {100 * look.max():.0f} %", **_HEAD)
    headline(drawn, title, note)
    return drawn


def cascade_cut(
    picture: Picture, chained: Looks, alone: Looks, *, point: tuple[int, int], title: str, note: str
) -> Figure:
    """One column per head: where the token at `point` looks with the cascade and without, and what moved.

    One scale for all: the area of a square is attention, or its change. Above: how much of it moved, in %.
    """
    token = token_at(picture, point, chained.shape[-1])
    before, after = chained[:, *token], alone[:, *token]
    change = after - before
    largest = float(max(before.max(), after.max()))
    drawn, panels = figure(7.5, 6.0, columns=len(before), rows=3)
    for head, moved in enumerate(change):
        column = panels[head :: len(change)]
        for axes, look in zip(column, (before[head], after[head], moved.clip(min=0)), strict=True):
            _looked(axes, picture, look, largest=largest, token=token)
        _areas(column[2], -moved.clip(max=0), largest=largest, colour=ORANGE)
        column[0].set_title(f"head {head + 1}\n{50 * np.abs(moved).sum():.0f} % moved", **_HEAD)
        if not moved.any():
            told = "hears no other head:\nnothing moves"
            column[2].text(0.5, 0.85, told, ha="center", va="center", fontsize=10)
    names = ("with the cascade", "cascade cut", "blue more, orange less")
    for axes, name in zip(panels[:: len(change)], names, strict=True):
        axes.set_ylabel(name, fontsize=10)
    headline(drawn, title, note)
    return drawn


def token_at(picture: Picture, point: tuple[int, int], tokens: int) -> Token:
    """The token, of `tokens` in a row, in which a point of a square picture lies (x, y in pixels)."""
    x, y = point
    return y * tokens // len(picture), x * tokens // len(picture)


def live_maps(
    picture: Picture, blocks: Mapping[str, Sequence[Array]], *, point: tuple[int, int]
) -> dict[str, Any]:
    """What the live picture `cat` draws: the maps of each block, as for `looks`, in 8-bit numbers.

    They are edges of squares, roots of the weights, so that the small ones keep their steps, too; beside
    them the largest weight of each map's row, in %.
    """
    stages = []
    for name, maps in blocks.items():
        heads = np.stack(maps)
        bytes_of = {"edges": np.sqrt(heads / heads.max()) * 255, "percent": 100 * heads.max(axis=-1)}
        packed = {
            name: base64.b64encode(values.round().astype(np.uint8).tobytes()).decode()
            for name, values in bytes_of.items()
        }
        across, side = (math.isqrt(tokens) for tokens in heads.shape[1:3])
        stages.append({"name": name, "heads": len(heads), "across": across, "side": side, **packed})
    photo = io.BytesIO()
    Image.fromarray(picture).save(photo, "JPEG", quality=75)
    uri = f"data:image/jpeg;base64,{base64.b64encode(photo.getvalue()).decode()}"
    return {"photo": uri, "point": [at / len(picture) for at in point], "stages": stages}


def _picture(axes: Axes, shown: Picture) -> None:
    """The square picture, 0 to 1 both ways."""
    axes.set_axis_on()
    axes.imshow(shown, extent=(0, 1, 1, 0), interpolation="none")
    framed(axes)


def _looked(axes: Axes, picture: Picture, look: Array, *, largest: float, token: Token) -> None:
    """A pale picture, for marks to stand out on, in few greys; squares on it, and who asks."""
    grey = thinned(picture, side=74).mean(axis=2, keepdims=True).repeat(3, axis=2)
    _picture(axes, (255 - (255 - grey) * 0.35).astype(np.uint8) // 8 * 8)
    _areas(axes, look, largest=largest, colour=ATTENTION)
    _outline(axes, token, len(look))


def _areas(axes: Axes, weights: Array, *, largest: float, colour: str) -> None:
    """A square on each token, its area the weight; the largest fills it."""
    n = len(weights)
    squares = [
        Path.unit_rectangle().transformed(Affine2D().scale(edge).translate(*corner))
        for (row, column), edge in np.ndenumerate(np.sqrt(weights / largest) / n)
        if edge > 0
        for corner in [((column + 0.5) / n - edge / 2, (row + 0.5) / n - edge / 2)]
    ]
    if squares:
        together = Path.make_compound_path(*squares)  # one path: a smaller file
        axes.add_patch(PathPatch(together, facecolor=colour, linewidth=0))


def _numbers(axes: Axes, values: Array, title: str, *, of: Array, role: str = "") -> None:
    """A map with its numbers; darker means larger, on the scale of all the maps `of` its kind."""
    n = len(values)
    shades = LinearSegmentedColormap.from_list("shades", ["white", ROLES.get(role, GREY)])
    low, high = of.min(), of.max() + 0.6 * np.ptp(of)  # never too dark for ink
    axes.imshow(values, cmap=shades, vmin=low, vmax=high, extent=(0, 1, 1, 0), interpolation="none")
    framed(axes)
    axes.set_title(title, **_HEAD)
    for (row, column), value in np.ndenumerate(values):
        axes.text(
            (column + 0.5) / n, (row + 0.5) / n, digits(float(value)), ha="center", va="center", fontsize=10
        )


def _dashed(axes: Axes, inside: NDArray[np.bool_]) -> None:
    """A dashed frame round the tokens of a window."""
    n = len(inside)
    (top, left), (down, right) = np.argwhere(inside).min(axis=0), np.argwhere(inside).max(axis=0) + 1
    look: dict[str, Any] = {"fill": False, "edgecolor": INK, "linewidth": 1.2, "linestyle": "--"}
    axes.add_patch(Rectangle((left / n, top / n), (right - left) / n, (down - top) / n, **look))


def _outline(axes: Axes, token: Token, side: int) -> None:
    """A frame round the token that asks, light inside dark, so that it shows on any picture."""
    corner = (token[1] / side, token[0] / side)
    for colour, width in (("white", 3.6), (QUERY, 1.8)):
        frame = Rectangle(corner, 1 / side, 1 / side, fill=False, edgecolor=colour, linewidth=width, zorder=3)
        axes.add_patch(frame)
