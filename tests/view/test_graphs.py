import urllib.request
from pathlib import Path

import pytest

from helpers.view import graphs
from helpers.view.graphs import netron_frame, operator_rows


@pytest.fixture
def model(tmp_path: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper

    inputs, outputs = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [inputs], [outputs])
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph), path)
    (tmp_path / "secret.txt").write_text("not for the browser")
    return path


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_SESSION_NAME", "JUPYTERHUB_SERVICE_PREFIX"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_browser_there_is_no_frame(model: Path):
    assert netron_frame(model) is None


def test_under_jupyter_the_frame_shows_this_file_and_no_other(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "05.ipynb")
    frame = netron_frame(model)
    assert frame is not None
    assert frame.src.startswith(("http://127.0.0.1:", "http://localhost:"))
    with urllib.request.urlopen(f"{frame.src}data/relu.onnx") as answer:
        assert answer.read() == model.read_bytes()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{frame.src}data/secret.txt")


def test_behind_a_hub_the_frame_goes_through_its_proxy(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "05.ipynb")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/x/")
    frame = netron_frame(model)
    assert frame is not None
    assert frame.src.startswith("/user/x/proxy/")

    monkeypatch.setattr(graphs.importlib.util, "find_spec", lambda name: None)
    assert netron_frame(model) is None


def test_operators_are_listed_by_frequency():
    rows = operator_rows({"before": {"Conv": 2, "Shape": 5}, "after": {"Conv": 2}})
    assert list(rows.items()) == [("Shape", {"before": 5, "after": 0}), ("Conv", {"before": 2, "after": 2})]
