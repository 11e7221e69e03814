"""Pieces of a graph: every operator has its box, below what it reads."""

from matplotlib.patches import Rectangle

from helpers.view.pieces import pieces

PIECE = [("Conv", ()), ("Split", (0,)), ("Reshape", (1,)), ("Reshape", (1,)), ("MatMul", (2, 3))]


def test_boxes_and_lines():
    drawn = pieces({"before": PIECE, "after": PIECE[:2]}, title="t")
    (axes,) = drawn.axes
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(boxes) == 7
    assert len(axes.lines) == 6
    tops = [box.get_y() for box in boxes[:5]]
    assert tops[0] < tops[1] < tops[2] == tops[3] < tops[4]
    left = sorted((box.get_x(), box.get_x() + box.get_width()) for box in boxes[2:4])
    assert left[0][1] < left[1][0]  # side by side, not over each other


def test_each_piece_says_how_many():
    (axes,) = pieces({"before": PIECE}, title="t").axes
    assert "before: 5 operators" in {text.get_text() for text in axes.texts}
