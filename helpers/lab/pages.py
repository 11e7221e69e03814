"""What is made of executed notebooks: a page of each, one page over all, and what is committed."""

import base64
import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter

from helpers.lab.runner import NotebookRun

_INDEX = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>EfficientViT at the edge: what ran here</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100% }}
</style>
<h1>EfficientViT at the edge: what ran here</h1>
{}
</html>
"""


def page(notebook: Path, *, texts: Path) -> str:
    """The executed notebook as one HTML file that asks no other host for anything.

    `texts`: the folder that its pictures are relative to.
    """
    nowhere = ("mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url", "mermaid_layout_elk_js_url")
    exporter = HTMLExporter(embed_images=True, **dict.fromkeys(nowhere, ""))
    beside = {"metadata": {"path": str(texts)}}
    return str(exporter.from_notebook_node(nbformat.read(notebook, as_version=4), beside)[0])


def index(folder: Path, runs: Sequence[NotebookRun]) -> str:
    """One page over the notebooks that ran to their end: their pages, their checks, their key figures."""
    parts = []
    for run in runs:
        notebook = json.loads((folder / f"{run.name}.ipynb").read_text(encoding="utf-8"))
        title = "".join(notebook["cells"][0]["source"]).partition("\n")[0].lstrip("# ")
        held = "".join(f"<li>✓ {html.escape(check['claim'])}</li>" for check in run.checks)
        parts.append(f'<h2><a href="{run.name}.html">{html.escape(title or run.name)}</a></h2>')
        parts.append(f"<p>{run.seconds:.0f} s, {run.peak_mb:.0f} MB, {len(run.results)} results</p>")
        for figure in key_figures(notebook):
            svg, told = ("".join(figure["data"].get(kind, "")) for kind in ("image/svg+xml", "text/plain"))
            encoded = base64.b64encode(svg.encode()).decode()
            parts.append(f'<img alt="{html.escape(told)}" src="data:image/svg+xml;base64,{encoded}">')
        parts.append(f"<details><summary>{len(run.checks)} checks held</summary><ul>{held}</ul></details>")
    return _INDEX.format("\n".join(parts))


def pictures(executed: nbformat.NotebookNode) -> dict[str, str]:
    """The figures in a notebook's outputs that the README shows, as SVG, by name."""
    return {
        figure["metadata"]["figure"]: figure["data"]["image/svg+xml"].rstrip() + "\n"
        for figure in figures(executed)
        if figure["metadata"].get("picture")
    }


def for_commit(executed: nbformat.NotebookNode, *, seconds: float) -> str:
    """An executed notebook without times and file names of the run: a re-run then shows only what changed.

    But for the seconds that all of it took, which tell the next one how long it will take.
    """
    for keeper in [executed, *executed.cells]:
        for key in ("papermill", "execution", "widgets"):
            keeper.metadata.pop(key, None)
    executed.metadata["seconds"] = round(seconds)
    return str(nbformat.writes(executed)) + "\n"


def key_figures(notebook: Any) -> list[Any]:
    """The figures that the README shows; of a notebook without one its first, if it has any."""
    drawn = list(figures(notebook))
    return [figure for figure in drawn if figure["metadata"].get("picture")] or drawn[:1]


def figures(notebook: Any) -> Iterator[Any]:
    """The outputs of a notebook that are figures."""
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", []))
    return (output for output in outputs if "image/svg+xml" in output.get("data", {}))
