"""Downloads against servers on this machine: whole, slow, broken off, missing, and not what they seem."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from helpers.model import download as module
from helpers.model.checkpoint import CheckpointError, file_hash
from helpers.model.download import Unreachable, download, reachable
from helpers.model.variants import UnknownModel

NAME = "efficientvit_m0"


class Server(ThreadingHTTPServer):
    """Answers every request with `body`, and counts downloads."""

    daemon_threads = True
    body = b""
    status = 200
    announced: int | None = None
    pause = 0.0
    downloads = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.send_response(self.server.status)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.downloads += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.announced or len(self.server.body)))
        self.end_headers()
        half = len(self.server.body) // 2
        self.wfile.write(self.server.body[:half])
        self.wfile.flush()
        time.sleep(self.server.pause)
        self.wfile.write(self.server.body[half:])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    served = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(module, "RELEASES", f"http://127.0.0.1:{served.server_port}")
    torch.save({"model": {"head.l.bias": torch.ones(1000)}}, tmp_path / "served.pth")
    served.body = (tmp_path / "served.pth").read_bytes()
    yield served
    served.shutdown()
    served.server_close()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "a" / "folder"


def test_the_first_download_is_trusted_and_recorded(server: Server, into: Path) -> None:
    path = download(NAME, into=into)
    assert path == into / "efficientvit_m0.pth"
    assert path.read_bytes() == server.body
    assert (into / "efficientvit_m0.pth.sha256").read_text() == f"{file_hash(path)}  efficientvit_m0.pth\n"
    assert sorted(each.name for each in into.iterdir()) == [
        "efficientvit_m0.pth",
        "efficientvit_m0.pth.sha256",
    ]
    assert download(NAME, into=into) == path
    assert server.downloads == 1, "a file that is there is not fetched again"


def test_a_file_that_changed_is_refused(server: Server, into: Path) -> None:
    path = download(NAME, into=into)
    torch.save({}, path)
    with pytest.raises(CheckpointError, match="does not have the hash"):
        download(NAME, into=into)


def test_another_download_than_the_recorded_is_refused(server: Server, into: Path, tmp_path: Path) -> None:
    download(NAME, into=into).unlink()
    torch.save({"other": torch.ones(1)}, tmp_path / "other.pth")
    server.body = (tmp_path / "other.pth").read_bytes()
    with pytest.raises(CheckpointError, match="has sha256"):
        download(NAME, into=into)
    assert [each.name for each in into.iterdir()] == ["efficientvit_m0.pth.sha256"]


def test_a_given_hash_decides(server: Server, into: Path, tmp_path: Path) -> None:
    right = file_hash(tmp_path / "served.pth")
    with pytest.raises(CheckpointError, match=f"has sha256 {right}, not {'0' * 64}"):
        download(NAME, into=into, sha256="0" * 64)
    assert list(into.iterdir()) == []
    path = download(NAME, into=into, sha256=right.upper())
    assert path.exists()
    with pytest.raises(CheckpointError, match="has sha256"):
        download(NAME, into=into, sha256="0" * 64)


def broken_off(server: Server) -> None:
    server.announced = len(server.body)
    server.body = server.body[:-100]


def missing(server: Server) -> None:
    server.status = 404


def web_page(server: Server) -> None:
    server.body = b"<!DOCTYPE html><html><body>Sign in</body></html>"


def stalled(server: Server) -> None:
    server.pause = 5


def truncated_at_the_source(server: Server) -> None:
    server.body = server.body[:-100]


def endless(server: Server) -> None:
    server.body = bytes(module._CHUNK * 3)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (broken_off, Unreachable, r"broke off \([\d,]+ of [\d,]+ bytes came\): try again"),
        (missing, Unreachable, r"answered 404 Not Found: download .*efficientvit_m0\.pth elsewhere"),
        (stalled, Unreachable, "broke off .*timed out"),
        (web_page, CheckpointError, r"http\S+efficientvit_m0\.pth is a web page"),
        (truncated_at_the_source, CheckpointError, r"http\S+efficientvit_m0\.pth is truncated"),
        (endless, Unreachable, "sends more than"),
    ],
)
def test_a_bad_download_says_why_and_leaves_nothing(
    server: Server,
    into: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[Server], None],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(module, "LIMIT_BYTES", module._CHUNK * 2)
    fault(server)
    with pytest.raises(error, match=message):
        download(NAME, into=into)
    assert list(into.iterdir()) == []


def test_without_a_server(into: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(
        Unreachable, match=r"cannot be reached from here: download \S+ elsewhere and give its path"
    ):
        download(NAME, into=into)
    assert list(into.iterdir()) == []


def test_reachable_is_about_an_answer_not_about_its_kind(server: Server) -> None:
    assert reachable(module.RELEASES)
    server.status = 404
    assert reachable(module.RELEASES)


def test_a_server_that_accepts_and_never_answers() -> None:
    class Silent(Handler):
        def do_HEAD(self) -> None:
            time.sleep(3)

    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as silent:
        silent.daemon_threads = True
        silent.block_on_close = False
        threading.Thread(target=silent.serve_forever, args=(0.01,), daemon=True).start()
        assert not reachable(f"http://127.0.0.1:{silent.server_port}", seconds=0.3)
        silent.shutdown()


@pytest.mark.timeout(60)
def test_a_name_that_takes_forever_to_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket's timeout covers the look-up, so it is waited for in a thread."""
    released = threading.Event()

    def look_up(*_: object, **__: object) -> None:
        released.wait()
        raise OSError

    monkeypatch.setattr(module.urllib.request, "urlopen", look_up)
    assert not reachable("https://example.org", seconds=0.1)
    released.set()


def test_only_the_six_can_be_downloaded(into: Path) -> None:
    with pytest.raises(UnknownModel):
        download("efficientvit_b0", into=into)
