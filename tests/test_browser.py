"""The notebooks as a reader meets them: JupyterLab in Chromium.

The server gets a copy of the checkout, so that what runs here meets no other test's files. Screenshots go to
build/screens/.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect
from waiting import PATIENCE, wait_until

from helpers.files import BUILD, ROOT
from helpers.lab import desk
from helpers.lab.notebooks import chapters

SCREENS = BUILD / "screens"
CHAPTERS = [path.name for path in chapters()]
# JupyterLab's own word for a question to the kernel that a page's end cuts off; of a cell it is a fault
CUT_OFF = re.compile(r"Canceled future for (?!execute_request)\w+ message before replies were done")

pytestmark = pytest.mark.timeout(1800)  # a chapter takes minutes on a busy machine


@dataclass
class Lab:
    """A running JupyterLab, and what went wrong in its pages."""

    url: str
    token: str
    faults: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def open(self, browser: Browser, chapter: str) -> Iterator[Page]:
        """The notebook in a page of its own, its kernel ready; shuts the kernel down in the end."""
        self.faults.clear()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1000 * PATIENCE)
        self.watch(page)
        try:
            page.goto(f"{self.url}lab/tree/notebooks/{chapter}?token={self.token}&reset")
            page.wait_for_function(
                "() => window.jupyterapp?.shell.currentWidget?.content?.model?.cells.length"
            )
            page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.ready }")
            yield page
            shut_down(page)
        finally:
            page.close()

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self._error(str(error)))
        page.on("request", lambda request: self._own(request.url))

    def _error(self, said: str) -> None:
        if not CUT_OFF.search(said):
            self.faults.append(f"script error: {said}")

    def _own(self, url: str) -> None:
        if urlsplit(url).hostname not in ("localhost", "127.0.0.1", None):
            self.faults.append(f"asks another host: {url}")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the notebooks use of the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("notebooks", "helpers", "data"):
        shutil.copytree(ROOT / name, copy / name)
    return copy


@contextlib.contextmanager
def jupyter_lab(checkout: Path, home: Path) -> Iterator[Lab]:
    """`jupyter lab` as `make lab` starts it, without this user's own settings."""
    folders = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    folders |= {f"JUPYTERLAB_{name}_DIR": str(home / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    folders["JUPYTER_CONFIG_PATH"] = str(desk.QUIET)
    environment = os.environ | folders | {"PYTHONPATH": str(checkout)}
    environment.pop("JUPYTERHUB_SERVICE_PREFIX", None)
    chapters = [str(checkout / "notebooks" / name) for name in CHAPTERS]
    subprocess.run([sys.executable, "-m", "jupyter", "trust", *chapters], env=environment, check=True)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0"]
    command += ["--expose-app-in-browser", "--IdentityProvider.token=secret"]
    command += [f"--ServerApp.root_dir={checkout}"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        described = home / "runtime" / f"jpserver-{server.pid}.json"
        wait_until(
            lambda: server.poll() is not None or (described.exists() and described.read_text().endswith("}"))
        )
        assert server.poll() is None, (home / "log").read_text()
        yield Lab(json.loads(described.read_text())["url"], "secret")
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def plain(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with jupyter_lab(checkout, tmp_path_factory.mktemp("plain")) as lab:
        yield lab


def chapter(number: str) -> str:
    return next(name for name in CHAPTERS if name.startswith(number))


def shut_down(page: Page) -> None:
    """Ends the kernel once it has answered all that the page asked it."""
    page.wait_for_function(
        """() => {
          const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel;
          const asked = [...(kernel?._futures?.values() ?? [])].map(future => future.msg.header.msg_type);
          // a cell keeps what it asked; that it was answered is run_all's to say
          return !kernel || (kernel.status === 'idle' && asked.every(type => type === 'execute_request'));
        }"""
    )
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")


def run_all(page: Page) -> nbformat.NotebookNode:
    """Runs every cell, holds that none failed or warned, and gives the notebook as it then is."""
    finished = page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    ran = nbformat.from_dict(
        page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON()")
    )
    code = [cell for cell in ran.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if "error" in (output.output_type, output.get("name"))]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert finished
    return ran


def wait_for_figures(page: Page, notebook: nbformat.NotebookNode) -> None:
    """Waits until each figure in the outputs is drawn: JupyterLab draws those out of sight when it can."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = sum("image/svg+xml" in output.get("data", {}) for output in outputs)
    assert figures, "no figure among the outputs: run `make notebooks`"
    page.wait_for_function(
        """count => {
          const drawn = document.querySelectorAll('.jp-OutputArea-output.jp-RenderedSVG img');
          return drawn.length === count && [...drawn].every(image => image.naturalWidth > 0);
        }""",
        arg=figures,
    )


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_opens_with_its_figures(name: str, plain: Lab, browser: Browser):
    with plain.open(browser, name) as page:
        notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
        wait_for_figures(page, notebook)
        page.wait_for_function(
            "() => [...document.querySelectorAll('.jp-Notebook img')].every(image => image.naturalWidth > 0)"
        )
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        for live in filter(None, (output.get("metadata", {}).get("live") for output in outputs)):
            page.locator(f"#live-{live} svg").first.wait_for()  # for it is trusted
        page.screenshot(path=SCREENS / f"{name[:2]}_open.png")
    assert not plain.faults


def test_chapter_02_runs_and_its_live_pictures_answer(plain: Lab, browser: Browser):
    patience = 1000 * PATIENCE
    with plain.open(browser, chapter("02")) as page:
        wait_for_figures(page, run_all(page))
        heads = page.get_by_role("slider", name="head")
        heads.press("ArrowLeft")
        page.locator("#live-heads").get_by_text("Head 2 hears shares 1, 2, 3 (MHSA)").wait_for()
        assert heads.evaluate("it => it === document.activeElement"), "JupyterLab took the key"
        cat = page.locator("#live-cat")
        cat.scroll_into_view_if_needed()
        says, photo = cat.get_by_role("status"), cat.get_by_role("application")
        # it opens on the eye
        expect(says).to_contain_text("stage 2, block 1: the token in row 3, column 3 asks", timeout=patience)
        before = cat.locator(".heads .marks").first.get_attribute("d") or ""
        still = page.locator(".jp-OutputArea-child", has=cat).locator("xpath=preceding-sibling::*[1]")
        assert still.locator("img").count() and not still.is_visible()
        photo.press("ArrowRight")
        expect(says).to_contain_text("row 3, column 4 asks", timeout=patience)
        expect(cat.locator(".heads .marks").first).not_to_have_attribute("d", before, timeout=patience)
        photo.click(position={"x": 5, "y": 5})
        cat.get_by_label("stage 1").check()
        expect(says).to_contain_text("stage 1, block 1: the token in row 1, column 1 asks", timeout=patience)
        page.screenshot(path=SCREENS / "02_cat.png")
        assert not page.locator(".Toastify__toast").count(), "it asks about news"
    assert not plain.faults
