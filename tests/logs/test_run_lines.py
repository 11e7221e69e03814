"""Each shape of line that a program on the board prints, and lines that only look like one."""

import pytest

from helpers.logs.log_text import Shape
from helpers.logs.run_lines import (
    COMPLAINT,
    FATAL,
    WARNING,
    head_family,
    head_key,
    is_step,
    line_shape,
    shows_run,
)


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
    assert head_family(line) == family
    assert shows_run(f"  {line}") == (family is not None)


@pytest.mark.parametrize(
    ("line", "other", "alike"),
    [
        ("total found {3} input", "total found {12} input", True),
        ("model file : a", "model file : b", True),
        ("Top 5 Predictions:", "Top 10 Predictions:", True),
        ("[INFO] Chip type: a", "[INFO] Model type: a", False),
    ],
)
def test_two_heads_of_a_kind_are_known_by_their_words(line: str, other: str, alike: bool) -> None:
    assert (head_key(line) == head_key(other)) == alike


BODY = [
    "Repeat 10 times, avg time 1.00 ms, max_time 1.10 ms, min_time 0.90 ms",
    "Repeat 1 time, avg",
    "min = 0.90 ms max = 1.10 ms avg = 1.00 ms",
    "topk cost time:0.07 ms",
    "post process cost time:0.70 ms",
    "detection num: 3",
    "Engine creating handle is done.",
    "[ERROR] Run model failed.",
    "[ERROR] Init failed",
    "[Engine] The model type {2} is not allowed",
    "usage: ax_classification --model=string --image=string",
    "usage: sample_npu_classification --model=string",
    "usage: axcl_run_model --model=string",
]


@pytest.mark.parametrize("line", BODY)
def test_a_run_without_its_head_is_seen_by_its_body(line: str) -> None:
    assert shows_run(line) and head_family(line) is None


@pytest.mark.parametrize("line", ["hello", "usage: ls [OPTION]", "[ERROR] cannot open", "Engine", "minimum"])
def test_lines_of_other_programs_show_no_run(line: str) -> None:
    assert not shows_run(line)


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Engine creating handle is done.", True),
        ("Engine get io info is done.", True),
        ("Engine alloc io is done.", True),
        ("Engine push input is done.", True),
        ("infer model, total 1/1", True),
        ("Engine push input failed.", False),
    ],
)
def test_a_step_is_one_that_is_done(line: str, step: bool) -> None:
    assert is_step(line) == step


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("", "complete"),
        ("--------------------", "complete"),
        ("9.5094, 285", "complete"),
        ("9.509, 285", "unknown"),  # one decimal was cut off
        ("Class Index: 3, Score: 0.5", "complete"),
        ("Engine alloc io is done.", "complete"),
        ("Repeat 2 times, avg time 1.00 ms, max_time 1.10 ms, min_time 0.90 ms", "complete"),
        ("Repeat 2 times, avg time 1.00 ms, max_time 1.10 ms", "open"),
        ("Repeat 2 times, avg time 1.00 ms, max_time 1.10 ms, min_time 0.9", "open"),
        ("min = 0.9 ms max = 1.1 ms avg = 1.0 ms", "complete"),
        ("  9.5094, 285 ", "complete"),
        ("5% = 0.9 ms 90% = 1.0 ms 95% = 1.1 ms 99% = 1.2 ms", "complete"),
        ("5% = 0.9 ms 90% = 1.0 ms", "open"),
        ("model file : a.axmod", "open"),
        ("pulsar2 ver: 4.2", "open"),
        ("285:  9.8%,  Egyptian cat", "open"),
        ("[INFO] Engine version: 2.12", "open"),
        ("detection num: 3", "open"),
        ("root@board:~# ls", "complete"),
        ("anything else", "unknown"),
    ],
)
def test_how_a_line_may_go_on(line: str, shape: Shape) -> None:
    assert line_shape(line) == shape


@pytest.mark.parametrize(
    "line",
    [
        "[ERROR] Run model failed.",
        "Segmentation fault (core dumped)",
        "Bus error",
        "Aborted",
        "Illegal instruction",
        "Killed",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "^C",
        "AssertionError: shape",
        "axengine.SomeException: no",
        "KeyboardInterrupt",
        "SystemExit: 1",
    ],
)
def test_lines_that_make_a_run_fail(line: str) -> None:
    assert FATAL.search(line)


@pytest.mark.parametrize(
    "line",
    [
        "Load model FAILED",
        "open error 3",
        "a.axmodel is not exist",
        "is not allowed",
        "size not match",
        "-sh: ./x: not found",
        "not support",
        "No such file or directory",
        "Permission denied",
        "unsupported format",
        "only support NHWC",
        "need option: --model",
        "undefined option: -z",
        "undefined short option: -z",
        "option needs value: -m",
        "cannot open",
        "can't open",
        "out of memory",
        "[E] axcl",
        "what():  x",
        "usage: ax_classification",
    ],
)
def test_lines_that_explain_a_run_without_its_timing(line: str) -> None:
    assert COMPLAINT.search(line) and not FATAL.search(line) and not WARNING.search(line)


@pytest.mark.parametrize(
    "line",
    [
        "[WARN] slow",
        "[WARNING] slow",
        "[W] slow",
        "2024 WARN, slow",
        "x.py:1: UserWarning: slow",
        "ERROR,Func(__syslog_parma_cfg_get)",
    ],
)
def test_lines_that_only_warn(line: str) -> None:
    assert WARNING.search(line) and not FATAL.search(line)


@pytest.mark.parametrize("line", ["an errorless day", "AbortedX", "ErrorCode", "all is well", "WARNED"])
def test_other_words_are_not_taken_for_trouble(line: str) -> None:
    assert not FATAL.search(line) and not WARNING.search(line)
