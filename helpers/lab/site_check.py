"""What a built web book must keep: no request to another host, no dead link, a name for every picture."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {  # tag: the attributes by which a browser loads something without being asked
    **dict.fromkeys(
        ("img", "script", "iframe", "source", "audio", "video", "embed", "track"), ("src", "srcset")
    ),
    "object": ("data",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
    "link": ("href",),
}
ONLY_NAMES = {"canonical", "alternate", "next", "prev", "search", "index", "author", "license"}  # of <link>


@dataclass
class Inspected:
    """What was found in the pages, each with the page it stands on; `external` is no fault but a list."""

    pages: int = 0
    dead: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    nameless: list[str] = field(default_factory=list)
    external: set[str] = field(default_factory=set)

    @property
    def faults(self) -> list[str]:
        """One line for each fault, none when the book is in order."""
        return [
            *(f"leads nowhere: {link}" for link in self.dead),
            *(f"loads from another host: {load}" for load in self.loads),
            *(f"has no alternative text: {picture}" for picture in self.nameless),
        ]


def inspect(site: Path) -> Inspected:
    """Reads every page and style sheet below `site`; scripts are not read, a browser must try those."""
    pages = {path: _Page(path) for path in sorted(site.rglob("*.html"))}
    found = Inspected(pages=len(pages))
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        found.nameless += [f"{name}: {picture}" for picture in page.nameless]
        for address in page.loads:
            if _is_outside(address):
                found.loads.append(f"{name}: {address}")
            elif not _leads(address, path, pages):
                found.dead.append(f"{name}: {address}")
        for address in page.links:
            if _is_outside(address):
                found.external.add(address)
            elif not _leads(address, path, pages):
                found.dead.append(f"{name}: {address}")
    for sheet in sorted(site.rglob("*.css")):
        for address in _loads_of_style(sheet.read_text(encoding="utf-8")):
            if _is_outside(address):
                found.loads.append(f"{sheet.relative_to(site).as_posix()}: {address}")
    return found


class _Page(HTMLParser):
    """The addresses that one page loads and links, its anchors, and its pictures without a name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.nameless: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.loads += _loads_of_style(values.get("style", ""))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag != "link" or not set(values.get("rel", "").split()) & ONLY_NAMES:
            self.loads += [values[name] for name in LOADS.get(tag, ()) if values.get(name)]
        if tag == "img" and not _says_something(values.get("alt", "")):
            self.nameless.append(values.get("src", "")[:80])


def _says_something(alt: str) -> bool:
    """Whether an alternative text is more than nothing or a file's name, which Sphinx puts for nothing."""
    return bool(alt.strip()) and not re.search(r"\.(svg|png|jpe?g|gif|webp)$", alt)


def _loads_of_style(css: str) -> Iterator[str]:
    plain = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    for match in re.finditer(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", plain):
        yield match[1] or match[2]


def _is_outside(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def _leads(address: str, page: Path, pages: dict[Path, _Page]) -> bool:
    """Whether an address within the book names a file, and an anchor if it has one."""
    parts = urlsplit(address)
    if parts.scheme:  # data:, mailto:
        return True
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not parts.fragment or target not in pages:
        return target.is_file()
    return unquote(parts.fragment) in pages[target].anchors
