import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from helpers.view.netron import serve


def test_netron_serves_the_file_alone_and_on_the_loopback_only(tmp_path: Path):
    model = tmp_path / "relu.onnx"
    model.write_bytes(b"a graph")
    (tmp_path / "secret.txt").write_text("not for the browser")
    address = serve(model)
    page = urllib.request.urlopen(address).read().decode()
    (data,) = re.findall(r'<meta name="file" content="/(.*?)">', page)
    assert urllib.request.urlopen(address + data).read() == b"a graph"
    for path in ("data/secret.txt", f"data/..{tmp_path}/secret.txt", "../secret.txt"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address + path)
    port = int(address.rstrip("/").rpartition(":")[2])
    listening = [line.laddr for line in psutil.Process().net_connections() if line.status == "LISTEN"]
    assert [place.ip for place in listening if place.port == port] == ["127.0.0.1"]


def test_nothing_is_left_when_the_process_ends(tmp_path: Path):
    model = tmp_path / "relu.onnx"
    model.write_bytes(b"a graph")
    code = "import pathlib, sys, tempfile; from helpers.view.netron import serve; "
    code += "tempfile.tempdir = sys.argv[2]; serve(pathlib.Path(sys.argv[1]))"
    (tmp_path / "scratch").mkdir()
    subprocess.run([sys.executable, "-c", code, model, tmp_path / "scratch"], check=True)
    assert not list((tmp_path / "scratch").iterdir())
