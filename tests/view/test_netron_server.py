"""One file on the loopback. That the page draws it is tested in a browser: test_browser.py."""

import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from helpers.view import netron_server


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to serve, with another beside it, in the folder that this process runs in."""
    path = tmp_path / "net 1.onnx"
    path.write_bytes(b"a graph")
    (tmp_path / "secret.txt").write_text("not for the browser")
    monkeypatch.chdir(tmp_path)
    return path


def get(port: int, path: str) -> tuple[int, bytes]:
    """The path as written: urllib would tidy the dots away."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_the_file_is_served_as_it_is_now(model: Path):
    port = netron_server.serve(model)
    assert get(port, "/data/net%201.onnx") == (200, b"a graph")
    model.write_bytes(b"another")
    assert get(port, "/data/net%201.onnx") == (200, b"another")
    assert netron_server.serve(model) == port


@pytest.mark.parametrize(
    "path",
    [
        "/data/secret.txt",
        "/data/../etc/passwd",
        "/data/../../../../../../../../etc/passwd",
        "/data/%2e%2e/%2e%2e/etc/passwd",
        "/data//etc/passwd",
        "/../secret.txt",
        "/etc/passwd",
        "/server.py",
        "/data/",
        "/data",
    ],
)
def test_no_other_file_is_served(model: Path, path: str):
    assert get(netron_server.serve(model), path)[0] == 404


def test_a_file_that_went_away_is_a_plain_404(model: Path):
    port = netron_server.serve(model)
    model.unlink()
    assert get(port, "/data/net%201.onnx")[0] == 404


def test_the_page_names_the_file_and_asks_no_other_host(model: Path):
    port = netron_server.serve(model)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
        page = answer.read().decode()
    assert '<meta name="file" content="data/net%201.onnx">' in page
    for asset in re.findall(r'(?:src|href)="([^":]+)"', page):
        assert get(port, f"/{asset}")[0] == 200, asset


def test_the_page_leaves_out_the_version_and_the_date_that_start_netrons_dialogs(model: Path):
    page = get(netron_server.serve(model), "/")[1].decode()
    assert re.findall(r'<meta name="version" content="(.*?)">', page) == ["0.0.0"]
    assert 'name="date"' not in page
    assert page.index("quiet.js") < page.index("index.js")


def test_it_listens_on_the_loopback_only(model: Path):
    port = netron_server.serve(model)
    listening = [
        line.laddr.ip
        for line in psutil.Process().net_connections()
        if line.status == "LISTEN" and line.laddr.port == port
    ]
    assert listening == ["127.0.0.1"]


def test_the_port_closes_with_the_process(model: Path):
    code = (
        "import pathlib, sys; from helpers.view.netron_server import serve; "
        "print(serve(pathlib.Path(sys.argv[1])))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, model], stdout=subprocess.PIPE, check=True, timeout=100
    )
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(process.stdout)), timeout=10)
