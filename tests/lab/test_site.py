"""The web book, built once as `make site` builds it, read as files and in a browser."""

import functools
import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from waiting import PATIENCE

from helpers.lab import site
from helpers.lab.notebooks import chapters
from helpers.lab.site_check import inspect


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


def test_it_has_no_fault(book: Path):
    assert inspect(book).faults == []


def test_every_figure_of_a_notebook_is_there(book: Path):
    for chapter in chapters():
        drawn = site.executed(chapter).read_text(encoding="utf-8").count('"image/svg+xml"')
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


@pytest.mark.parametrize(
    ("ages", "cells", "chosen"),
    [
        ({"committed": 3, "run": 2, "page": 1}, "1", "run"),
        ({"committed": 3, "run": 1, "page": 2}, "1", "run"),  # the clock went back between the two
        ({"committed": 1, "run": 3, "page": 2}, "1", "committed"),  # committed since the run
        ({"committed": 3, "run": 2, "page": 1}, "2", "committed"),  # edited, under a wrong clock
        ({"committed": 3, "run": 1}, "1", "committed"),  # stopped at an error
        ({"committed": 3}, "1", "committed"),
    ],
)
def test_a_run_counts_when_it_ran_these_cells_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ages: dict[str, int], cells: str, chosen: str
):
    monkeypatch.setattr(site, "EXECUTED", tmp_path / "run")
    (tmp_path / "run").mkdir()
    places = {
        "committed": tmp_path / "01.ipynb",
        "run": tmp_path / "run" / "01.ipynb",
        "page": tmp_path / "run" / "01.html",
    }
    for name, age in ages.items():
        source = cells if name == "run" else "1"
        places[name].write_text(json.dumps({"cells": [{"source": [source]}]}))
        os.utime(places[name], (1000 - age, 1000 - age))
    assert site.executed(places["committed"]) == places[chosen]


GOOD = '<h1 id="a">A</h1><img src="b.svg" alt="a bar chart"><a href="#a">a</a><a href="q.html#b">b</a>'
FAULTS = {
    '<a href="gone.html">x</a>': "leads nowhere: p.html: gone.html",
    '<a href="q.html#gone">x</a>': "leads nowhere: p.html: q.html#gone",
    '<a href="#gone">x</a>': "leads nowhere: p.html: #gone",
    '<img src="gone.svg" alt="x">': "leads nowhere: p.html: gone.svg",
    '<img src="b.svg">': "has no alternative text: p.html: b.svg",
    '<img src="b.svg" alt=" ">': "has no alternative text: p.html: b.svg",
    '<img src="b.svg" alt="../images/b.svg">': "has no alternative text: p.html: b.svg",
    '<script src="https://cdn.example/x.js"></script>': "another host: p.html: https://cdn.example/x.js",
    '<link rel="stylesheet" href="//fonts.example/f.css">': "another host: p.html: //fonts.example/f.css",
    '<p style="background: url(http://a.example/b.png)">': "another host: p.html: http://a.example/b.png",
    '<iframe src="https://a.example/"></iframe>': "another host: p.html: https://a.example/",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "p.html").write_text(GOOD)
    (tmp_path / "q.html").write_text('<h2 id="b">B</h2><a href="https://a.example/paper">paper</a>')
    (tmp_path / "b.svg").write_text("<svg/>")
    return tmp_path


def test_good_pages_have_no_fault_and_their_external_links_are_listed(small: Path):
    found = inspect(small)
    assert (found.pages, found.faults, found.external) == (2, [], {"https://a.example/paper"})


@pytest.mark.parametrize(("html", "fault"), FAULTS.items())
def test_a_fault_in_a_page_is_found(small: Path, html: str, fault: str):
    (small / "p.html").write_text(GOOD + html)
    (found,) = inspect(small).faults
    assert found.endswith(fault)


def test_a_font_from_elsewhere_in_a_style_sheet_is_found(small: Path):
    (small / "s.css").write_text(
        '/* url(https://ok.example) */ @font-face { src: url("https://f.example/f.woff2") }'
    )
    assert inspect(small).faults == ["loads from another host: s.css: https://f.example/f.woff2"]


@pytest.fixture(scope="module")
def served(book: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(book))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def phone(browser: Browser, scheme: str, asked: list[str]) -> Page:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("request", lambda request: asked.append(request.url))
    return page


def test_on_a_phone_nothing_sticks_out_and_no_other_host_is_asked(book: Path, served: str, browser: Browser):
    asked: list[str] = []
    page = phone(browser, "light", asked)
    for file in sorted(book.rglob("*.html")):
        page.goto(f"{served}/{file.relative_to(book).as_posix()}", wait_until="networkidle")
        widest = page.evaluate(
            "Math.max(document.documentElement.scrollWidth, "
            "...[...document.querySelectorAll('article img')].map(img => img.getBoundingClientRect().right))"
        )
        assert widest <= 390, f"{file.name} is {widest} px wide"
    assert asked
    assert [url for url in asked if not url.startswith((served, "data:"))] == []


def test_it_is_dark_where_the_reader_wants_it_and_can_be_searched(served: str, browser: Browser):
    paper = {}
    for scheme in ("light", "dark"):
        page = phone(browser, scheme, [])
        page.goto(f"{served}/search.html?q=calibration")
        page.wait_for_selector("#search-results li a[href*='07_how_does_pulsar2_compile_it']")
        paper[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper["light"] == "rgb(255, 255, 255)"
    assert max(map(int, re.findall(r"\d+", paper["dark"]))) < 64
