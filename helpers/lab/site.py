"""`make site`: the documents and the committed notebooks as a web book in build/site. Nothing is executed."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from helpers.files import BUILD, NOTEBOOKS, ROOT, here, write
from helpers.lab import pages
from helpers.lab.notebooks import chapters

INDEX = "README.md"
DOCUMENTS = ("README.ja.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/images/CREDITS.md")
SITE = BUILD / "site"


class SiteFailed(RuntimeError):
    """Sphinx warned of something; the message has its words."""


def make() -> None:
    """Builds the book, then puts it in the last one's place; raises SiteFailed and leaves that one."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix=".site-") as beside:
        source, book = Path(beside, "source"), Path(beside, "pages")
        lay_out(source)
        build(source, book)
        shutil.rmtree(SITE, ignore_errors=True)
        book.rename(SITE)
    print(f"Read it: {here(SITE / 'index.html')}")


def lay_out(source: Path) -> None:
    """Copies what the book is made of to `source`: same paths, but the README is the index."""
    for name in (INDEX, *DOCUMENTS):
        text = (ROOT / name).read_text(encoding="utf-8")
        for linked in re.findall(r"\]\(([^)#:]+)", text):
            if (ROOT / linked).is_file() and Path(linked).suffix not in {".md", ".ipynb", ".svg"}:
                _copy(ROOT / linked, source / linked)
        text = _with_cards(text.replace(f"]({INDEX}", "](index.md"))
        write(source / "index.md", text + _contents()) if name == INDEX else write(source / name, text)
    for chapter in chapters():
        _copy(chapter, source / "notebooks" / chapter.name)
        for figure in pages.key_figures(json.loads(chapter.read_text(encoding="utf-8")))[:1]:
            write(source / "cover" / f"{chapter.stem}.svg", "".join(figure["data"]["image/svg+xml"]))
    shutil.copytree(NOTEBOOKS / "pictures", source / "notebooks" / "pictures")


def _with_cards(text: str) -> str:
    """The README with its table's chapters as cards, before its first part; others stay as they are."""
    rows = re.findall(r"^\| \[(.+?)\]\(notebooks/(.+?)\.ipynb\) \| (.+?) \|", text, re.MULTILINE)
    cards = [
        f"- [![](cover/{stem}.svg) {title}](notebooks/{stem}.ipynb)\n\n  {gets}" for title, stem, gets in rows
    ]
    lead, heading, rest = text.partition("\n## ")
    listed = "\n".join(["```{container} cards", *cards, "```"])
    return f"{lead}\n{listed}\n{heading}{rest}" if cards else text


def build(source: Path, pages: Path) -> None:
    """Runs Sphinx over a laid-out folder; raises SiteFailed with its words when it warns of anything."""
    options = ["-q", "-j", "2", "-n", "-W", "--keep-going", "-d", str(source.with_name("doctrees"))]
    command = [sys.executable, "-m", "sphinx", *options, "-c", str(ROOT / "docs"), str(source), str(pages)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.replace(f"{source}/", "")
        raise SiteFailed(f"Sphinx does not build the pages without a warning; it says\n{said}")


def _contents() -> str:
    """The sidebar: chapters first, then the documents."""
    named = {"Chapters": [f"notebooks/{chapter.stem}" for chapter in chapters()]}
    named["About"] = [name.removesuffix(".md") for name in DOCUMENTS]
    trees = (
        ["```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```"]
        for caption, names in named.items()
    )
    return "\n" + "\n\n".join("\n".join(tree) for tree in trees) + "\n"


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)


if __name__ == "__main__":
    try:
        make()
    except SiteFailed as failure:
        sys.exit(f"site: {failure}")
