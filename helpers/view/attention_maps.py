"""Where a token looks: attention as squares over the picture, from plain arrays, and a picker of them."""

from collections.abc import Mapping

import ipywidgets as widgets  # type: ignore[import-untyped]
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray

from helpers.view import browser
from helpers.view.pictures import Picture, thinned
from helpers.view.style import BLUE, GREY, INK, RED, figure, headline, svg

Looks = NDArray[np.floating]
"""[heads, n, n, n, n]: head, then row and column of the token that asks, then of the one it looks at."""


def attention_grid(
    picture: Picture, blocks: Mapping[str, Looks], *, point: tuple[int, int], title: str
) -> Figure:
    """One row per block, one panel per head: how much the token at `point` (x, y in pixels) looks where.

    The area of a square is the weight. A square that fills its token is the largest weight in its row of
    panels; each head's own largest stands above it. A dashed line is the token's window, where it has one.
    """
    most_heads = max(len(looks) for looks in blocks.values())
    panel = 7.5 / (most_heads + 1)
    drawn, panels = figure(7.5, 0.45 + (panel + 0.3) * len(blocks), columns=most_heads + 1, rows=len(blocks))
    for row, (name, looks) in enumerate(blocks.items()):
        first, *rest = panels[row * (most_heads + 1) :][: most_heads + 1]
        side = looks.shape[-1]
        token = _token_at(point, side=side, pixels=len(picture))
        _picture(first, picture, pale=False)
        _outline(first, token, side)
        first.set_title(f"{name}\n{side} × {side} tokens", fontsize=9, loc="center", pad=4)
        for head, axes in enumerate(rest):
            if head < len(looks):
                seen = looks[:, *token]
                _squares(axes, picture, seen[head], largest=float(seen.max()), token=token)
                axes.set_title(
                    f"head {head + 1}\nlargest {seen[head].max():.2f}", fontsize=9, loc="center", pad=4
                )
            else:
                axes.set_axis_off()
    headline(drawn, title)
    return drawn


def attention_panel(
    picture: Picture, look: NDArray[np.floating], *, token: tuple[int, int], title: str
) -> Figure:
    """One head's map [n, n] for the token in (row, column), large."""
    drawn, (axes,) = figure(4.6, 4.8)
    _squares(axes, picture, look, largest=float(look.max()), token=token)
    axes.set_title(title, fontsize=11)
    return drawn


def attention_picker(picture: Picture, blocks: Mapping[str, Looks]) -> widgets.VBox | None:
    """Controls for block, head and token over one large map, or None where no widget would answer.

    Under a Jupyter server a browser can talk to the kernel; in a papermill run or a saved page none can.
    """
    if not browser.can_answer():
        return None
    block = widgets.Dropdown(options=list(blocks), description="block")
    sliders = [
        widgets.IntSlider(min=1, description=name, continuous_update=False)
        for name in ("head", "row", "column")
    ]
    view = widgets.HTML()

    def draw(_change: object = None) -> None:
        looks = blocks[block.value]
        # While a smaller block lowers the limits one by one, some values still lie beyond it.
        at, *token = (min(slider.value, size) - 1 for slider, size in zip(sliders, looks.shape, strict=False))
        look = looks[at, *token]
        where = f"token ({token[0] + 1}, {token[1] + 1}): largest {look.max():.2f}"
        says = f"{block.value}, head {at + 1}"
        panel = attention_panel(picture, look, token=(token[0], token[1]), title=f"{says}\n{where}")
        view.value = svg(panel, alt=f"{says}, {where}")

    def limit(_change: object = None) -> None:
        for slider, size in zip(sliders, blocks[block.value].shape, strict=False):
            slider.max = size
        draw()

    block.observe(limit, "value")
    for slider in sliders:
        slider.observe(draw, "value")
    limit()
    return widgets.VBox([block, *sliders, view])


def _token_at(point: tuple[int, int], *, side: int, pixels: int) -> tuple[int, int]:
    """Row and column of the token that covers a point given as x and y."""
    x, y = point
    return y * side // pixels, x * side // pixels


def _picture(axes: Axes, picture: Picture, *, pale: bool) -> None:
    """The square picture, 0 to 1 both ways; `pale` is grey and light, for marks to stand out on."""
    shown = thinned(picture)  # each panel carries its own copy
    if pale:
        grey = shown.mean(axis=2, keepdims=True).repeat(3, axis=2)
        shown = (255 - (255 - grey) * 0.35).astype(np.uint8) // 8 * 8  # few greys, too
    axes.imshow(shown, extent=(0, 1, 1, 0), interpolation="none")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(GREY)


def _squares(
    axes: Axes, picture: Picture, look: NDArray[np.floating], *, largest: float, token: tuple[int, int]
) -> None:
    _picture(axes, picture, pale=True)
    n = len(look)
    edges = np.sqrt(look / largest) / n
    squares = [
        Rectangle(((column + 0.5) / n - edge / 2, (row + 0.5) / n - edge / 2), edge, edge)
        for (row, column), edge in np.ndenumerate(edges)
        if edge > 0
    ]
    together = Path.make_compound_path(
        *(square.get_transform().transform_path(square.get_path()) for square in squares)
    )
    axes.add_patch(PathPatch(together, facecolor=BLUE, linewidth=0))  # one path: a smaller file
    rows, columns = (np.flatnonzero(look.sum(axis=across)) for across in (1, 0))
    if len(rows) < n or len(columns) < n:
        corner, span = (columns[0] / n, rows[0] / n), (len(columns) / n, len(rows) / n)
        axes.add_patch(Rectangle(corner, *span, fill=False, edgecolor=INK, linewidth=1, linestyle="--"))
    _outline(axes, token, n)


def _outline(axes: Axes, token: tuple[int, int], side: int) -> None:
    """A frame round the token that asks, light inside dark, so that it shows on any picture."""
    row, column = token
    for colour, width in (("white", 3.6), (RED, 1.8)):
        axes.add_patch(
            Rectangle(
                (column / side, row / side),
                1 / side,
                1 / side,
                fill=False,
                edgecolor=colour,
                linewidth=width,
                zorder=3,
            )
        )
