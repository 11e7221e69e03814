"""What `make` installs with: the index of torch, against stand-ins on the loopback; a fitting interpreter."""

import io
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from helpers.files import ROOT
from helpers.lab import install


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an index with one file of torch."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    page = tmp_path / "simple" / "torch" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<a href="torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl">torch-2.13.0</a>')
    (tmp_path / "portal" / "torch").mkdir(parents=True)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def test_an_index_answers_when_it_lists_torch(index: str):
    assert install.answers(index, seconds=60)
    assert not install.answers(f"{index}/missing", seconds=60)
    assert not install.answers(index.replace("simple", "portal"), seconds=60)  # a page without torch


def test_an_index_that_is_silent_costs_the_probe_and_no_more():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert not install.answers(address, seconds=0.2)
    assert not install.answers(address, seconds=60)  # and one that is gone is known to be, at once


def test_a_name_that_does_not_resolve_costs_the_probe_and_no_more(monkeypatch: pytest.MonkeyPatch):
    resolved = threading.Event()

    def late(*_: object, **__: object) -> io.BytesIO:
        resolved.wait(10)
        return io.BytesIO(b"torch-")

    monkeypatch.setattr("urllib.request.urlopen", late)
    assert not install.answers("http://mine", seconds=0.2)
    resolved.set()
    assert install.answers("http://mine", seconds=60)


@pytest.mark.parametrize(
    ("facts", "chosen", "says"),
    [
        ({}, install.CPU_INDEX, "1.8 GB"),
        ({"answers": False}, None, "does not answer"),
        ({"driver": True}, None, "5.8 GB"),
        ({"settings": {"find-links"}}, None, "find-links"),
        ({"platform": "darwin"}, None, "1.8 GB"),
        ({"named": "http://mine", "driver": True, "settings": {"index-url"}}, "http://mine", "http://mine"),
        ({"named": ""}, None, "5.8 GB"),
    ],
)
def test_the_cpu_index_is_for_linux_without_a_driver_and_without_settings(
    facts: dict[str, Any], chosen: str | None, says: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    if "named" in facts:
        monkeypatch.setenv("TORCH_INDEX", facts["named"])
    monkeypatch.setattr(sys, "platform", facts.get("platform", "linux"))
    monkeypatch.setattr(shutil, "which", lambda name: "nvidia-smi" if "driver" in facts else None)
    monkeypatch.setattr(install, "pip_settings", lambda: facts.get("settings", set()))
    monkeypatch.setattr(install, "answers", lambda index: facts.get("answers", True))
    index, said = install.choose()
    assert index == chosen
    assert says in said
    assert "\n" not in said


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip as on a machine where nobody set anything."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name == "TORCH_INDEX"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # no file at all is read then


@pytest.mark.usefixtures("no_settings")
def test_settings_on_indexes_are_seen_wherever_pip_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_TIMEOUT", "9")
    assert install.pip_settings() == set()
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://mine")
    assert install.pip_settings() == {"extra-index-url"}
    (tmp_path / "pip.conf").write_text("[install]\nno-index = yes\n[global]\nretries = 1\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert "no-index" in install.pip_settings()


@pytest.mark.usefixtures("no_settings")
def test_pip_is_called_with_what_was_chosen(
    index: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    calls: list[list[str]] = []
    monkeypatch.setattr(install, "pip", lambda arguments: calls.append(arguments) or 0)
    monkeypatch.setattr(install, "CPU_INDEX", index)
    monkeypatch.setattr(install, "PROBE_SECONDS", 60.0)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: None)  # no driver
    assert install.main() == install.main("test,site") == 0
    monkeypatch.setenv("PIP_INDEX_URL", "http://mine")
    assert install.main() == 0
    chosen, added, left = calls
    assert chosen[-2:] == ["--extra-index-url", index]
    assert added[-1] == ".[test,site]"
    assert left == [word for word in chosen if word not in chosen[-2:]]
    assert "index-url" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.usefixtures("no_settings")
def test_errors_of_pip_come_through_and_places_that_it_skips_do_not(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "gone"))
    assert install.pip(["download", "--index-url", index, "no-such-package"]) != 0
    said = capfd.readouterr()
    assert "no-such-package" in said.err
    assert "Location" not in said.out + said.err


# An interpreter that tells of itself by the command it is given, and makes an environment of itself at once.
STAND_IN = """#!/bin/sh
case "$1" in
  -c) shift; {tells} ;;
  -m) rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/pip; >.venv/pyvenv.cfg ;;
  -I) echo "pip runs" ;;
esac
"""


def test_the_environment_is_of_the_interpreter_that_is_named(tmp_path: Path):
    """It is kept while none or the same is named, and made anew when another is."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text(STAND_IN.format(tells=f'{sys.executable} -c "$1"'))
    other.write_text(STAND_IN.format(tells='echo "Python 3.12 of a stand-in"'))
    for path in (one, other):
        path.chmod(0o755)
    ours = ("MAKE", "PYTHON", "MFLAGS")  # `make test` sets them
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}

    def make(*named: str) -> tuple[int, str]:
        command = ["make", ".venv/ready", *named]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        return ran.returncode, ran.stdout

    status, first = make(f"PYTHON={one}")
    assert (status, "pip runs" in first, "anew" in first) == (0, True, False)
    status, second = make(f"PYTHON={other}")
    assert (status, "pip runs" in second, "anew" in second) == (0, True, True)
    status, refused = make("PYTHON=false")
    assert (status > 0, "3.11 to 3.14" in refused) == (True, True)
    for named in ((), (f"PYTHON={other}",)):  # what is there stays
        status, again = make(*named)
        assert (status, "pip runs" in again) == (0, False)
