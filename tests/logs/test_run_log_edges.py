"""Board runs at their edges: what is missing, cut, repeated or without end."""

import io

import pytest

from helpers.logs.parse_log import parse
from helpers.logs.run_record import BoardRun, Detection

SAMPLE, STATISTICS = "'Repeat N times, …'", "'min = … max = … avg = …'"


def run(text: str) -> BoardRun:
    (record,) = parse(io.BytesIO(text.encode()))
    assert isinstance(record, BoardRun)
    return record


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model file : a\n", SAMPLE),
        ("Run AxModel:\n model: a\n", STATISTICS),
        ("[INFO] Model type: 2 (triple core)\n", STATISTICS),
        ("root@board:~# ax_run_model -m a\nKilled\n", STATISTICS),
        ("root@board:~# ax_classification -m a\nKilled\n", SAMPLE),
    ],
)
def test_the_timing_line_that_is_missing_is_the_programs_own(text: str, expected: str) -> None:
    assert run(text).errors[-1].startswith(f"no closing timing line ({expected}): ")


def test_a_card_that_stops_before_its_result_is_not_said_to_have_one() -> None:
    assert run("axcl initializing...\n").errors == [
        f"no closing timing line ({SAMPLE}): the last line understood is 'axcl initializing...'"
    ]


def test_two_families_of_programs_are_two_runs() -> None:
    found = list(parse(io.BytesIO(b"model file : a\nRun AxModel:\n model: b\n")))
    assert [record.to_json()["model"] for record in found] == ["a", "b"]


def test_the_image_is_read_and_what_is_no_number_is_not() -> None:
    record = run("model file : a\nimage file : b.jpg\nrepeat : many\n")
    assert (record.image, record.repeats) == ("b.jpg", None)


def test_a_program_that_printed_nothing_is_said_to_have() -> None:
    assert run("root@board:~# ax_classification -m a\n").errors[-1].endswith("nothing of the run was printed")


TIMING = "Repeat 2 times, avg time 1.00 ms, max_time 1.10 ms, min_time 0.90 ms"


@pytest.mark.parametrize(
    ("lines", "scores"),
    [
        (["topk cost time:0.1 ms", "9.5000, 1", TIMING], [1]),
        (["topk cost time:0.1 ms", "9.5000, 1", TIMING] * 2, [1, 1]),
        ([TIMING, "topk cost time:0.1 ms", "9.5000, 1"], [1]),  # another order: one run still
        ([TIMING, TIMING], [0, 0]),
        (["min = 0.9 ms max = 1.1 ms avg = 1.0 ms"] * 2, [0, 0]),
    ],
)
def test_runs_without_heads_are_told_apart_by_what_can_come_once(lines: list[str], scores: list[int]) -> None:
    records = list(parse(io.BytesIO("\n".join(lines).encode())))
    assert all(isinstance(record, BoardRun) and record.ok for record in records)
    assert [len(record.to_json()["top_k"]) for record in records] == scores


def test_of_a_traceback_only_the_last_line_counts() -> None:
    record = run(
        "model file : a\n"
        "  cannot set the clock\n"
        "Traceback (most recent call last):\n"
        '  File "error.py", line 1, in failed\n'
        "ValueError: no such shape\n"
        "  cannot close the file\n"
    )
    assert record.errors[:-1] == [
        "cannot set the clock",
        "ValueError: no such shape",
        "cannot close the file",
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("img_h, img_w : 224 192", [224, 192]),
        ("img_h, img_w : 224", None),
        ("img height : 224\nimg width : 192", [224, 192]),
        ("img width : 192", None),
        ("img height : 224", None),
        ("img width : 192\nimg height : 224", None),
    ],
)
def test_half_a_size_is_no_size(text: str, size: list[int] | None) -> None:
    assert run(f"model file : a\n{text}\n").input_size == size


def test_a_box_needs_four_numbers_and_none_announced_is_an_empty_list() -> None:
    whole, cut = " 0: 88%, [1, 2, 3, 4], person", " 1: 88%, [1, 2, 3], person"
    record = run(f"model file : a\ndetection num: 1\n{whole}\n{cut}\n{TIMING}\n")
    assert record.detections == [Detection(0, "person", 0.88, [1, 2, 3, 4])]
    assert (record.ok, record.warnings) == (True, [])
    assert run(f"model file : a\ndetection num: 0\n{TIMING}\n").detections == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-m a -i b -g 224,192 -r 5", ("a", "b", [224, 192], 5, None)),
        ("-m a -i b -g 224 -r five", ("a", "b", None, None, None)),
    ],
)
def test_of_a_command_line_only_whole_numbers_are_taken(options: str, said: tuple[object, ...]) -> None:
    record = run(f"root@board:~# ax_classification {options}\nKilled\n")
    assert (record.model, record.image, record.input_size, record.repeats, record.batch) == said


