"""Live pictures: how they take the place of the static figure, in what a browser shows of an output."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from playwright.sync_api import Browser, Page

from helpers.lab import pages, site
from helpers.view import live

NASTY = {"words": "</script><script>window.broken = true</script><!-- & é", "map": [0, 0.5]}
STILL = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" role="img"><title>still</title></svg>'


@pytest.fixture(autouse=True)
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live picture that writes the words it is given, and one that fails."""
    (tmp_path / "show.js").write_text((live.SCRIPTS / "show.js").read_text())
    (tmp_path / "words.js").write_text("function draw(root, data) { root.append(data.words); }\n")
    (tmp_path / "fails.js").write_text("function draw(root, data) { throw Error(data); }\n")
    monkeypatch.setattr(live, "SCRIPTS", tmp_path)


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """Two cells, each with a static figure and a live one; the second's fails."""
    cells = []
    for count, name in enumerate(("words", "fails"), start=1):
        shown = {"image/svg+xml": STILL}, {"text/html": live.live_html(name, data=NASTY, alt="a & b")}
        outputs = [nbformat.v4.new_output("display_data", data=data) for data in shown]
        cells.append(nbformat.v4.new_code_cell("1", execution_count=count, outputs=outputs))
    path = tmp_path / "source" / "live.ipynb"
    path.parent.mkdir()
    language = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    cells.insert(0, nbformat.v4.new_markdown_cell("# T"))
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=language), path)
    return path


@pytest.fixture(params=["web book", "page of a run"])
def page_file(request: pytest.FixtureRequest, notebook: Path, tmp_path: Path) -> Path:
    if request.param == "web book":
        (notebook.parent / "index.md").write_text("# Top\n\n```{toctree}\nlive\n```\n")
        site.build(notebook.parent, tmp_path / "pages")
        return tmp_path / "pages" / "live.html"
    (tmp_path / "live.html").write_text(pages.page(notebook, texts=tmp_path))
    return tmp_path / "live.html"


def seen(page: Page) -> tuple[list[bool], list[bool]]:
    """Which of the static figures is seen, and which of the live ones."""
    still = page.locator("img[src*='.svg'], img[src^='data:image/svg'], .jp-RenderedSVG svg")
    return tuple([one.is_visible() for one in found.all()] for found in (still, page.locator(".live")))


def test_it_takes_the_place_of_the_figure_before_it_once_it_is_drawn(page_file: Path, browser: Browser):
    page = browser.new_page()
    page.goto(page_file.as_uri())
    assert seen(page) == ([False, True], [True, False])
    assert page.get_by_role("group", name="a & b").inner_text() == NASTY["words"]
    assert page.evaluate("window.broken") is None
    page.close()


def test_without_scripts_the_static_figure_stays(page_file: Path, browser: Browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert seen(page) == ([True, True], [False, False])
    context.close()


@pytest.fixture
def shell() -> Iterator[None]:
    InteractiveShell.instance()
    yield
    InteractiveShell.clear_instance()


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
    assert not [name for name, text in scripts.items() if re.search(r"//\w+\.|fetch|import|</|<!--", text)]
