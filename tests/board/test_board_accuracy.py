"""Accuracy on the board: what goes over, what comes back, what is made of it; pyaxengine is a stand-in."""

import contextlib
import json
import sys
from pathlib import Path

import onnx
import pytest
from far_side import FarSide, axmodel, is_clean
from PIL import Image
from small_graphs import graph, node
from waiting import wait_until

from helpers.__main__ import main
from helpers.board import accuracy as on_board
from helpers.board.accuracy import accuracy, share
from helpers.board.ssh import Board, BoardError
from helpers.graph.preprocess import Preprocessing, write_metadata

SIZE = 8
# Scores are the means of the three bytes, strict as pyaxengine is about shape and type.
ENGINE = """
import numpy as np
print("[INFO] Using provider: AxEngineExecutionProvider")
class Entry:
    name, shape = "input", [BATCH, 8, 8, 3]
class InferenceSession:
    def __init__(self, path):
        assert open(path, "rb").read(1)
    def get_inputs(self):
        return [Entry]
    def run(self, names, feed):
        (fed,) = feed.values()
        assert fed.shape == tuple(Entry.shape) and fed.dtype == np.uint8, "expect shape and dtype"
        return [fed.astype(np.float32).mean((1, 2))]
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Classes are the channels, BGR: one blue picture lies among the red ones."""
    for name, colour in {"0/a": "blue", "1/a": "lime", "2/a": "red", "2/b": "red", "2/c": "blue"}.items():
        path = tmp_path / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), colour).save(path)
    return tmp_path / "pictures"


def compiled(tmp_path: Path, *, batch: int = 1) -> Path:
    """An axmodel in a folder of its own, and the engine that runs it."""
    (tmp_path / "engine" / "axengine.py").write_text(ENGINE.replace("BATCH", str(batch)))
    return axmodel(tmp_path / "out" / "compiled.axmodel", fed=[batch, SIZE, SIZE, 3], given=[batch, 3])


@pytest.mark.parametrize("batch", [1, 2])
def test_each_picture_is_fed_and_held_against_its_class(
    batch: int, here: Board, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_board, "PORTION", 3)  # two sessions, the last runs not full
    found = accuracy(here, compiled(tmp_path, batch=batch), pictures, out=tmp_path / "out")
    assert found["top1"] == share([True] * 4 + [False]) and found["top1"]["value"] == 0.8
    assert (found["pictures"], found["engine"], found["device"]) == (5, "NPU", "this machine")
    assert found["top5"] is None and found["agreement"] is None
    rows = [json.loads(line) for line in (tmp_path / "out" / "images.jsonl").read_text().splitlines()]
    assert [(row["label"], row["top"][0]) for row in rows] == [(0, 0), (1, 1), (2, 2), (2, 2), (2, 0)]
    assert rows[4]["picture"] == "2/c.png"
    wait_until(lambda: is_clean(tmp_path / "far"))


@pytest.mark.parametrize(("fails", "sessions"), [("== 2", 4), ("in (2, 3)", 3), ("== 1", 1)])
def test_a_portion_that_fails_after_others_worked_is_sent_once_more(
    fails: str, sessions: int, here: Board, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_board, "PORTION", 2)
    built, count = compiled(tmp_path), tmp_path / "count"
    with (tmp_path / "engine" / "axengine.py").open("a") as engine:
        engine.write(f"with open({str(count)!r}, 'a+') as file:\n    file.write('.')\n    file.seek(0)\n")
        engine.write(f"    if len(file.read()) {fails}: raise RuntimeError('Failed to run model.')\n")
    expected = (
        contextlib.nullcontext() if sessions == 4 else pytest.raises(BoardError, match="0 of 2 pictures")
    )
    with expected:
        assert accuracy(here, built, pictures, out=tmp_path / "out")["top1"]["value"] == 0.8
    assert len(count.read_text()) == sessions


def test_the_graph_beside_it_says_the_order_of_colours_and_what_float_says(
    here: Board, pictures: Path, tmp_path: Path
) -> None:
    built = compiled(tmp_path)
    beside = graph(node("GlobalAveragePool"), shape=[1, 3, SIZE, SIZE], out=[1, 3, 1, 1])
    beside.graph.input[0].name = beside.graph.node[0].input[0] = "input"
    write_metadata(beside, Preprocessing("rgb", (0, 0, 0), (1, 1, 1), SIZE))
    onnx.save(beside, tmp_path / "out" / "model-sim.onnx")
    found = accuracy(here, built, pictures, out=tmp_path / "out")
    assert found["top1"]["value"] == 0.4  # lime, and the blue picture among the red ones
    assert found["agreement"] == share([True] * 5) and found["float_top1"] == found["top1"]


def test_over_ssh_it_ends_in_one_row(
    far: FarSide, pictures: Path, tmp_path: Path, here: Board, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    far.program("python3", f'PYTHONPATH={tmp_path}/engine exec {sys.executable} "$@"')
    board = far.board(tmp_path / "far")
    monkeypatch.setattr(Board, "at", lambda _: board)
    command = ["run-board", "--axmodel", str(compiled(tmp_path)), "--host", "b", "--out", f"{tmp_path}/out"]
    assert main([*command, "--images", str(pictures)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["kind"] == "board_accuracy" and row["device"] == board.name
    assert row["top1"]["low"] < row["top1"]["value"] == 0.8 < row["top1"]["high"]
    assert main([*command, "--images", str(pictures), "--repeats", "3"]) == 2


def test_what_goes_wrong_there_is_told_with_its_remedy(here: Board, pictures: Path, tmp_path: Path) -> None:
    built, engine = compiled(tmp_path), tmp_path / "engine" / "axengine.py"
    for program, said in {
        ENGINE.replace("BATCH", "1").replace("np.uint8,", "0,"): ".*expect shape.*exactly the model's",
        "import os, sys\nos.kill(os.getpid(), 11)": r" and said: \S",
    }.items():
        engine.write_text(program)
        with pytest.raises(BoardError, match=f"0 of 5 pictures{said}"):
            accuracy(here, built, pictures, out=tmp_path / "out")
    (tmp_path / "text.axmodel").write_text("model")
    with pytest.raises(ValueError, match="no compiled model"):
        accuracy(here, tmp_path / "text.axmodel", pictures, out=tmp_path / "out")
