"""The live picture of heads: what a head hears lights up, by mouse and by keyboard."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page

from helpers.view.diagrams import FAINT, Kind, lights, three_ways
from helpers.view.live import live_html
from helpers.view.style import svg

OWN = np.eye(3, dtype=bool)
KINDS = [Kind("Groups", "", OWN, False, 4, 4), Kind("CGA", "", OWN, True, 2, 4)]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """The static figure and the live one after it, as the page of a run has them."""
    still = svg(three_ways(KINDS, width=12, title="t", note="n"), alt="still")
    html = live_html("heads", data={"svg": still, "heads": lights(KINDS), "faint": FAINT}, alt="live")
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_content(f'<div class="output">{still}</div><div class="output">{html}</div>')
    yield page
    page.close()
    assert not faults


def bright(live: Locator) -> set[str]:
    """The parts that are drawn strongly; every other part is faint."""
    shapes = live.locator("[id] > path").evaluate_all(
        "all => all.map(one => [one.parentElement.id, getComputedStyle(one).opacity])"
    )
    named = [(name, float(opacity)) for name, opacity in shapes if name.startswith(("Groups", "CGA"))]
    lit = {name for name, opacity in named if opacity == 1}
    assert {opacity for name, opacity in named if name not in lit} == {FAINT}
    return lit


def test_what_a_head_hears_lights_up(page: Page) -> None:
    live, parts = page.locator(".live"), [set(head["parts"]) for head in lights(KINDS)]
    assert not page.get_by_role("img", name="still").is_visible()
    assert bright(live) == parts[2], "it opens as the static figure is"
    live.locator("[id='CGA-look-1']").hover()
    assert bright(live) == parts[1]
    assert {"Groups-look-1", "CGA-hand-1", "CGA-share-0"} <= parts[1] and "Groups-share-0" not in parts[1]
    slider = live.get_by_role("slider")
    slider.focus()
    for key, head in (("ArrowLeft", 0), ("ArrowLeft", 0), ("ArrowRight", 1), ("ArrowUp", 2)):
        page.keyboard.press(key)
        assert bright(live) == parts[head]
        assert slider.get_attribute("aria-valuetext") == lights(KINDS)[head]["says"]
        assert live.get_by_text(lights(KINDS)[head]["says"]).is_visible()
