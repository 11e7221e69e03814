"""Board runs: what is missing, cut, repeated or without end. `logs.json` has what whole logs say."""

import io
from pathlib import Path

import pytest

from helpers.logs.parse_log import parse
from helpers.logs.records import BoardRun, Detection, Latency, Score
from helpers.logs.run import head_family, shows_run

LOGS = Path(__file__).parent / "logs"
SAMPLE, STATISTICS = "'Repeat N times, …'", "'min = … max = … avg = …'"
TIMING = "Repeat 2 times, avg time 1.00 ms, max_time 1.10 ms, min_time 0.90 ms"
CONTRACT = (
    "source kind program ok model image input_size repeats warmup latency_ms top_k detections npu_type batch "
    "cmm_bytes versions errors warnings"
)


def runs(name: str) -> list[BoardRun]:
    records = list(parse(LOGS / name, source=name))
    assert all(isinstance(record, BoardRun) for record in records)
    return [record for record in records if isinstance(record, BoardRun)]


def run(text: str) -> BoardRun:
    (record,) = parse(io.BytesIO(text.encode()))
    assert isinstance(record, BoardRun)
    return record


def test_the_json_has_exactly_the_keys_of_the_contract() -> None:
    (record,) = runs("ax_run_model.log")
    plain = record.to_json()
    assert list(plain) == CONTRACT.split()
    assert list(plain["latency_ms"]) == ["avg", "min", "max", "median", "p5", "p90", "p95", "p99"]
    assert plain["versions"] == {"pulsar2": "5.1 0aa1bb2c", "engine": "2.11.0s", "tool": "2.4.1"}
    (detection,) = runs("sample_detection.log")[0].to_json()["detections"][:1]
    assert detection == {"class_id": 0, "class_name": "person", "score": 0.88, "box": [10, 20, 110, 220]}


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("sample_stops_early.log", "Engine alloc io is done."),
        ("ax_run_model_failed.log", "batch: { auto: 1 }"),
        ("pyaxengine_wrong_shape.log", "[INFO] Compiler version"),
    ],
)
def test_a_run_without_its_timing_is_not_ok_and_says_where_it_ended(name: str, last: str) -> None:
    (record,) = runs(name)
    assert not record.ok and record.latency_ms == Latency()
    assert last in record.errors[-1]


def test_two_runs_that_both_stop_early_are_two() -> None:
    text = (
        "model file : a\nEngine creating handle is done.\nmodel file : b\nEngine creating handle is done.\n"
    )
    found = list(parse(io.BytesIO(text.encode())))
    assert [one.model for one in found if isinstance(one, BoardRun)] == ["a", "b"]


def test_a_cut_timing_line_is_no_timing_line() -> None:
    whole = (LOGS / "sample_classification.log").read_text()
    for cut in ("max_time 2.40 ms, min_time 2.2", "max_time 2.40 ms,", "avg time 2.3"):
        assert not run(whole[: whole.index(cut) + len(cut)]).ok


def test_scores_that_are_no_numbers_are_null_with_a_warning() -> None:
    record = run("model file : a\nnan, 285\n-inf, 3\n1.0000, 5\n")
    assert record.top_k == [Score(285, None), Score(3, None), Score(5, 1.0)]
    assert record.warnings == [
        "the score of class 285 is printed as nan",
        "the score of class 3 is printed as -inf",
    ]


def test_fewer_boxes_than_announced_are_a_warning() -> None:
    text = (LOGS / "sample_detection.log").read_text()
    record = run(text[: text.index("11: 100%")])
    assert record.ok
    assert record.warnings == ["the log announces 2 detections and prints 1"]


def test_an_error_after_the_timing_makes_the_run_fail() -> None:
    record = run((LOGS / "ax_run_model_folder.log").read_text() + "[ERROR] Verify ground truth failed.\n")
    assert not record.ok
    assert record.errors[0].startswith("[ERROR] Verify ground truth failed. → ")


def test_a_complaint_before_a_good_timing_is_only_a_warning() -> None:
    text = (
        (LOGS / "ax_run_model_folder.log")
        .read_text()
        .replace(" total found", "cannot set the clock\n total found")
    )
    record = run(text)
    assert record.ok
    assert record.warnings == ["cannot set the clock"]


