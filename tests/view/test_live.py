"""Live pictures: how they take the place of the static figure, in what a browser shows of an output."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from IPython.utils.capture import capture_output
from playwright.sync_api import Browser, Locator, Page

from helpers.lab import pages, site
from helpers.view import live
from helpers.view.attention_maps import live_maps
from helpers.view.diagrams import FAINT, Kind, lights, three_ways
from helpers.view.style import svg

EYE = np.eye(4)[None]  # one window of 2 x 2 tokens, each looks at itself
MAPS = {
    "four windows": [np.repeat(EYE, 4, axis=0), np.full((4, 4, 4), 0.25)],
    "one window": [EYE, EYE[:, ::-1] * 0.5 + EYE * 0.5],
}
OWN = np.eye(3, dtype=bool)
KINDS = [Kind("Groups", "", OWN, False, 4, 4), Kind("CGA", "", OWN, True, 2, 4)]
NASTY = {"words": "</script><script>window.broken = true</script><!-- & é", "map": [0, 0.5]}
STILL = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" role="img"><title>still</title></svg>'


@pytest.fixture(scope="module", autouse=True)
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A live picture that writes the words it is given, one that fails, and the real ones."""
    folder = tmp_path_factory.mktemp("scripts")
    for script in live.SCRIPTS.glob("*.js"):
        shutil.copyfile(script, folder / script.name)
    (folder / "words.js").write_text("function draw(root, data) { root.append(data.words); }\n")
    (folder / "fails.js").write_text("function draw(root, data) { throw Error(data); }\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SCRIPTS", folder)
        yield


