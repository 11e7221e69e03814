"""The web book, built once as `make site` builds it, read as files and in a browser."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from waiting import PATIENCE

from helpers.lab import site
from helpers.lab.notebooks import chapters


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    site.lay_out(folder / "source")
    site.build(folder / "source", folder / "pages")
    return folder / "pages"


def test_every_chapter_and_document_is_a_page(book: Path):
    names = [f"notebooks/{chapter.stem}" for chapter in chapters()]
    names += [name.removesuffix(".md") for name in site.DOCUMENTS]
    for name in ["index", *names]:
        assert (book / f"{name}.html").is_file(), name
    index = (book / "index.html").read_text()
    assert [name for name in names if f'href="{name}.html"' not in index] == []


def faults(page: str) -> list[str]:
    """What a page loads from another host, and its pictures without a name; dead links stop Sphinx.

    Where a picture has no name, Sphinx puts that of its file.
    """
    tags = re.findall(r"<[a-z][^>]*>", page)
    only_names = r"""<a |<link [^>]*rel=["']?(canonical|alternate|next|prev|search|index|author|license)\b"""
    outside = r"""(src|srcset|data|href|url)\s*[=(]\s*["']?(https?:)?//"""
    alt = r"""alt=["'](?!\s*["'])(?![^"']*\.(svg|png|jpe?g|gif|webp)["'])"""
    loads = [tag for tag in tags if re.search(outside, tag) and not re.match(only_names, tag)]
    return loads + [tag for tag in tags if tag.startswith("<img") and not re.search(alt, tag)]


def test_no_page_asks_another_host_or_has_a_nameless_picture(book: Path):
    pages = sorted(book.rglob("*.html"))
    assert {page.name: found for page in pages if (found := faults(page.read_text()))} == {}
    sheets = [re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL) for sheet in book.rglob("*.css")]
    assert not [sheet for sheet in sheets if re.search(r"""(url\(|@import)\s*["']?(https?:)?//""", sheet)]


def test_every_figure_of_a_notebook_is_there(book: Path):
    for chapter in chapters():
        drawn = chapter.read_text(encoding="utf-8").count('"image/svg+xml"')
        page = (book / "notebooks" / f"{chapter.stem}.html").read_text(encoding="utf-8")
        named = re.findall(r'<img alt="([^"]+)"[^>]*src="../_images/[^"]+\.svg"', page)
        assert len(named) >= drawn, chapter.stem
        assert all(len(alt) > 20 for alt in named), "an alternative text is a sentence"


def test_a_translation_says_its_language(book: Path):
    assert '<html class="no-js" lang="ja"' in (book / "README.ja.html").read_text()
    assert '<html class="no-js" lang="en"' in (book / "index.html").read_text()


def test_a_warning_stops_the_build(tmp_path: Path):
    (tmp_path / "source" / "notebooks").mkdir(parents=True)
    (tmp_path / "source" / "index.md").write_text("# Title\n\n[gone](notebooks/gone.ipynb)\n")
    with pytest.raises(site.SiteFailed, match=r"index\.md:\d+: WARNING: .*gone"):
        site.build(tmp_path / "source", tmp_path / "pages")


@pytest.fixture(scope="module")
def served(book: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(book))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def phone(browser: Browser, scheme: str, asked: list[str]) -> Page:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("request", lambda request: asked.append(request.url))
    return page


def widest(page: Page) -> float:
    """The page's width, px, with what sticks out of it; figures of a notebook scroll in their cell."""
    return page.evaluate(
        """Math.max(
          document.documentElement.scrollWidth,
          ...[...document.querySelectorAll('.cell_output, article img')]
            .filter(shown => !shown.matches('.cell_output img'))
            .map(shown => shown.getBoundingClientRect().right))"""
    )


def test_on_a_phone_nothing_sticks_out_and_no_other_host_is_asked(book: Path, served: str, browser: Browser):
    asked: list[str] = []
    page = phone(browser, "light", asked)
    for file in sorted(book.rglob("*.html")):
        page.goto(f"{served}/{file.relative_to(book).as_posix()}", wait_until="networkidle")
        assert widest(page) <= 390, file.name
    assert asked
    assert [url for url in asked if not url.startswith((served, "data:"))] == []


@pytest.mark.parametrize("name", ["index", "README.ja", "notebooks/02_what_is_cascaded_group_attention"])
def test_no_page_scrolls_sideways(name: str, served: str, browser: Browser):
    """From a small phone to a wide screen; from 1,313 to 1,375 px both sidebars just do not fit in."""
    page = browser.new_page()
    page.goto(f"{served}/{name}.html")
    for width in (320, 360, 480, 640, 768, 1024, 1200, 1312, 1313, 1340, 1366, 1375, 1376, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert widest(page) <= width
    page.close()


@pytest.mark.parametrize("number", ["02", "03"])
def test_the_first_two_screens_are_more_picture_than_code(number: str, served: str, browser: Browser):
    """Of the chapter's own: the map does not count."""
    (chapter,) = (path for path in chapters() if path.name.startswith(number))
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{served}/notebooks/{chapter.stem}.html")
    pictures, code = page.evaluate(
        """[".cell_output img, .live", ".cell_input pre"].map(kind =>
          [...document.querySelectorAll(kind)].filter(one => one.checkVisibility()).map(one => {
            const box = one.getBoundingClientRect();
            return Math.max(0, Math.min(box.bottom, 2 * innerHeight) - box.top);
          }).reduce((sum, height) => sum + height, 0))"""
    )
    assert pictures > code
    page.close()


@pytest.mark.parametrize("name", ["index", "README.ja"])
def test_the_cover_has_a_card_with_a_picture_for_each_chapter(name: str, served: str, browser: Browser):
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    page.goto(f"{served}/{name}.html")
    cards = page.locator(".cards li")
    assert cards.count() == len(chapters())
    for card, chapter in zip(cards.all(), chapters(), strict=True):
        assert card.locator("a").get_attribute("href") == f"notebooks/{chapter.stem}.html"
        assert card.locator("img").evaluate("image => image.naturalWidth") > 0
    cards.first.click(position={"x": 20, "y": 20})
    page.wait_for_url(f"**/notebooks/{chapters()[0].stem}.html")
    page.close()


def test_a_chapter_without_a_figure_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    notebook = tmp_path / chapters()[0].name
    notebook.write_text('{"cells": []}')
    monkeypatch.setattr(site, "chapters", lambda: [notebook])
    site.lay_out(tmp_path / "source")
    with pytest.raises(site.SiteFailed, match=rf"not readable: cover/{notebook.stem}\.svg"):
        site.build(tmp_path / "source", tmp_path / "pages")


def test_it_is_dark_where_the_reader_wants_it_and_can_be_searched(served: str, browser: Browser):
    paper = {}
    for scheme in ("light", "dark"):
        page = phone(browser, scheme, [])
        page.goto(f"{served}/index.html")
        shown = page.locator(".cards img").first.evaluate("image => getComputedStyle(image).filter")
        assert (shown != "none") == (scheme == "dark"), "white cards are dimmed in the dark"
        page.goto(f"{served}/search.html?q=calibration")
        page.wait_for_selector("#search-results li a[href*='07_how_does_pulsar2_compile_it']")
        paper[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper["light"] == "rgb(255, 255, 255)"
    assert max(map(int, re.findall(r"\d+", paper["dark"]))) < 64
