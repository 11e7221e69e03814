"""Runs on a board that is a real sshd with stand-in programs: what comes back, and what goes wrong there."""

from pathlib import Path

import pytest
from far_side import FarSide, recorded, started

from helpers.board import remote
from helpers.board.remote import BoardError
from helpers.logs.run_record import Latency, Score, Versions


def test_a_run_brings_back_both_records_and_leaves_nothing_behind(
    far: FarSide, model: Path, image: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    far.prints("sample_npu_classification", "sample_classification.log", f'cat "$2" "$4" > {seen}')
    runs = remote.run(
        far.board(tmp_path / "far"), model, image, out=tmp_path / "out", repeats=200, warmup=4, batch=8,
        size=(192, 160), progress=False,
    )  # fmt: skip
    assert seen.read_bytes() == model.read_bytes() + image.read_bytes()
    assert runs.logs == (tmp_path / "out" / "classification.log", tmp_path / "out" / "run_model.log")
    scores, times = runs.classification, runs.run_model
    assert scores is not None and scores.ok and times.ok
    assert (scores.source, times.source) == tuple(map(str, runs.logs))
    assert scores.program == "sample_npu_classification" and scores.top_k[0] == Score(277, 11.25)
    assert scores.latency_ms == Latency(avg=2.31, min=2.29, max=2.40)
    assert times.latency_ms.p99 == 1.290 and times.batch == 8
    assert times.versions == Versions("5.1 0aa1bb2c", "2.11.0s", "2.4.1")
    assert runs.board.classifier == str(far.programs / "sample_npu_classification")
    assert far.calls() == [
        *(str(far.programs / "sample_npu_classification"), "-m", "tiny.axmodel", "-i", "fox.jpg"),
        *("-g", "192,160", "-r", "200"),
        *(str(far.programs / "ax_run_model"), "-m", "tiny.axmodel", "-r", "200", "-w", "4", "-a", "1"),
        *("-v", "0", "-b", "8"),
    ]
    first = runs.logs[1].read_text().splitlines()[0]
    assert first == "# ax_run_model -m tiny.axmodel -r 200 -w 4 -a 1 -v 0 -b 8"
    assert not list((tmp_path / "far").iterdir())


def test_without_an_image_only_the_timing_is_taken(far: FarSide, model: Path, tmp_path: Path) -> None:
    (far.programs / "sample_npu_classification").unlink()
    runs = remote.run(far.board(tmp_path / "far"), model, out=tmp_path / "out", progress=False)
    assert runs.classification is None and runs.run_model.ok
    assert runs.logs == (tmp_path / "out" / "run_model.log",)


def test_a_slow_program_is_read_to_its_end_with_progress(
    far: FarSide, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = recorded("ax_run_model.log")
    far.program("ax_run_model", f"while read -r line; do echo $line; sleep 0.1; done <<'END'\n{log}END")
    runs = remote.run(far.board(tmp_path / "far"), model, out=tmp_path / "out")
    assert runs.run_model.ok and runs.run_model.latency_ms.avg == 1.052
    assert "running" in capsys.readouterr().err


def test_exit_status_0_is_no_success(far: FarSide, model: Path, image: Path, tmp_path: Path) -> None:
    far.prints("sample_npu_classification", "sample_stops_early.log")
    runs = remote.run(far.board(tmp_path / "far"), model, image, out=tmp_path / "out", progress=False)
    assert runs.classification is not None and not runs.classification.ok
    assert "The input data size is not matched" in runs.classification.errors[0]
    assert runs.run_model.ok  # the second program ran all the same


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Engine creating handle is done.'; kill -SEGV $$", "Segmentation fault"),
        ("echo 'Read image failed.' >&2; exit 255", "exit status 255"),  # not to be taken for ssh's own 255
        ("exit 3", "exit status 3"),
    ],
)
def test_a_program_that_dies_gives_a_record_that_says_so(
    script: str, said: str, far: FarSide, model: Path, image: Path, tmp_path: Path
) -> None:
    far.program("sample_npu_classification", script)
    runs = remote.run(far.board(tmp_path / "far"), model, image, out=tmp_path / "out", progress=False)
    assert runs.classification is not None and not runs.classification.ok
    assert any(said in error for error in runs.classification.errors)


def test_the_closing_line_counts_more_than_the_exit_status(far: FarSide, model: Path, tmp_path: Path) -> None:
    far.prints("ax_run_model", "ax_run_model.log", "exit 1")
    record = remote.run(far.board(tmp_path / "far"), model, out=tmp_path / "out", progress=False).run_model
    assert record.ok and record.warnings == ["the program ended with exit status 1"]


def test_a_missing_program_is_named_before_anything_is_copied(
    far: FarSide, model: Path, image: Path, tmp_path: Path
) -> None:
    (far.programs / "sample_npu_classification").unlink()
    board = far.board(tmp_path / "far")
    with pytest.raises(BoardError, match=r"has no sample_npu_classification: .*Board\(classifier="):
        remote.run(board, model, image, out=tmp_path / "out", progress=False)
    with pytest.raises(BoardError, match="has no /opt/x/ax_run_model"):
        elsewhere = far.board(tmp_path / "far", run_model="/opt/x/ax_run_model")
        remote.run(elsewhere, model, out=tmp_path / "out", progress=False)
    assert far.calls() == []


def test_a_missing_file_and_numbers_out_of_range_are_refused_at_once(model: Path, tmp_path: Path) -> None:
    board = remote.Board(host="nowhere.invalid")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        remote.run(board, tmp_path / "none.axmodel", out=tmp_path)
    for name, value in (("repeats", 0), ("affinity", 8), ("vnpu", -1), ("batch", -1), ("size", (0, 224))):
        with pytest.raises(ValueError, match="give a number from"):
            remote.run(board, model, out=tmp_path, **{name: value})


def test_check_tells_what_the_board_has(
    far: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version").write_text("Ax_Version V1.45.0\n")
    (tmp_path / "mem_cmm_info").write_text(
        "---CMM_USE_INFO:\n total size=3145728KB(3072MB),used=18876KB(18MB + 444KB),"
        "remain=3126852KB(3053MB + 548KB),partition_number=1,block_number=21\n"
    )
    (tmp_path / "vendor.axmodel").touch()
    monkeypatch.setattr(remote, "_PROC", str(tmp_path))
    monkeypatch.setattr(remote, "_VENDOR_MODEL", str(tmp_path / "vendor.axmodel"))
    info = remote.check(far.board(tmp_path / "far"))
    assert info.classifier == str(far.programs / "sample_npu_classification")
    assert (info.sdk, info.free_cmm_bytes) == ("Ax_Version V1.45.0", 3_126_852 * 1024)
    assert (info.engine, info.tool) == ("2.11.0s", "2.4.1")
    assert info.trial is not None and info.trial.ok
    assert not list((tmp_path / "far").iterdir())


def test_check_of_a_machine_that_is_no_board_says_none(
    far: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_PROC", str(tmp_path / "nowhere"))
    for name in ("sample_npu_classification", "ax_run_model"):
        (far.programs / name).unlink()
    info = remote.check(far.board(tmp_path / "far"))
    assert info.machine is not None
    assert info == remote.BoardInfo(info.machine, None, None, None, None)


def test_a_board_without_sftp_gets_its_files_all_the_same(model: Path, tmp_path: Path, far: FarSide) -> None:
    root = tmp_path / "old"
    root.mkdir()
    with started(root, sftp=False) as old:
        old.fresh()
        runs = remote.run(old.board(tmp_path / "far"), model, out=tmp_path / "out", progress=False)
    assert runs.run_model.ok