@pytest.fixture(scope="module", params=["web book", "page of a run"])
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells with a static figure and a live one, as a page."""
    folder = tmp_path_factory.mktemp("pages")
    cat = live_maps(np.full((224, 224, 3), 120, np.uint8), MAPS, point=(60, 60))
    drawn = {"words": NASTY, "fails": NASTY, "cat": cat}
    cells = [nbformat.v4.new_markdown_cell("# T")]
    for count, (name, data) in enumerate(drawn.items(), start=1):
        alt = f"{name}, a & b"
        shown = {"image/svg+xml": STILL}, {"text/html": live.live_html(name, data=data, alt=alt)}
        outputs = [nbformat.v4.new_output("display_data", data=data) for data in shown]
        cells.append(nbformat.v4.new_code_cell("1", execution_count=count, outputs=outputs))
    language = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    notebook = folder / "source" / "live.ipynb"
    notebook.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=language), notebook)
    if request.param == "web book":
        (notebook.parent / "index.md").write_text("# Top\n\n```{toctree}\nlive\n```\n")
        site.build(notebook.parent, folder / "pages")
        return folder / "pages" / "live.html"
    (folder / "live.html").write_text(pages.page(notebook, texts=folder))
    return folder / "live.html"


def seen(page: Page) -> tuple[list[bool], list[bool]]:
    """Which of the static figures is seen, and which of the live ones."""
    still = page.locator("img[src*='.svg'], img[src^='data:image/svg'], .jp-RenderedSVG svg")
    return tuple([one.is_visible() for one in found.all()] for found in (still, page.locator(".live")))


def test_it_takes_the_place_of_the_figure_before_it_once_it_is_drawn(page_file: Path, browser: Browser):
    page = browser.new_page()
    page.goto(page_file.as_uri())
    assert seen(page) == ([False, True, False], [True, False, True])
    assert page.get_by_role("group", name="words, a & b").inner_text() == NASTY["words"]
    assert page.evaluate("window.broken") is None
    page.close()


def test_without_scripts_the_static_figure_stays(page_file: Path, browser: Browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert seen(page) == ([True] * 3, [False] * 3)
    context.close()


def squares(page: Page) -> list[list[list[float]]]:
    """What each head shows: the left, upper corner and the edge of its squares, the photo being 100 wide."""
    drawn = [path.get_attribute("d") for path in page.locator(".heads .marks").all()]
    found = [re.findall(r"M(\S+) (\S+?)h(\S+?)v", path) for path in drawn]
    return [[[float(number) for number in one] for one in head] for head in found]


FRAMED = """frame => ['x', 'y', 'width'].map((name, place) =>
    +frame.getAttribute(name) + (place < 2 ? 0.5 : -1) * +frame.getAttribute('stroke-width'))"""
"""What a frame leaves free: the left, upper corner and the edge."""


def test_on_the_cat_mouse_keys_and_stage_choose_what_every_head_shows(page_file: Path, browser: Browser):
    page = browser.new_page()
    page.goto(page_file.as_uri())
    cat = page.get_by_role("group", name="cat, a & b")
    photo, says = cat.get_by_role("application"), cat.get_by_role("status")
    assert "one window: the token in row 1, column 1 asks" in says.inner_text()
    opened = squares(page)
    assert opened[0] == [[0, 0, 50]]
    assert [round(edge, 1) for _, _, edge in opened[1]] == [35.3, 35.3], "half the area"
    assert [round(left, 1) for left, _, _ in opened[1]] == [7.4, 57.4]
    assert cat.locator(".says").all_inner_texts() == ["head 1: up to 100 %", "head 2: up to 50 %"]

    box = photo.bounding_box()
    photo.click(position={"x": 0.9 * box["width"], "y": 0.2 * box["height"]})
    assert "row 1, column 2" in says.inner_text()
    assert squares(page)[0] == [[50, 0, 50]]
    framed = {kind: photo.locator(kind).evaluate(FRAMED) for kind in (".under", ".token")}
    assert framed[".under"] == [50, 0, 50] and framed[".token"][2] > 50, "outside the token"
    photo.press("ArrowDown")
    photo.press("ArrowDown")
    assert "row 2, column 2" in says.inner_text()
    assert squares(page)[0] == [[50, 50, 50]]

    cat.get_by_label("four windows").check()
    assert "four windows: the token in row 4, column 4 asks" in says.inner_text()
    own, window = squares(page)
    assert own == [[75, 75, 25]]
    assert {(round(left // 25), round(up // 25)) for left, up, _ in window} == {
        (2, 2),
        (3, 2),
        (2, 3),
        (3, 3),
    }
    assert cat.locator(".heads .window").first.bounding_box()["width"] > 0
    page.close()


def bright(shown: Locator) -> set[str]:
    """The parts that are drawn strongly; every other part is faint."""
    shapes = shown.locator("[id] > path").evaluate_all(
        "all => all.map(one => [one.parentElement.id, getComputedStyle(one).opacity])"
    )
    named = [(name, float(opacity)) for name, opacity in shapes if name.startswith(("Groups", "CGA"))]
    lit = {name for name, opacity in named if opacity == 1}
    assert {opacity for name, opacity in named if name not in lit} == {FAINT}
    return lit


def test_what_a_head_hears_lights_up(browser: Browser):
    """By mouse and by keyboard; the static figure stands before it, as the page of a run has them."""
    still = svg(three_ways(KINDS, width=12, title="t", note="n"), alt="still")
    html = live.live_html("heads", data={"svg": still, "heads": lights(KINDS), "faint": FAINT}, alt="live")
    page, faults = browser.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_content(f'<div class="output">{still}</div><div class="output">{html}</div>')
    shown, parts = page.locator(".live"), [set(head["parts"]) for head in lights(KINDS)]
    assert not page.get_by_role("img", name="still").is_visible()
    assert bright(shown) == parts[2], "it opens as the static figure is"
    shown.locator("[id='CGA-look-1']").hover()
    assert bright(shown) == parts[1]
    assert {"Groups-look-1", "CGA-hand-1", "CGA-share-0"} <= parts[1] and "Groups-share-0" not in parts[1]
    slider = shown.get_by_role("slider")
    slider.focus()
    for key, head in (("ArrowLeft", 0), ("ArrowLeft", 0), ("ArrowRight", 1), ("ArrowUp", 2)):
        page.keyboard.press(key)
        assert bright(shown) == parts[head]
        assert slider.get_attribute("aria-valuetext") == lights(KINDS)[head]["says"]
        assert shown.get_by_text(lights(KINDS)[head]["says"]).is_visible()
    page.close()
    assert not faults


def test_it_has_words_for_those_who_see_no_html_and_refuses_what_json_cannot_hold(shell: None):
    with capture_output() as captured:
        live.show_live("words", data=NASTY, alt="a word")
    (output,) = captured.outputs
    assert (output.data["text/plain"], output.metadata) == ("[live words] a word", {"live": "words"})
    (held,) = re.findall(r'json">(.*?)</script>', output.data["text/html"])
    assert json.loads(held) == NASTY
    with pytest.raises(ValueError, match="JSON"):
        live.show_live("words", data=float("nan"), alt="a word")


def test_the_scripts_are_few_lines_and_ask_nobody():
    scripts = {path.name: path.read_text() for path in (Path(live.__file__).with_name("live")).glob("*.js")}
    assert sum(len(text.splitlines()) for text in scripts.values()) <= 300
    assert not [
        name for name, text in scripts.items() if re.search(r"//\w+\.|fetch|import|</script|<!--", text)
    ]
