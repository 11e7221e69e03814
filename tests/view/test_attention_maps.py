from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle

from helpers.view import attention_maps
from helpers.view.attention_maps import attention_grid, attention_picker

PICTURE = np.full((224, 224, 3), 120, dtype=np.uint8)


def looks(*, heads: int, side: int) -> np.ndarray:
    """Every token looks at itself, 0.6, and at the one in the upper left corner, 0.1 times the head."""
    found = np.zeros((heads, side, side, side, side))
    for head in range(heads):
        for row, column in np.ndindex(side, side):
            found[head, row, column, row, column] += 0.6
            found[head, row, column, 0, 0] += 0.1 * (head + 1)
    return found


def squares(drawn: Figure, panel: int) -> dict[tuple[float, float], float]:
    """Area of each square of a panel, in tokens of a 7 x 7 map, by its centre."""
    (patch,) = [p for p in drawn.axes[panel].patches if isinstance(p, PathPatch)]
    corners = patch.get_path().vertices.reshape(-1, 5, 2)[:, :4] * 7
    return {
        tuple(square.mean(axis=0).round(3)): round(float(np.ptp(square[:, 0]) * np.ptp(square[:, 1])), 3)
        for square in corners
    }


def test_maps_of_windows_lie_where_the_windows_lie() -> None:
    """Every token looks at the next one of its window; the second head's maps hold the window's number."""
    following = np.broadcast_to(np.roll(np.eye(9), 1, axis=1), (4, 9, 9))  # [window, query, key]
    numbered = np.broadcast_to(np.arange(4.0)[:, None, None], (4, 9, 9))
    over = attention_maps.looks([following, numbered])
    assert over.shape == (2, 6, 6, 6, 6)
    for row, column in np.ndindex(6, 6):
        window = np.zeros((6, 6))
        window[row // 3 * 3 :, column // 3 * 3 :][:3, :3] = row // 3 * 2 + column // 3
        assert np.array_equal(over[1, row, column], window)
        if column % 3 < 2:  # the next one of a window's row
            assert over[0, row, column, row, column + 1] == over[0, row, column].sum() == 1


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    yield


def test_squares_lie_where_the_token_looks_and_their_area_is_the_weight() -> None:
    drawn = attention_grid(PICTURE, {"block": looks(heads=2, side=7)}, point=(100, 40), title="t")
    assert squares(drawn, 1) == {(0.5, 0.5): round(0.1 / 0.6, 3), (3.5, 1.5): 1}
    assert squares(drawn, 2) == {(0.5, 0.5): round(0.2 / 0.6, 3), (3.5, 1.5): 1}
    assert drawn.axes[2].get_title() == "head 2\nlargest 0.60"


def test_the_token_that_asks_is_framed_and_its_window_where_it_has_one() -> None:
    window = np.zeros((1, 14, 14, 14, 14))
    window[:, :7, :7, :7, :7] = 1 / 49
    whole = np.full((2, 7, 7, 7, 7), 1 / 49)
    drawn = attention_grid(PICTURE, {"1": window, "2": whole}, point=(50, 70), title="t")
    outlines = [
        {
            (patch.get_linestyle(), *(round(14 * edge) for edge in patch.get_bbox().bounds))
            for patch in axes.patches
            if isinstance(patch, Rectangle)
        }
        for axes in drawn.axes
    ]
    token, of_seven = ("solid", 3, 4, 1, 1), ("solid", 2, 4, 2, 2)
    assert outlines == [{token}, {token, ("--", 0, 0, 7, 7)}, set(), {of_seven}, {of_seven}, {of_seven}]


def test_without_a_browser_there_is_no_picker() -> None:
    assert attention_picker(PICTURE, {"stage 1": looks(heads=2, side=14)}) is None


def test_the_picker_follows_its_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "02.ipynb")
    blocks = {"stage 1": looks(heads=2, side=14), "stage 2": looks(heads=3, side=7)}
    picker = attention_picker(PICTURE, blocks)
    assert picker is not None
    block, head, row, column, view = picker.children
    assert "stage 1, head 1, token (1, 1): largest 0.70" in view.value
    head.value, row.value, column.value = 2, 14, 9
    assert "stage 1, head 2, token (14, 9): largest 0.60" in view.value
    block.value = "stage 2"
    assert (head.max, row.max, column.max) == (3, 7, 7)
    assert "stage 2, head 2, token (7, 7): largest 0.60" in view.value
