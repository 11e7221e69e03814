"""Board runs: what is missing, cut, repeated or without end. `logs.json` has what whole logs say."""

import io
from dataclasses import asdict
from pathlib import Path

import pytest

from helpers.logs.parse_log import parse
from helpers.logs.records import BoardRun, Detection, Score
from helpers.logs.run import head_family, shows_run

LOGS = Path(__file__).parent / "logs"
TIMING = "Repeat 2 times, avg time 1.00 ms, max_time 1.10 ms, min_time 0.90 ms"
TIMES = "min = 0.9 ms max = 1.1 ms avg = 1.0 ms"
CONTRACT = (
    "source kind program ok model image input_size repeats warmup latency_ms post_process_ms top_k "
    "detections npu_type batch cmm_bytes versions errors warnings"
)


def runs(text: str) -> list[BoardRun]:
    records = list(parse(io.BytesIO(text.encode())))
    assert all(isinstance(record, BoardRun) for record in records)
    return [record for record in records if isinstance(record, BoardRun)]


def run(text: str) -> BoardRun:
    (record,) = runs(text)
    return record


def logged(name: str) -> str:
    return (LOGS / name).read_text()


def test_the_json_has_exactly_the_keys_of_the_contract() -> None:
    plain = asdict(run(logged("ax_run_model.log")))
    assert list(plain) == CONTRACT.split()
    assert list(plain["latency_ms"]) == ["avg", "min", "max", "median", "p5", "p90", "p95", "p99"]
    assert plain["versions"] == {"pulsar2": "5.1 0aa1bb2c", "engine": "2.11.0s", "tool": "2.4.1"}
    detection = asdict(run(logged("sample_detection.log")))["detections"][0]
    assert detection == {"class_id": 0, "class_name": "person", "score": 0.88, "box": [10, 20, 110, 220]}


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (logged("sample_stops_early.log"), "Engine alloc io is done."),
        (logged("ax_run_model_failed.log"), "batch: { auto: 1 }"),
        (logged("pyaxengine_wrong_shape.log"), "[INFO] Compiler version"),
        ("axcl initializing...\n", "'axcl initializing...'"),
        ("total found {3} input\n", "total found {3} input"),
        ("Top 5 Predictions:\n", "Top 5 Predictions:"),
        ("root@board:~# ax_run_model -m a\nKilled\n", "nothing was printed"),
        ("root@board:~# ax_classification -m a\n", "nothing was printed"),
    ],
)
def test_a_run_without_its_programs_timing_is_not_ok_and_says_where_it_ended(text: str, last: str) -> None:
    record = run(text)
    assert not record.ok and record.latency_ms.avg is None
    assert record.errors[-1].startswith("no closing timing line (") and last in record.errors[-1]


def test_a_cut_timing_line_is_no_timing_line() -> None:
    whole = logged("sample_classification.log")
    for cut in ("max_time 2.40 ms, min_time 2.2", "max_time 2.40 ms,", "avg time 2.3"):
        assert not run(whole[: whole.index(cut) + len(cut)]).ok


def test_scores_that_are_no_numbers_are_null_with_a_warning() -> None:
    record = run("model file : a\nnan, 285\n-inf, 3\n1.0000, 5\n")
    assert record.top_k == [Score(285, None), Score(3, None), Score(5, 1.0)]
    assert record.warnings == [
        "the score of class 285 is printed as nan",
        "the score of class 3 is printed as -inf",
    ]


def test_a_box_has_four_numbers_and_fewer_boxes_than_announced_are_a_warning() -> None:
    text = "model file : a\ndetection num: 1\n 0: 88%, [1, 2, 3, 4], person\n 1: 88%, [1, 2, 3], person\n"
    record = run(f"{text}16:  91%, [ 138,  218,  31\n{TIMING}\n")
    assert record.detections == [Detection(0, "person", 0.88, [1, 2, 3, 4])]
    assert (record.ok, record.warnings, record.top_k) == (True, [], [])
    record = run(f"{text.replace('num: 1', 'num: 2')}{TIMING}\n")
    assert (record.ok, record.warnings) == (True, ["the log announces 2 detections and prints 1"])
    assert run(f"model file : a\ndetection num: 0\n{TIMING}\n").detections == []


def test_an_error_after_the_timing_makes_the_run_fail() -> None:
    record = run(logged("ax_run_model_folder.log") + "[ERROR] Verify ground truth failed.\n")
    assert not record.ok
    assert record.errors[0].startswith("[ERROR] Verify ground truth failed. → ")
    again = run("model file : a\n[ERROR] Run model failed.\n[ERROR] Run model failed: 3\n")
    assert [" → " in error for error in again.errors] == [True, False, False]  # an advice is given once


