"""Where a token looks: attention as squares over the picture, from plain arrays, and a picker of them."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets  # type: ignore[import-untyped]
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from helpers.view.images import Picture, framed, thinned
from helpers.view.style import ATTENTION, INK, QUERY, figure, headline, svg

Looks = NDArray[np.floating]
"""[heads, n, n, n, n]: head, then row and column of the token that asks, then of the one it looks at."""


def looks(maps: Sequence[NDArray[np.floating]]) -> Looks:
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


_HEAD: dict[str, Any] = {"fontsize": 9, "loc": "center", "pad": 4}


def attention_grid(
    picture: Picture, blocks: Mapping[str, Looks], *, point: tuple[int, int], title: str
) -> Figure:
    """One row per block, one panel per head: how much the token at `point` (x, y in pixels) looks where.

    The area of a square is the weight. A square that fills its token is the largest weight in its row of
    panels; each head's own largest stands above it. A dashed line is the token's window, where it has one.
    """
    columns = 1 + max(len(looks) for looks in blocks.values())
    side = 7.5 / columns
    drawn, panels = figure(7.5, 0.45 + (side + 0.3) * len(blocks), columns=columns, rows=len(blocks))
    for axes in panels:
        axes.set_axis_off()
    for row, (name, looks) in enumerate(blocks.items()):
        first, *rest = panels[row * columns :][:columns]
        tokens = looks.shape[-1]
        x, y = point
        token = (y * tokens // len(picture), x * tokens // len(picture))
        _picture(first, thinned(picture))
        _outline(first, token, tokens)
        first.set_title(f"{name}\n{tokens} × {tokens} tokens", **_HEAD)
        seen = looks[:, *token]
        for head, (axes, look) in enumerate(zip(rest, seen, strict=False), start=1):
            _squares(axes, picture, look, largest=float(seen.max()), token=token)
            axes.set_title(f"head {head}\nlargest {look.max():.2f}", **_HEAD)
    headline(drawn, title)
    return drawn


def attention_picker(picture: Picture, blocks: Mapping[str, Looks]) -> widgets.VBox | None:
    """Controls for block, head and token over one large map, or None where no widget would answer.

    Under a Jupyter server a browser can talk to the kernel; in a papermill run or a saved page none can.
    """
    if "JPY_SESSION_NAME" not in os.environ:  # set by a Jupyter server, and by nothing else
        return None
    block = widgets.Dropdown(options=list(blocks), description="block")
    names = ("head", "row", "column")
    sliders = [widgets.IntSlider(min=1, description=name, continuous_update=False) for name in names]
    view = widgets.HTML()

    def draw(_change: object = None) -> None:
        looks = blocks[block.value]
        # While a smaller block lowers the limits one by one, some values still lie beyond it.
        at, *token = (min(slider.value, size) - 1 for slider, size in zip(sliders, looks.shape, strict=False))
        look = looks[at, *token]
        where = f"token ({token[0] + 1}, {token[1] + 1}): largest {look.max():.2f}"
        says = f"{block.value}, head {at + 1}"
        drawn, (axes,) = figure(4.6, 4.8)
        _squares(axes, picture, look, largest=float(look.max()), token=(token[0], token[1]))
        axes.set_title(f"{says}\n{where}", fontsize=11)
        view.value = svg(drawn, alt=f"{says}, {where}")

    def limit(_change: object = None) -> None:
        for slider, size in zip(sliders, blocks[block.value].shape, strict=False):
            slider.max = size
        draw()

    block.observe(limit, "value")
    for slider in sliders:
        slider.observe(draw, "value")
    limit()
    return widgets.VBox([block, *sliders, view])


def _picture(axes: Axes, shown: Picture) -> None:
    """The square picture, 0 to 1 both ways."""
    axes.set_axis_on()
    axes.imshow(shown, extent=(0, 1, 1, 0), interpolation="none")
    framed(axes)


def _squares(
    axes: Axes, picture: Picture, look: NDArray[np.floating], *, largest: float, token: tuple[int, int]
) -> None:
    grey = thinned(picture).mean(axis=2, keepdims=True).repeat(3, axis=2)
    pale = (255 - (255 - grey) * 0.35).astype(np.uint8) // 8 * 8  # for marks to stand out on, in few greys
    _picture(axes, pale)
    n = len(look)
    squares = [
        Path.unit_rectangle().transformed(Affine2D().scale(edge).translate(*corner))
        for (row, column), edge in np.ndenumerate(np.sqrt(look / largest) / n)
        if edge > 0
        for corner in [((column + 0.5) / n - edge / 2, (row + 0.5) / n - edge / 2)]
    ]
    together = Path.make_compound_path(*squares)  # one path: a smaller file
    axes.add_patch(PathPatch(together, facecolor=ATTENTION, linewidth=0))
    rows, columns = (np.flatnonzero(look.sum(axis=across)) for across in (1, 0))
    if len(rows) < n or len(columns) < n:
        corner, span = (columns[0] / n, rows[0] / n), (len(columns) / n, len(rows) / n)
        axes.add_patch(Rectangle(corner, *span, fill=False, edgecolor=INK, linewidth=1, linestyle="--"))
    _outline(axes, token, n)


def _outline(axes: Axes, token: tuple[int, int], side: int) -> None:
    """A frame round the token that asks, light inside dark, so that it shows on any picture."""
    corner = (token[1] / side, token[0] / side)
    for colour, width in (("white", 3.6), (QUERY, 1.8)):
        frame = Rectangle(corner, 1 / side, 1 / side, fill=False, edgecolor=colour, linewidth=width, zorder=3)
        axes.add_patch(frame)