def test_a_program_that_is_missing_is_a_failed_run() -> None:
    record = run(
        "root@board:~# ./ax_classification -m a.axmodel -i b.jpg\n-sh: ./ax_classification: not found\n"
    )
    assert (record.program, record.ok) == ("ax_classification", False)
    assert record.errors[0].startswith("-sh: ./ax_classification: not found → ")


def test_absurdly_long_numbers_are_not_read() -> None:
    record = run(
        f"Run AxModel:\n cmm size: {'9' * 5000} Bytes\n min = {'1' * 400} ms max = 1 ms avg = 1 ms\n"
    )
    assert record.latency_ms.min is None
    assert not record.ok


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


@pytest.mark.parametrize(
    ("line", "family"),
    [
        ("model file : a.axmodel", "sample"),
        ("axcl initializing...", "sample"),
        ("Run AxModel:", "run_model"),
        ("total found {3} input", "run_model"),
        ("[INFO] Available providers: ['AxEngineExecutionProvider']", "pyaxengine"),
        ("[INFO] Chip type: ChipType.MC50", "pyaxengine"),
        ("Top 5 Predictions:", "pyaxengine"),
        ("model: a.axmodel", None),
        ("the model file : a", None),
        ("", None),
    ],
)
def test_a_head_tells_the_family_of_the_program(line: str, family: str | None) -> None:
    assert head_family(f"  {line}") == family
    assert shows_run(f"  {line}") == (family is not None)


BODY = """\
Repeat 2 times, avg time 1.00 ms, max_time 1.10 ms, min_time 0.90 ms
Repeat 1 time, avg
min = 0.90 ms max = 1.10 ms avg = 1.00 ms
topk cost time:0.07 ms
post process cost time:0.70 ms
detection num: 3
Engine creating handle is done.
[ERROR] Run model failed.
[ERROR] Init failed
[Engine] The model type {2} is not allowed
usage: ax_classification --model=string --image=string
"""


@pytest.mark.parametrize("line", BODY.splitlines())
def test_a_run_without_its_head_is_seen_by_its_body(line: str) -> None:
    assert shows_run(line) and head_family(line) is None


@pytest.mark.parametrize("line", ["hello", "usage: ls [OPTION]", "[ERROR] cannot open", "Engine", "minimum"])
def test_lines_of_other_programs_show_no_run(line: str) -> None:
    assert not shows_run(line)


FATAL = """\
[ERROR] Run model failed.
Segmentation fault (core dumped)
Bus error
Aborted
Illegal instruction
Killed
terminate called after throwing an instance of 'std::bad_alloc'
^C
AssertionError: shape
axengine.SomeException: no
KeyboardInterrupt
SystemExit: 1
"""


@pytest.mark.parametrize("line", FATAL.splitlines())
def test_some_lines_make_a_run_fail_also_after_its_timing(line: str) -> None:
    assert run(f"model file : a\n{TIMING}\n{line}\n").errors[0].startswith(line)


COMPLAINTS = """\
Load model FAILED
open error 3
a.axmodel is not exist
is not allowed
size not match
-sh: ./x: not found
not support
No such file or directory
Permission denied
unsupported format
only support NHWC
need option: --model
undefined option: -z
undefined short option: -z
option needs value: -m
cannot open
can't open
out of memory
[E] axcl
what():  x
usage: ax_classification
"""


@pytest.mark.parametrize("line", COMPLAINTS.splitlines())
def test_a_complaint_explains_a_run_without_its_timing_and_is_else_a_warning(line: str) -> None:
    assert run(f"model file : a\n{line}\n").errors[0].startswith(line)
    record = run(f"model file : a\n{line}\n{TIMING}\n")
    assert (record.ok, record.warnings) == (True, [line])


WARNINGS = """\
[WARN] slow
[WARNING] slow
[W] slow
2024 WARN, slow
x.py:1: UserWarning: slow
"""


@pytest.mark.parametrize("line", WARNINGS.splitlines())
def test_some_lines_only_warn(line: str) -> None:
    record = run(f"model file : a\n{line}\n")
    assert (len(record.errors), record.warnings) == (1, [line])  # the missing timing


@pytest.mark.parametrize("line", ["AbortedX", "all is well", "WARNED", "vnpu: Disable", "-" * 30])
def test_other_words_are_not_taken_for_trouble(line: str) -> None:
    record = run(f"model file : a\n{line}\n")
    assert (len(record.errors), record.warnings) == (1, [])