def test_only_the_measuring_programs_take_a_batch_from_their_command_line() -> None:
    record = run("root@board:~# ax_run_model -m a -r 5 -w 2 -b 4 -i x\nKilled\n")
    assert (record.repeats, record.warmup, record.batch, record.image) == (5, 2, 4, None)


def test_endless_results_and_complaints_are_cut_off() -> None:
    scores = "".join(f"{number}.0000, {number}\n" for number in range(1_500))
    troubles = "".join(f"cannot open {number}\n" for number in range(300))
    boxes = "".join(f"{number}: 88%, [1, 2, 3, 4], person\n" for number in range(1_500))
    record = run(f"model file : a\n{scores}{troubles}{boxes}")
    assert len(record.top_k) == len(record.detections or []) == 1_000
    assert len(record.errors) == 101  # and the missing timing line


IGNORED = """Exception ignored in: <function InferenceSession.__del__ at 0xffff8c1d2e60>
Traceback (most recent call last):
  File "axengine/_axe.py", line 160, in __del__
    self._unload()
"""
PYTHON = "[INFO] Model type: 2 (triple core)\n  min =   0.8 ms   max =   2.4 ms   avg =   1.1 ms\n"


def test_an_exception_that_python_ignores_at_its_end_is_a_warning() -> None:
    record = run(f"{PYTHON}{IGNORED}TypeError: 'NoneType' object is not callable\n")
    assert record.ok
    assert record.warnings == ["TypeError: 'NoneType' object is not callable"]


@pytest.mark.parametrize(
    "after",
    [
        f"{IGNORED}Segmentation fault\n",
        f"{IGNORED}TypeError: x\nRuntimeError: Failed to run model.\n",
        "Exception ignored in: x\nRuntimeError: Failed to run model.\n",
        "Floating point exception (core dumped)\n",
        "Trace/breakpoint trap (core dumped)\n",
    ],
)
def test_a_crash_after_the_timing_is_a_failure(after: str) -> None:
    assert not run(f"{PYTHON}{after}").ok


def test_half_a_box_is_neither_a_box_nor_a_score() -> None:
    record = run(f"model file : a\n{TIMING}\ndetection num: 1\n16:  91%, [ 138,  218,  31\n")
    assert (record.top_k, record.detections) == ([], [])


@pytest.mark.parametrize(
    ("failure", "head"),
    [
        ("[ERROR] Model file {a.axmodel} is not exists.", "Run AxModel:\n model: b.axmodel"),
        ("Input file model(a.axmodel) is not exist, please check it.", "model file : b.axmodel"),
    ],
)
def test_a_program_that_stops_before_its_head_is_a_run_of_its_own(failure: str, head: str) -> None:
    found = list(parse(io.BytesIO(f"{failure}\n{head}\n{TIMING}\n{failure}\n{failure}\n".encode())))
    first, second, third = (run for run in found if isinstance(run, BoardRun))
    assert (first.ok, second.ok, second.model, third.ok) == (False, True, "b.axmodel", False)


IMPORTED = "[INFO] Available providers:  ['AxEngineExecutionProvider']\n"
SESSION = "[INFO] Using provider: AxEngineExecutionProvider\n[INFO] Model type: 2 (triple core)\n"


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        (f"{IMPORTED}{SESSION}{SESSION}min = 0.8 ms max = 2.4 ms avg = 1.1 ms\n", [True]),  # encoder, decoder
        (f"{SESSION}{SESSION}{SESSION}", [False]),
        (f"{IMPORTED}{SESSION}{IMPORTED}{SESSION}min = 0.8 ms max = 2.4 ms avg = 1.1 ms\n", [False, True]),
        (
            f"{SESSION}RuntimeError: Failed to load model.\n{SESSION}min = 1 ms max = 1 ms avg = 1 ms\n",
            [False, True],
        ),
        ("[INFO] Chip type: a\n[INFO] Chip type: a\nmin = 1 ms max = 1 ms avg = 1 ms\n", [False, True]),
    ],
)
def test_a_python_program_may_load_several_models(text: str, verdicts: list[bool]) -> None:
    assert [run.ok for run in parse(io.BytesIO(text.encode()))] == verdicts
