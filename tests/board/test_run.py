"""Runs on a board that is a real sshd with stand-in programs: what comes back, and what goes wrong there."""

import os
import shutil
from pathlib import Path

import pytest
from far_side import FarSide, axmodel, is_clean, recorded, started
from waiting import wait_until

from helpers.board.run import run, speed
from helpers.board.ssh import Board, BoardError
from helpers.logs.records import Latency, Score, Versions

CLASSIFIER, RUN_MODEL = "sample_npu_classification", "ax_run_model"


def test_a_run_brings_back_both_records_and_leaves_nothing_behind(
    far: FarSide, model: Path, image: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    far.prints(CLASSIFIER, "sample_classification.log", f'cat "$2" "$4" > {seen}')
    board = far.board(tmp_path / "far")
    runs = run(board, model, out=tmp_path / "out", photo=image, repeats=200)
    wait_until(lambda: is_clean(tmp_path / "far"))
    assert seen.read_bytes() == model.read_bytes() + image.read_bytes()
    scores, times = runs.records
    assert scores.ok and times.ok and runs.missing == ()
    assert scores.program == CLASSIFIER and scores.top_k[0] == Score(277, 11.25)
    assert scores.latency_ms == Latency(avg=2.31, min=2.29, max=2.40)
    assert times.latency_ms.p99 == 1.290 and times.batch == 8
    assert times.versions == Versions("5.1 0aa1bb2c", "2.11.0s", "2.4.1")
    assert " ".join(far.calls()) == (
        f"{far.programs / CLASSIFIER} -m tiny.axmodel -i fox.jpg -g 224,224 -r 200 "
        f"{far.programs / RUN_MODEL} -m tiny.axmodel -r 200 -w 5"
    )
    assert runs.log.read_text().startswith(f"# {CLASSIFIER} -m tiny.axmodel -i fox.jpg -g 224,224 -r 200\n")


def test_a_slow_program_is_read_to_its_end(far: FarSide, model: Path, tmp_path: Path) -> None:
    log = recorded("ax_run_model.log")
    far.program(RUN_MODEL, f"while read -r line; do echo $line; sleep 0.1; done <<'END'\n{log}END")
    (times,) = run(far.board(tmp_path / "far"), model, out=tmp_path / "out").records
    assert times.ok and times.latency_ms.avg == 1.052


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"cat <<'END'\n{recorded('sample_stops_early.log')}END", "data size is not matched"),  # status 0
        ("echo 'Engine creating handle is done.'; kill -SEGV $$", "signal 11"),
        ("echo 'Read image failed.' >&2; exit 255", "exit status 255"),  # not to be taken for ssh's own 255
        ("printf 'no end of line'; exit 3", "exit status 3"),
        ("sleep 600 & exit 3", "exit status 3"),  # what it leaves behind holds nothing up
    ],
)
def test_a_program_that_fails_gives_a_record_that_says_so(
    script: str, said: str, far: FarSide, model: Path, image: Path, tmp_path: Path
) -> None:
    far.program(CLASSIFIER, script)
    runs = run(far.board(tmp_path / "far"), model, photo=image, out=tmp_path / "out")
    failed, times = runs.records
    assert not failed.ok and any(said in error for error in failed.errors)
    assert times.ok  # the second program ran all the same
    wait_until(lambda: is_clean(tmp_path / "far"))


def test_the_closing_line_counts_more_than_the_exit_status(far: FarSide, model: Path, tmp_path: Path) -> None:
    far.prints(RUN_MODEL, "ax_run_model.log", "exit 1")
    (record,) = run(far.board(tmp_path / "far"), model, out=tmp_path / "out").records
    assert record.ok and record.warnings == ["the program ended with exit status 1"]


def test_what_is_there_is_run_and_what_is_missing_is_named(
    far: FarSide, model: Path, image: Path, tmp_path: Path
) -> None:
    board, out = far.board(tmp_path / "far"), tmp_path / "out"
    (far.programs / RUN_MODEL).unlink()
    runs = run(board, model, photo=image, out=out)
    assert [(record.program, record.ok) for record in runs.records] == [(CLASSIFIER, True)]
    assert runs.missing == (RUN_MODEL,)
    other = far.programs / "ax_classification"  # its name in AXERA-TECH/ax-samples
    (far.programs / CLASSIFIER).rename(other)
    (record,) = run(board, model, photo=image, out=out).records
    assert record.program == other.name
    other.unlink()
    with pytest.raises(BoardError, match=f"has no {CLASSIFIER} and no {RUN_MODEL}: "):
        run(board, model, photo=image, out=out)


