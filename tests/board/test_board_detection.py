"""A detector on the board: bytes go over, a stand-in for pyaxengine gives maps, a record comes back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from far_side import is_clean
from PIL import Image
from small_graphs import graph, node

from helpers.__main__ import main
from helpers.board import detection
from helpers.board.ssh import Board, BoardError
from helpers.graph.preprocess import Preprocessing, write_metadata

# One anchor sees a cat: class 15, the square one of the third cell of stride 64, which is 256 pixels wide.
ENGINE = """
import numpy as np
class Entry:
    name, shape = "input", [1, 448, 448, 3]
class InferenceSession:
    def __init__(self, path): print("[INFO] Using provider: AxEngineExecutionProvider")
    def get_inputs(self): return [Entry]
    def run(self, names, feed):
        assert feed["input"].dtype == np.uint8 and (feed["input"][0, -1, -1] == (104, 116, 124)).all()
        maps = {}
        for stride, side in zip((8, 16, 32, 64, 128), (56, 28, 14, 7, 4)):
            maps[f"class_{stride}"] = np.full((1, 720, side, side), -9, np.float32)
            maps[f"box_{stride}"] = np.zeros((1, 36, side, side), np.float32)
        maps["class_64"][0, 3 * 80 + 15, 1, 2] = 2
        return [maps[name] for name in names]
"""


@pytest.fixture(autouse=True)
def compiled(here: Board, tmp_path: Path) -> None:
    (tmp_path / "engine" / "axengine.py").write_text(ENGINE)
    model = graph(node("Relu"), shape=[1, 3, 448, 448])
    fed = Preprocessing("bgr", (103.53, 116.28, 123.675), (58.395, 57.12, 57.375), 448, 448, "letterbox")
    write_metadata(model, fed)
    (tmp_path / "out" / "model-sim.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "out" / "compiled.axmodel").write_bytes(b"a compiled model")
    Image.fromarray(np.zeros((448, 896, 3), np.uint8)).save(tmp_path / "wide.png")  # half as large inside


def test_run_board_gives_a_detectors_objects(
    here: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Board, "at", lambda _: here)
    axmodel, out = str(tmp_path / "out" / "compiled.axmodel"), str(tmp_path / "out")
    photo = str(tmp_path / "wide.png")
    options = ["--axmodel", axmodel, "--host", "local", "--out", out, "--photo", photo, "--repeats", "2"]
    assert main(["run-board", *options]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] and record["repeats"] == 2 and record["latency_ms"]["avg"] > 0
    assert record["post_process_ms"] is not None and record["input_size"] == [448, 448]
    (cat,) = record["detections"]
    assert (cat["class_id"], cat["class_name"], cat["score"]) == (15, "cat", pytest.approx(0.8808, abs=1e-4))
    assert cat["box"] == [0, 0, 512, 384]  # 128 ± 128 and 64 ± 128 inside, clipped, and twice that
    assert is_clean(tmp_path / "far")


def test_what_pyaxengine_says_is_told(here: Board, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "engine")
    axmodel = tmp_path / "out" / "compiled.axmodel"
    fed = detection.whole(axmodel)
    assert fed is not None
    with pytest.raises(BoardError, match=r"found nothing.*No module named 'axengine'.*Install"):
        detection.detect(here, axmodel, tmp_path / "wide.png", fed, out=tmp_path / "out")
