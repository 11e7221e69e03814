"""Sphinx configuration of `make site`: Furo, because it is small, kept up, and brings every file it shows.

The pages are the README, the other documents and the executed notebooks, laid out by `helpers.lab.site`.
Nothing is executed here, and nothing may be loaded from another host when a page is read.
"""

import html
import re
from pathlib import Path
from typing import Any

from docutils import nodes

project = "EfficientViT at the edge"
author = "the authors of EfficientViT at the edge"
project_copyright = f"2026, {author}"
language = "en"

extensions = ["myst_nb"]
root_doc = "index"
nb_execution_mode = "off"
suppress_warnings = ["mystnb.unknown_mime_type"]  # checks and results carry their data beside their text
nb_code_prompt_show, nb_code_prompt_hide = "Show code", "Hide code"
nb_ipywidgets_js: dict[str, Any] = {}  # they would come from another host:
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]  # text instead
myst_enable_extensions: list[str] = []  # no formulas: MathJax would come from another host
myst_heading_anchors = 3  # as code hosts make them, so that one link serves both

html_theme = "furo"
pygments_dark_style = "github-dark-high-contrast"  # Furo's own underlines every module name
html_title = project
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_use_index = False


def name_pictures(app: Any, doctree: nodes.document) -> None:
    """Gives every figure the alternative text that its SVG carries as title."""
    for image in doctree.findall(nodes.image):
        path = Path(app.srcdir, image["uri"])
        if image.get("alt") or path.suffix != ".svg" or not path.is_file():
            continue  # the check after the build names pictures that stay without one
        if title := re.search(r"<title>(.*?)</title>", path.read_text(encoding="utf-8"), re.DOTALL):
            image["alt"] = html.unescape(title[1])


def name_language(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Says of a translated page in which language it is."""
    if page.endswith(".ja"):
        context["language"] = "ja"


def setup(app: Any) -> None:
    app.connect("doctree-read", name_pictures)
    app.connect("html-page-context", name_language)