def test_what_is_no_number_or_absurdly_long_is_not_read() -> None:
    record = run(
        f"Run AxModel:\n repeat : many\n cmm size: {'9' * 5000} Bytes\n"
        f" min = {'1' * 400} ms max = 1 ms avg = 1 ms\n"
    )
    assert (record.ok, record.repeats, record.latency_ms.min) == (False, None, None)


IGNORED = """Exception ignored in: <function InferenceSession.__del__ at 0xffff8c1d2e60>
Traceback (most recent call last):
  File "axengine/_axe.py", line 160, in __del__
    self._unload()
"""
IMPORTED = "[INFO] Available providers:  ['AxEngineExecutionProvider']\n"
SESSION = "[INFO] Using provider: AxEngineExecutionProvider\n[INFO] Model type: 2 (triple core)\n"
GONE = "[ERROR] Model file {a.axmodel} is not exists."
UNREADABLE = "Input file model(a.axmodel) is not exist, please check it."


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("model file : a\nEngine creating handle is done.\n" * 2, [False, False]),
        ("model file : a\nRun AxModel:\n model: b\n", [False, False]),  # two families of programs
        (f"root@b:~# ./ax_match -m a -i b.png\nmodel file : a\n{TIMING}\n{TIMING}", [True, True]),
        (f"{TIMES}\n{TIMES}", [True, True]),
        (f"topk cost time:0.1 ms\n9.5000, 1\n{TIMING}\n" * 2, [True, True]),
        (f"{TIMING}\ntopk cost time:0.1 ms\n9.5000, 1\n", [True]),  # another order: one run still
        # a program that stops before its head
        (f"{GONE}\nRun AxModel:\n model: b\n{TIMING}\n{GONE}\n{GONE}\n", [False, True, False]),
        (f"{UNREADABLE}\nmodel file : b\n{TIMING}\n{UNREADABLE}\n{UNREADABLE}\n", [False, True, False]),
        # a Python program may load several models
        (f"{IMPORTED}{SESSION}{SESSION}{TIMES}\n", [True]),
        (f"{SESSION}{SESSION}{SESSION}", [False]),
        (f"{IMPORTED}{SESSION}{IMPORTED}{SESSION}{TIMES}\n", [False, True]),
        (f"{SESSION}RuntimeError: Failed to load model.\n{SESSION}{TIMES}\n", [False, True]),
        (f"[INFO] Chip type: a\n[INFO] Chip type: a\n{TIMES}\n", [False, True]),
    ],
)
def test_runs_that_no_prompt_divides_are_told_apart(text: str, verdicts: list[bool]) -> None:
    assert [run.ok for run in runs(text)] == verdicts


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("img_h, img_w : 224 192", [224, 192]),
        ("img_h, img_w : 224", None),
        ("img height : 224\nimg width : 192", [224, 192]),
        ("img width : 192", None),
        ("img width : 192\nimg height : 224", None),
    ],
)
def test_half_a_size_is_no_size(text: str, size: list[int] | None) -> None:
    assert run(f"model file : a\n{text}\n").input_size == size


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("ax_classification -m a -i b -g 224,192 -r 5", ("a", "b", [224, 192], 5, None, None)),
        ("ax_classification -m a -i b -g 224 -r five -b 4", ("a", "b", None, None, None, None)),
        ("ax_run_model -m a -r 5 -w 2 -b 4 -i x", ("a", None, None, 5, 2, 4)),
    ],
)
def test_of_a_command_line_only_what_the_program_takes_is_read(
    command: str, said: tuple[object, ...]
) -> None:
    record = run(f"root@board:~# {command}\nKilled\n")
    numbers = (record.input_size, record.repeats, record.warmup, record.batch)
    assert (record.model, record.image, *numbers) == said


def test_endless_results_and_complaints_are_cut_off() -> None:
    scores = "".join(f"{number}.0000, {number}\n" for number in range(1_500))
    troubles = "".join(f"cannot open {number}\n" for number in range(300))
    boxes = "".join(f"{number}: 88%, [1, 2, 3, 4], person\n" for number in range(1_500))
    record = run(f"model file : a\n{scores}{troubles}{boxes}")
    assert len(record.top_k) == len(record.detections or []) == 1_000
    assert len(record.errors) == 101  # and the missing timing


