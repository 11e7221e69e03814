import base64
import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from helpers.view.attention_maps import attention_grid, cascade_cut, digits, live_maps, looks, one_head

PICTURE = np.full((224, 224, 3), 120, dtype=np.uint8)


def maps(*, heads: int, side: int) -> list[np.ndarray]:
    """Every token looks at itself, 0.6, and at the one in the upper left corner, 0.1 times the head."""
    found = [0.6 * np.eye(side**2)[None] for _ in range(heads)]
    for head, one in enumerate(found, start=1):
        one[:, :, 0] += 0.1 * head
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
    picture = np.zeros((60, 60, 3), dtype=np.uint8)
    following = np.broadcast_to(np.roll(np.eye(9), 1, axis=1), (4, 9, 9))  # [window, query, key]
    numbered = np.broadcast_to(np.arange(4.0)[:, None, None], (4, 9, 9))
    for row, column in np.ndindex(6, 6):
        window = np.zeros((6, 6))
        window[row // 3 * 3 :, column // 3 * 3 :][:3, :3] = row // 3 * 2 + column // 3
        token, over = looks([following, numbered], picture, (10 * column + 9, 10 * row))
        assert token == (row, column)
        assert np.array_equal(over[1], window)
        if column % 3 < 2:  # the next one of a window's row
            assert over[0, row, column + 1] == over[0].sum() == 1


def test_squares_lie_where_the_token_looks_and_their_area_is_the_weight() -> None:
    drawn = attention_grid(PICTURE, {"block": maps(heads=2, side=7)}, point=(100, 40), title="t", note="")
    assert squares(drawn, 1) == {(0.5, 0.5): round(0.1 / 0.6, 3), (3.5, 1.5): 1}
    assert squares(drawn, 2) == {(0.5, 0.5): round(0.2 / 0.6, 3), (3.5, 1.5): 1}
    assert drawn.axes[2].get_title() == "head 2\nup to 60 %"


def test_one_head_asks_and_mixes_as_attention_does() -> None:
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(channels, 4, 4)) for channels in (2, 2, 4))
    asked, bias = np.array([0.3, -0.7]), rng.normal(size=(4, 4))
    drawn = one_head(q, k, v, asked=asked, bias=bias, token=(0, 1), near=3, title="t", note="n")
    written = [[text.get_text() for text in axes.texts] for axes in drawn.axes]
    scores = (asked @ k.reshape(2, -1)) / 2**0.5 + bias.ravel()
    shares = np.exp(scores) / np.exp(scores).sum()
    assert written[1] == [digits(value) for value in q[1].ravel()]
    assert written[6] == [digits(value) for value in scores]
    assert written[7] == [digits(value) for value in 100 * shares]
    mixed = [axes.get_xlabel().split()[-1] for axes in drawn.axes[8:]]
    assert mixed == [digits(value) for value in v.reshape(4, -1) @ shares]
    (dashed,) = [p.get_bbox().bounds for p in drawn.axes[0].patches if p.get_linestyle() == "--"]
    assert dashed == (0, 0, 0.75, 0.5), "three columns, and the two rows that are there"


def test_a_cell_has_two_digits() -> None:
    told = {0.314: ".31", -0.07: "−.07", -0.001: ".00", 0.996: "1.0", -1.75: "−1.8", 9.96: "10", 85.2: "85"}
    assert [digits(value) for value in told] == list(told.values())


def test_what_the_cut_cascade_moved_is_drawn_and_counted() -> None:
    before = np.full((2, 1, 4, 4), 0.25)
    after = before.copy()
    after[1, 0, 0] = [0.5, 0.25, 0.25, 0]
    drawn = cascade_cut(PICTURE, before, after, point=(9, 9), title="t", note="n")
    assert [axes.get_title().split("\n")[1] for axes in drawn.axes[:2]] == ["0 % moved", "25 % moved"]
    assert [text.get_text() for axes in drawn.axes for text in axes.texts] == [
        "hears no other head:\nnothing moves"
    ]
    marks = [p for p in drawn.axes[5].patches if isinstance(p, PathPatch)]
    more, less = (patch.get_path().get_extents().bounds for patch in marks)
    assert marks[0].get_facecolor() != marks[1].get_facecolor()
    assert max(more[:2]) < 0.5 <= min(less[:2])
    assert more[2] == pytest.approx(less[2]) == pytest.approx(0.5 * 0.5**0.5), "0.25 beside the largest, 0.5"


def test_live_maps_keep_every_weight_to_a_hundredth_of_the_largest_and_stay_small() -> None:
    rng = np.random.default_rng(0)
    shapes = {"stage 1": (4, 49), "stage 2": (1, 49), "stage 3": (1, 16)}
    maps = {
        name: list(rng.dirichlet(np.full(tokens, 0.3), (4, windows, tokens)))
        for name, (windows, tokens) in shapes.items()
    }
    made = live_maps(PICTURE, maps, point=(56, 112))
    assert made["point"] == [0.25, 0.5]
    assert [(one["heads"], one["across"], one["side"]) for one in made["stages"]] == [
        (4, 2, 7),
        (4, 1, 7),
        (4, 1, 4),
    ]
    for one, heads in zip(made["stages"], maps.values(), strict=True):
        edges = np.frombuffer(base64.b64decode(one["edges"]), np.uint8).reshape(np.shape(heads))
        assert np.abs(np.max(heads) * (edges / 255) ** 2 - heads).max() < 0.01 * np.max(heads)
        percent = np.frombuffer(base64.b64decode(one["percent"]), np.uint8)
        assert percent[-1] == round(100 * heads[-1][-1, -1].max())
    assert len(json.dumps(made)) < 150_000
