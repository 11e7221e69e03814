"""Which log is read: a run now comes before a given log, and that before the published one."""

from pathlib import Path

import pytest
from far_side import FarSide, recorded

from helpers.board.source import RECORDED, board_log
from helpers.board.ssh import Board

CLASSIFIER = "sample_npu_classification"


def test_without_a_log_or_a_board_the_published_log_stands_in_and_says_so(image: Path, tmp_path: Path):
    found = board_log("efficientvit_m5", photo=image, out=tmp_path)
    assert found.recorded and found.path == RECORDED and found.run.latency_ms.avg == 1.24
    other = board_log("efficientvit_m0", photo=image, out=tmp_path)
    assert other.run == found.run and "M0" not in found.words and "M0" in other.words


def test_a_given_log_is_read_or_refused(image: Path, tmp_path: Path):
    log = tmp_path / "mine.log"
    log.write_text(recorded("sample_classification.log"))
    found = board_log("efficientvit_m5", photo=image, out=tmp_path, log=str(log))
    assert not found.recorded and found.path == log and found.run.latency_ms.avg == 2.31
    log.write_text(recorded("ax_run_model.log"))
    with pytest.raises(ValueError, match=r"mine\.log"):
        board_log("efficientvit_m5", photo=image, out=tmp_path, log=str(log))


def test_a_board_runs_the_model_and_comes_first(far: FarSide, model: Path, image: Path, tmp_path: Path):
    far.prints(CLASSIFIER, "sample_classification.log")
    (far.programs / "ax_run_model").unlink(missing_ok=True)
    board, out = far.board(tmp_path / "far"), tmp_path / "out"
    found = board_log(
        "efficientvit_m5", photo=image, out=out, log="none.log", board=board, axmodel=str(model), repeats=7
    )
    assert not found.recorded and found.path == out / "board.log" and found.run.top_k
    assert "-r 7" in found.path.read_text()
    assert board.name in found.words and "ax_run_model" in found.words


def test_a_board_needs_a_model(image: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="axmodel"):
        board_log("efficientvit_m5", photo=image, out=tmp_path, board=Board(host="nowhere"))
