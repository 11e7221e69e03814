"""timm's weights: from a hub on the loopback, from the cache, and what counts before random ones."""

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants, file_download
from safetensors.torch import save

from helpers.__main__ import main
from helpers.model import weights
from helpers.model.reference import timm
from helpers.model.source import ENVIRONMENT_VARIABLE, HUB_ID, CheckpointError, find
from helpers.model.variants import VARIANTS
from helpers.model.weights import Unreachable, load

M0 = "efficientvit_m0"
TRAINED = 3  # the seed of what the hub gives for trained


class Hub(ThreadingHTTPServer):
    """A hub that serves timm's layout: `files` by repository, and what it was asked for."""

    files: dict[str, bytes]
    asked: list[str]
    goes_on: threading.Event  # while it is not set, a file stops in its middle

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, *names: str) -> None:
        for name in names:
            self.files[HUB_ID.format(name=name)] = save(weights.init_model(name, seed=TRAINED).state_dict())

    @property
    def sent(self) -> int:
        """How many files it was asked for."""
        return sum(line.startswith("GET") and line.endswith("safetensors") for line in self.asked)

    def handle_error(self, *_: object) -> None: ...  # the client may hang up


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        held = self.server.files.get(self.path.partition("/resolve/main/model.safetensors")[0].strip("/"))
        self.send_response(200 if held else 404)
        self.send_header("Content-Length", str(len(held or b"")))
        self.send_header("ETag", f'"{hashlib.sha256(held or b"").hexdigest()}"')
        if not held:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if held and self.command == "GET":
            half = len(held) // 2
            self.wfile.write(held[:half])
            self.server.goes_on.wait(30)
            self.wfile.write(held[half:])

    do_GET = do_HEAD


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, emptied at once: pytest's own folder would keep these files three times over."""
    with tempfile.TemporaryDirectory() as path:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", path)
        monkeypatch.delenv(ENVIRONMENT_VARIABLE)
        yield Path(path)


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with nothing on it, where this process looks for one."""
    with Hub(("127.0.0.1", 0), Answer) as server:
        server.files, server.asked, server.goes_on = {}, [], threading.Event()
        server.goes_on.set()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server
        server.goes_on.set()
        server.shutdown()


def is_trained(model: torch.nn.Module) -> bool:
    expected = weights.init_model(M0, seed=TRAINED).state_dict()
    return all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


def test_the_hub_knows_the_six_by_this_name() -> None:
    for name in VARIANTS:
        assert timm.get_pretrained_cfg(name).hf_hub_id == HUB_ID.format(name=name)


def test_what_is_named_counts_before_the_environment_the_cache_and_chance(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put(M0)
    assert find(name=M0).words == "random (seed 0)" and not is_trained(load(M0))
    assert find("timm", name=M0).words == "timm hub"
    assert not hub.asked, "a host was asked that nobody named"
    assert is_trained(load(M0, "timm")) and hub.sent == 1
    hub.asked.clear()
    assert is_trained(load(M0)) and find(name=M0).words == find("timm", name=M0).words
    assert find(name=M0).words.startswith("timm hub, sha256 ") and not hub.asked
    assert find(name="efficientvit_m1").checkpoint == find().checkpoint == "random"
    torch.save(load(M0, "random", seed=5).state_dict(), tmp_path / "mine.pth")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "mine.pth"))
    assert find(name=M0).words.startswith("file mine.pth") and find("random", name=M0).file is None


def test_timms_other_models_are_trained_only_where_that_is_asked_for(hub: Hub) -> None:
    name = "timm/test_byobnet"
    trained = weights.init_model(name, seed=TRAINED)
    hub.files["timm/test_byobnet.r160_in1k"] = save(trained.state_dict())
    loaded = load(name, "timm").state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in trained.state_dict().items())
    assert find(name=name).words == "random (seed 0)" and hub.sent == 1
    assert find("timm", name=name).words.startswith("timm hub, sha256 ")


def test_the_command_fetches_all_six_once(hub: Hub, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.put(*VARIANTS)
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache), "TQDM_POSITION": "-1"}
    command = [sys.executable, "-m", "helpers", "weights", "timm"]
    first = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = [line.split() for line in first.stdout.splitlines()]
    assert [(name, word) for name, word, _ in lines] == [(name, "fetched") for name in VARIANTS]
    assert all(Path(file).is_file() for *_, file in lines)
    assert "model.safetensors: 100%" in first.stderr, "no progress"
    assert main(["weights", "timm"]) == 0 and hub.sent == 6
    assert capsys.readouterr().out == first.stdout.replace("fetched", "kept")


def test_a_broken_file_is_told_and_fetched_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put(M0)
    monkeypatch.setattr(weights, "VARIANTS", {M0: VARIANTS[M0]})
    ((_, file, _),) = weights.fetch_all()
    content = file.read_bytes()
    file.write_bytes(content[:1000])
    with pytest.raises(CheckpointError, match=r"damaged.*: get the file again"):
        load(M0)
    assert list(weights.fetch_all()) == [(M0, file, True)] and file.read_bytes() == content
    file.write_bytes(b"")
    hub.files[HUB_ID.format(name=M0)] = b"<html>Login</html>"
    with pytest.raises(CheckpointError, match="damaged"):
        list(weights.fetch_all())


def test_a_hub_that_stalls_or_lacks_a_file_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)
    hub.put(M0)
    hub.goes_on.clear()
    with pytest.raises(Unreachable, match=f"gave no weights for {M0} .*timed out"):
        load(M0, "timm")
    with pytest.raises(Unreachable, match=r"gave no weights for efficientvit_m1 .*404"):
        load("efficientvit_m1", "timm")
    hub.goes_on.set()
    assert is_trained(load(M0, "timm"))


def test_a_hub_out_of_reach(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"timm hub .*127\.0\.0\.1:9.* refused.*: give the official file"):
        load(M0, "timm")
