"""Lines that a mail program or a narrow terminal has broken in two."""

import io

import pytest

from helpers.logs.build import BuildLog
from helpers.logs.line_wrap import is_broken, mended
from helpers.logs.parse_log import parse
from helpers.logs.run_record import BoardRun

FUSED = (
    "2025-11-03 10:00:04.123 | INFO     | yamain.command.build:compile_ptq_model:1308 - fuse 1 subgraph(s)"
)
TIMES = "Repeat 100 times, avg time 121.31 ms, max_time 131.42 ms, min_time 121.29 ms"


@pytest.mark.parametrize("at", range(FUSED.index(" | yamain") + 2, FUSED.index(" - ") + 1))
@pytest.mark.parametrize("stripped", [False, True])
def test_a_success_line_broken_before_its_text_is_a_success(at: int, stripped: bool) -> None:
    head, end = FUSED[:at], FUSED[at:]
    text = f"{head.rstrip()}\n{end.strip()}\n" if stripped else f"{head}\n{end}\n"
    (build,) = parse(io.BytesIO(text.encode()))
    assert isinstance(build, BuildLog)
    assert build.ok


@pytest.mark.parametrize(
    "word", ["avg time", "avg time 121.31", "121.31 ms,", "max_time", "131.42 ms,", "min_time"]
)
def test_times_broken_at_a_blank_are_read(word: str) -> None:
    text = f"model file : a\n{TIMES.replace(word + ' ', word + chr(10))}\n"
    (run,) = parse(io.BytesIO(text.encode()))
    assert isinstance(run, BoardRun)
    assert run.ok
    assert (run.latency_ms.avg, run.latency_ms.max, run.latency_ms.min) == (121.31, 131.42, 121.29)


def test_times_broken_inside_a_number_are_no_times() -> None:
    for at in range(TIMES.index("avg time 1") + 10, TIMES.index(".31 ms,") + 3):
        (run,) = parse(io.BytesIO(f"model file : a\n{TIMES[:at]}\n{TIMES[at:]}\n".encode()))
        assert isinstance(run, BoardRun)
        assert not run.ok and run.latency_ms.avg is None


@pytest.mark.parametrize("line", [FUSED, TIMES, "2.1234, 5", "Repeat", "2025-11-03 10:00:04 up", ""])
def test_a_whole_line_is_not_broken(line: str) -> None:
    assert not is_broken(line)


@pytest.mark.parametrize("following", ["", "root@board:~# ls", "Killed", FUSED, "Total - 5"])
def test_only_the_end_of_the_line_mends_it(following: str) -> None:
    assert mended(TIMES[:-8], following) is None
    assert mended(FUSED[:40], following) is None


def test_a_cut_line_before_a_prompt_leaves_the_prompt_alone() -> None:
    first, second = parse(
        io.BytesIO(f"model file : a\n{TIMES[:-8]}\nroot@board:~# ax_run_model -m b\n".encode())
    )
    assert isinstance(first, BoardRun) and isinstance(second, BoardRun)
    assert (first.ok, first.repeats, second.program) == (False, 100, "ax_run_model")


def test_a_broken_line_at_the_end_of_the_text_is_read_as_far_as_it_goes() -> None:
    (run,) = parse(io.BytesIO(f"model file : a\n{TIMES[:-8]}\n".encode()))
    assert isinstance(run, BoardRun)
    assert (run.ok, run.repeats, run.latency_ms.max) == (False, 100, 131.42)
