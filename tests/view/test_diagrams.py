from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from helpers.model.variants import VARIANTS
from helpers.view.diagrams import Step, cascade, residual_chain

CHAIN = [Step("a 3 × 3 conv\nof its own", "mixes\nneighbours", 0), Step("FFN", "channels", 1)]


def boxes(drawn: Figure) -> list[tuple[str, Bbox]]:
    drawn.canvas.draw()
    found = [text for text in drawn.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in found]


def collisions(drawn: Figure) -> list[tuple[str, str]]:
    return [(a, b) for (a, at), (b, bt) in combinations(boxes(drawn), 2) if at.overlaps(bt)]


def assert_tidy(drawn: Figure) -> None:
    assert not collisions(drawn)
    whole = drawn.bbox
    outside = [
        name for name, box in boxes(drawn) if not (whole.containsx(box.x0) and whole.containsx(box.x1))
    ]
    assert not outside, "these run out of the page"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_cascade_fits_its_page(name: str) -> None:
    plan = VARIANTS[name]
    for width, heads in zip(plan.widths, plan.heads, strict=True):
        drawn = cascade(width=width, heads=heads, key_dim=16, kernels=plan.kernels, title=plan.title)
        assert_tidy(drawn)
        says = [text for text, _ in boxes(drawn)]
        assert says.count(f"V  {width // heads}") == heads
        assert says.count(str(width)) == 1
        assert [text for text in says if text.startswith("what head")] == [
            f"what head {head} found" for head in range(1, heads)
        ]
        for head in range(heads):
            assert f"{plan.kernels[head]} × {plan.kernels[head]} conv" in says


def test_a_chain_of_steps_fits_its_page() -> None:
    drawn = residual_chain([*CHAIN, *CHAIN, CHAIN[0]], [("before", 2), ("after", 3)], title="t")
    assert_tidy(drawn)
    assert [text for text, _ in boxes(drawn)].count("FFN") == 2


def test_a_label_too_long_for_its_place_is_noticed() -> None:
    step = Step("FFN", "mixes everything with everything else", 0)
    assert collisions(residual_chain([step] * 5, [("all", 5)], title="t"))


def test_groups_must_cover_the_steps() -> None:
    with pytest.raises(ValueError, match="cover every step"):
        residual_chain(CHAIN, [("only one", 1)], title="t")
