import json
import urllib.request
from pathlib import Path

import pytest

from helpers.view import graphs
from helpers.view.graphs import netron_frame, operator_rows


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "relu.onnx"
    path.write_bytes(b"a graph")
    return path


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("JPY_SESSION_NAME", "JUPYTERHUB_SERVICE_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a kernel that a Jupyter server started."""
    monkeypatch.setenv("JPY_SESSION_NAME", "05.ipynb")
    monkeypatch.setenv("JPY_PARENT_PID", "123")


def describe_server(folder: Path, **facts: str) -> None:
    """The file that a Jupyter server keeps about itself (jupyter_server.serverapp, server_info)."""
    (folder / "jpserver-123.json").write_text(json.dumps({"base_url": "/", "hostname": "localhost"} | facts))


def test_without_a_browser_there_is_no_frame(model: Path):
    assert netron_frame(model) is None


def test_under_jupyter_the_frame_is_on_localhost(model: Path, session: None):
    frame = netron_frame(model)
    assert frame is not None
    assert frame.src.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(f"{frame.src}data/relu.onnx") as answer:
        assert answer.read() == model.read_bytes()

    describe_server(model.parent)
    again = netron_frame(model)
    assert again is not None
    assert again.src == frame.src


def test_behind_a_hub_the_frame_goes_through_its_proxy(
    model: Path, session: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/x/")
    frame = netron_frame(model)
    assert frame is not None
    assert frame.src.startswith("/user/x/proxy/")

    monkeypatch.setattr(graphs.importlib.util, "find_spec", lambda name: None)
    assert netron_frame(model) is None


@pytest.mark.parametrize(
    ("facts", "start"),
    [({"base_url": "/lab/x/"}, "/lab/x/proxy/"), ({"hostname": "0.0.0.0"}, "/proxy/")],
    ids=["behind a prefix", "in a container"],
)
def test_a_server_that_others_reach_gives_its_own_proxy(
    model: Path, session: None, facts: dict[str, str], start: str
):
    describe_server(model.parent, **facts)
    frame = netron_frame(model)
    assert frame is not None
    assert frame.src.startswith(start)


def test_operators_are_listed_by_frequency():
    rows = operator_rows({"before": {"Conv": 2, "Shape": 5}, "after": {"Conv": 2}})
    assert list(rows.items()) == [("Shape", {"before": 5, "after": 0}), ("Conv", {"before": 2, "after": 2})]