def test_of_a_traceback_only_the_last_line_counts() -> None:
    record = run(
        "model file : a\n  cannot set the clock\nTraceback (most recent call last):\n"
        '  File "error.py", line 1, in failed\nValueError: no such shape\n  cannot close the file\n'
    )
    assert record.errors[:-1] == [
        "cannot set the clock",
        "ValueError: no such shape",
        "cannot close the file",
    ]


def test_an_exception_that_python_ignores_at_its_end_is_a_warning() -> None:
    record = run(f"{SESSION}{TIMES}\n{IGNORED}TypeError: 'NoneType' object is not callable\n")
    assert (record.ok, record.warnings) == (True, ["TypeError: 'NoneType' object is not callable"])


@pytest.mark.parametrize(
    "after",
    [
        f"{IGNORED}Segmentation fault",
        f"{IGNORED}TypeError: x\nRuntimeError: Failed to run model.",
        "Exception ignored in: x\nRuntimeError: Failed to run model.",
    ],
)
def test_a_crash_after_the_timing_is_a_failure(after: str) -> None:
    assert not run(f"{SESSION}{TIMES}\n{after}\n").ok


# Lines of each kind, one for each alternative of its pattern.
BODY = """Repeat 2 times, avg time 1.00 ms; Repeat 1 time, avg; min = 0.90 ms max = 1.10 ms avg = 1.00 ms;
topk cost time:0.07 ms; post process cost time:0.70 ms; detection num: 3; Engine creating handle is done.;
[ERROR] Run model failed.; [ERROR] Init failed; [Engine] The model type {2} is not allowed;
usage: ax_classification --model=string; Input file model(a) is not exist, please check it."""
OTHERS = "hello; usage: ls [OPTION]; [ERROR] cannot open; Engine; minimum; model: a; the model file : a"
FATAL = """[ERROR] Run model failed.; Segmentation fault (core dumped); Bus error; Aborted;
Illegal instruction; Floating point exception; Trace/breakpoint trap (core dumped); Killed;
terminate called after throwing an instance of 'std::bad_alloc'; ^C;
AssertionError: shape; axengine.SomeException: no; KeyboardInterrupt; SystemExit: 1"""
COMPLAINTS = """Load model FAILED; open error 3; a.axmodel is not exist; is not allowed; size not match;
-sh: ./x: not found; not support; No such file or directory; Permission denied; unsupported format;
only support NHWC; need option: --model; undefined option: -z; undefined short option: -z;
option needs value: -m; cannot open; can't open; out of memory; [E] axcl; what():  x;
usage: ax_classification"""
WARNINGS = """[WARN] slow; [WARNING] slow; [W] slow; 2024 WARN, slow; x.py:1: UserWarning: slow;
ERROR,Func(__syslog_parma_cfg_get) x"""
HARMLESS = f"AbortedX; all is well; WARNED; vnpu: Disable; {'-' * 30}"


def each(lines: str) -> list[str]:
    return [line.strip() for line in lines.split(";")]


def test_a_run_without_its_head_is_seen_by_its_body() -> None:
    assert [line for line in each(BODY) if not shows_run(line) or head_family(line)] == []
    assert [line for line in each(OTHERS) if shows_run(line)] == []


@pytest.mark.parametrize("line", each(FATAL))
def test_some_lines_make_a_run_fail_also_after_its_timing(line: str) -> None:
    assert run(f"model file : a\n{TIMING}\n{line}\n").errors[0].startswith(line)


@pytest.mark.parametrize("line", each(COMPLAINTS))
def test_a_complaint_explains_a_run_without_its_timing_and_is_else_a_warning(line: str) -> None:
    assert run(f"model file : a\n{line}\n").errors[0].startswith(line)
    record = run(f"model file : a\n{line}\n{TIMING}\n")
    assert (record.ok, record.warnings) == (True, [line])


@pytest.mark.parametrize("line", each(f"{WARNINGS}; {HARMLESS}"))
def test_some_lines_only_warn_and_others_say_nothing(line: str) -> None:
    record = run(f"model file : a\n{line}\n")
    assert len(record.errors) == 1  # the missing timing
    assert record.warnings == [line] * (line in each(WARNINGS))


@pytest.mark.parametrize("unit", [" deg", "deg", "°", ""])
def test_a_turned_box_has_its_angle(unit: str) -> None:
    line = f"1:  86%, [1105,  570,  121,   38,  +21.5{unit}], ship"
    found = run(f"model file : a\n{TIMING}\ndetection num: 1\n{line}\n")
    box = [1105, 570, 121, 38, 21.5]
    assert found.detections == [Detection(class_id=1, class_name="ship", score=0.86, box=box)]
