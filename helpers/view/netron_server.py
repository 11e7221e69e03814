"""Netron's page for one file, and nothing else: no other file, no other host, no update or consent dialogs.

`netron.serve` also hands out the whole folder that the kernel runs in; its page reports to an analytics
service, asks every new browser for consent, and refuses to work 180 days after the release (netron 9.3.3,
server.py and browser.js). So Netron gives the page here, and this module serves it.
"""

import contextlib
import re
import shutil
import threading
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

LOOPBACK = "127.0.0.1"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
_POLICY = "default-src 'self' 'unsafe-inline' data: blob:"  # the browser itself refuses every other host
_QUIET = b"""Object.defineProperty(Document.prototype, "cookie", { get: () => "consent=1", set() {} });"""


@cache
def serve(path: Path) -> int:
    """The loopback port where Netron shows the file, until this process ends; one server per file.

    The file is read anew each time the page is loaded.
    """

    class Handler(_Handler):
        model = path

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    threading.Thread(target=server.serve_forever, name=f"Netron: {path.name}", daemon=True).start()
    return server.server_port


class _Handler(BaseHTTPRequestHandler):
    model: Path

    def do_GET(self) -> None:
        with contextlib.suppress(ConnectionError):  # the reader closed the page
            self._answer(unquote(urlsplit(self.path).path))

    def _answer(self, wanted: str) -> None:
        try:
            content, kind = self._content(wanted)
        except (KeyError, OSError):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with content:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            shutil.copyfileobj(content, self.wfile)

    def _content(self, wanted: str) -> tuple[BinaryIO, str]:
        """Looked up by whole names, never joined to a folder; raises KeyError for any other name."""
        if wanted == f"/data/{self.model.name}":
            return self.model.open("rb"), "application/octet-stream"
        if wanted == "/":
            return BytesIO(_page(self.model.name).encode()), _TYPES[".html"]
        if wanted == "/quiet.js":
            return BytesIO(_QUIET), _TYPES[".js"]
        asset = _assets()[wanted]
        return asset.open("rb"), _TYPES[asset.suffix]

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the requests out of the notebook's output."""


@cache
def _assets() -> dict[str, Path]:
    """What Netron's page is made of, by the path that the page asks for."""
    found = (Path(str(entry)) for entry in files("netron").iterdir())
    return {f"/{path.name}": path for path in found if path.suffix in _TYPES}


def _page(name: str) -> str:
    """Netron's index.html with the file named; version 0.0.0 is its own mark of a page that stays quiet."""
    page = _assets()["/index.html"].read_text(encoding="utf-8")
    named = f'<meta name="version" content="0.0.0"><meta name="file" content="data/{quote(name)}">'
    page = re.sub(r'<meta name="version" content="[^"]*">', lambda _: named, page)
    page = re.sub(r'<meta name="date" content="[^"]*">', "", page)
    return page.replace("<title>", '<script src="quiet.js"></script><title>')