def test_a_missing_file_and_numbers_out_of_range_are_refused_at_once(model: Path, tmp_path: Path) -> None:
    board = Board(host="nowhere.invalid")
    with pytest.raises(FileNotFoundError, match=r"none\.axmodel"):
        run(board, tmp_path / "none.axmodel", out=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        run(board, model, photo=tmp_path / "none.jpg", out=tmp_path)
    with pytest.raises(ValueError, match="affinity=8"):
        run(board, model, out=tmp_path, affinity=8)
    with pytest.raises(ValueError, match="repeats=0"):
        run(board, model, out=tmp_path, repeats=0)


@pytest.mark.parametrize(
    ("options", "asked", "images"),
    [
        ({}, "", 8),  # the stand-in's log says { auto: 8 }
        ({"batch": 4}, " -b 4", 4),
        ({"affinity": 2}, " -v 1 -a 2", 8),
    ],
)
def test_what_several_images_or_one_core_need_is_asked_of_ax_run_model_alone(
    options: dict[str, int], asked: str, images: int, far: FarSide, image: Path, tmp_path: Path
) -> None:
    eight = axmodel(tmp_path / "eight.axmodel", fed=[8, 4, 4, 3], given=[8, 2])
    runs = run(far.board(tmp_path / "far"), eight, photo=image, out=tmp_path, **options)
    assert [record.program for record in runs.records] == [RUN_MODEL] and runs.images == images
    assert " ".join(far.calls()[1:]) == f"-m eight.axmodel -r 100 -w 5{asked}"


def test_a_time_is_of_a_run_and_images_per_second_are_not() -> None:
    assert speed(8, 5.344) == "8 images in 5.344 ms, 1,497 images/s" and "1 image in" in speed(1, 1.24)


def test_the_sample_is_told_the_size_and_left_out_where_one_core_is_asked_for(
    far: FarSide, image: Path, tmp_path: Path
) -> None:
    small = axmodel(tmp_path / "small.axmodel", fed=[1, 192, 160, 3], given=[1, 2])
    runs = run(far.board(tmp_path / "far"), small, photo=image, out=tmp_path)
    assert len(runs.records) == 2 and "192,160" in far.calls()
    large = axmodel(tmp_path / "large.axmodel", fed=[1, 288, 288, 3], given=[1, 2])  # cut from 256 pixels?
    runs = run(far.board(tmp_path / "far"), large, photo=image, out=tmp_path)
    assert [record.program for record in runs.records] == [RUN_MODEL]
    runs = run(far.board(tmp_path / "far"), small, photo=image, out=tmp_path, affinity=7)
    assert [record.program for record in runs.records] == [RUN_MODEL]


def test_this_machine_needs_no_ssh_and_a_card_s_program_will_do(
    far: FarSide, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Board(host="local", folder=str(tmp_path / "here"))
    Path(here.folder).mkdir()
    (far.programs / CLASSIFIER).unlink()
    (far.programs / RUN_MODEL).unlink()
    log = recorded("axcl_run_model.log").splitlines()[1:14]  # the run that worked
    far.program("axcl_run_model", "\n".join(["cat <<'END'", *log, "END"]))
    with pytest.raises(BoardError, match=f"this machine has no {RUN_MODEL}"):
        run(here, model, out=tmp_path / "out")
    monkeypatch.setenv("PATH", f"{far.programs}:{os.environ['PATH']}")
    monkeypatch.setattr(Board, "arguments", None)
    (record,) = run(here, model, out=tmp_path / "out").records
    assert record.ok and record.program == "axcl_run_model" and record.latency_ms.avg
    wait_until(lambda: is_clean(Path(here.folder)))
    far.program("axcl_run_model", "sleep 600 | cat")
    with pytest.raises(BoardError, match="this machine was not done after 2 s"):
        run(here, model, out=tmp_path / "out", timeout=2)
    wait_until(lambda: is_clean(Path(here.folder)))


@pytest.mark.parametrize(
    ("name", "far_name"),
    [
        ("-oProxyCommand=touch pwned", "_oProxyCommand_touch_pwned"),
        ("$(touch pwned)", "__touch_pwned_"),
        ('it\'s "猫"\n%h', "it_s______h"),
    ],
)
def test_no_file_name_passes_for_an_option_or_a_command(
    name: str, far_name: str, far: FarSide, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path(name).write_text(name)
    seen = tmp_path / "seen"
    far.prints(CLASSIFIER, "sample_classification.log", f'cat "$2" "$4" > {seen}')
    board = far.board(tmp_path / "far")
    runs = run(board, image, photo=Path(name), out=Path("out"))
    assert runs.records[0].ok
    assert far.calls()[1:5] == ["-m", "fox.jpg", "-i", far_name]
    assert seen.read_bytes() == image.read_bytes() + name.encode()
    assert not [*tmp_path.rglob("pwned"), *far.root.rglob("pwned")]


def test_a_board_with_next_to_nothing_on_it_will_do(model: Path, tmp_path: Path) -> None:
    small, root = tmp_path / "small", tmp_path / "root"
    small.mkdir()
    root.mkdir()
    for name in ("sh", "head", "tar", "mkdir", "rm", "cat"):
        (small / name).symlink_to(str(shutil.which(name)))
    with started(root, path=str(small)) as bare:
        bare.fresh()
        runs = run(bare.board(tmp_path / "far"), model, out=tmp_path / "out")
        assert [record.ok for record in runs.records] == [True]
        wait_until(lambda: is_clean(tmp_path / "far"))
        (small / "tar").unlink()
        with pytest.raises(BoardError, match=r"does not take the files .*tar"):
            run(bare.board(tmp_path / "far"), model, out=tmp_path / "out")
