"""Board runs: each program's log gives exactly the values that a person reads in it."""

import io
from pathlib import Path
from typing import Any

import pytest

from helpers.logs.parse_log import parse
from helpers.logs.run_record import BoardRun, Detection, Latency, Score, Versions

LOGS = Path(__file__).parent / "logs"
CONTRACT = [
    *(
        "source",
        "kind",
        "program",
        "ok",
        "model",
        "image",
        "input_size",
        "repeats",
        "warmup",
        "latency_ms",
        "top_k",
    ),
    *("detections", "npu_type", "batch", "cmm_bytes", "versions", "errors", "warnings"),
]


def runs(name: str) -> list[BoardRun]:
    records = list(parse(LOGS / name, source=name))
    assert all(isinstance(record, BoardRun) for record in records)
    return [record for record in records if isinstance(record, BoardRun)]


def run(text: str) -> BoardRun:
    (record,) = parse(io.BytesIO(text.encode()))
    assert isinstance(record, BoardRun)
    return record


GOOD: list[tuple[str, dict[str, Any]]] = [
    (
        "sample_classification.log",
        {
            "program": "sample_npu_classification",
            "model": "/opt/models/tiny.axmodel",
            "image": "/opt/images/fox.jpg",
            "input_size": [192, 160],
            "repeats": 20,
            "latency_ms": Latency(avg=2.31, min=2.29, max=2.40),
            "top_k": [
                Score(277, 11.25),
                Score(278, 10.5),
                Score(280, -0.125),
                Score(271, -0.75),
                Score(7, -1.0),
            ],
        },
    ),
    (
        "sample_detection.log",
        {
            "program": "ax_yolov8s",
            "model": "street.axmodel",
            "image": "street.jpg",
            "input_size": [320, 640],
            "repeats": 8,
            "latency_ms": Latency(avg=5.02, min=4.99, max=5.10),
            "detections": [
                Detection(0, "person", 0.88, [10, 20, 110, 220]),
                Detection(11, "stop sign", 1.0, [-3, 0, 40, 41]),
            ],
        },
    ),
    (
        "ax_run_model.log",
        {
            "program": "ax_run_model",
            "model": "tiny.axmodel",
            "repeats": 200,
            "warmup": 4,
            "latency_ms": Latency(1.052, 1.011, 1.320, 1.048, 1.020, 1.080, 1.101, 1.290),
            "npu_type": "3 Core",
            "batch": 8,
            "cmm_bytes": 7_340_032,
            "versions": Versions("5.1 0aa1bb2c", "2.11.0s", "2.4.1"),
        },
    ),
    (
        "ax_run_model_old.log",
        {
            "model": "/opt/models/old.axmodel",
            "repeats": 10,
            "warmup": 2,
            "latency_ms": Latency(avg=3.6, min=3.5, max=3.7),
            "npu_type": "NPU3",
            "batch": 1,
            "cmm_bytes": 2048,
            "versions": Versions(
                "1.9 c0ffee00", "[Axera version]: libax_engine.so V1.16.0 May 30 2023 10:00:00 1.1.0", "1.0.0"
            ),
        },
    ),
    (
        "ax_run_model_folder.log",
        {
            "program": "ax_run_model",
            "model": "a.axmodel",
            "batch": 2,
            "latency_ms": Latency(avg=1.0, min=0.9, max=1.1),
        },
    ),
    (
        "pyaxengine.log",
        {
            "program": "classification.py",
            "model": "a.axmodel",
            "image": "fox.jpg",
            "latency_ms": Latency(avg=0.95, min=0.75, max=20.25),
            "top_k": [Score(277, 7.125), Score(278, -1.5)],
            "npu_type": "2 (triple core)",
            "versions": Versions(pulsar2="4.2 6bff2f67", engine="2.12.0s"),
        },
    ),
]


@pytest.mark.parametrize(("name", "said"), GOOD, ids=[name for name, _ in GOOD])
def test_a_good_log_gives_what_it_says_and_nothing_else(name: str, said: dict[str, Any]) -> None:
    assert runs(name) == [BoardRun(source=name, ok=True, **said)]


def test_the_json_has_exactly_the_keys_of_the_contract() -> None:
    (record,) = runs("ax_run_model.log")
    plain = record.to_json()
    assert list(plain) == CONTRACT
    assert list(plain["latency_ms"]) == ["avg", "min", "max", "median", "p5", "p90", "p95", "p99"]
    assert plain["versions"] == {"pulsar2": "5.1 0aa1bb2c", "engine": "2.11.0s", "tool": "2.4.1"}
    (detection,) = runs("sample_detection.log")[0].to_json()["detections"][:1]
    assert detection == {"class_id": 0, "class_name": "person", "score": 0.88, "box": [10, 20, 110, 220]}


FAILED = [
    ("sample_stops_early.log", "The input data size is not matched", "Engine alloc io is done."),
    ("sample_segfault.log", "Segmentation fault (core dumped)", "Engine push input is done."),
    ("ax_run_model_failed.log", "[ERROR] Run model {u16.axmodel} failed.", "batch: { auto: 1 }"),
    (
        "pyaxengine_wrong_shape.log",
        "AssertionError: model inputs(images) expect shape",
        "[INFO] Compiler version",
    ),
]


@pytest.mark.parametrize(("name", "error", "last"), FAILED)
def test_a_run_without_its_timing_is_not_ok_and_says_why(name: str, error: str, last: str) -> None:
    (record,) = runs(name)
    assert not record.ok
    assert any(text.startswith(error) for text in record.errors)
    assert record.errors[-1].startswith("no closing timing line")
    assert last in record.errors[-1]
    assert record.latency_ms == Latency()


def test_the_command_line_fills_what_the_output_does_not_say() -> None:
    (record,) = runs("sample_stops_early.log")
    assert (record.input_size, record.repeats, record.program) == ([128, 96], 5, "ax_classification")


def test_harmless_messages_of_the_log_daemon_are_no_errors() -> None:
    (record,) = runs("sample_segfault.log")
    assert not any("syslog" in text for text in record.errors)


def test_a_program_that_measures_no_time_is_not_ok_but_its_result_is_kept() -> None:
    (record,) = runs("axcl_sample.log")
    assert not record.ok
    assert record.errors == [
        "no closing timing line: this program measures no time, so only its result is known"
    ]
    assert record.top_k == [Score(277, 8.1), Score(278, -0.4)]
    assert (record.program, record.input_size) == ("axcl_sample_classification", [224, 192])


def test_several_runs_in_one_file_are_told_apart_with_and_without_a_prompt() -> None:
    first, second, third = runs("several_runs.log")
    assert [one.model for one in (first, second, third)] == ["a.axmodel", "b.axmodel", "c.axmodel"]
    assert [one.program for one in (first, second, third)] == ["ax_classification"] * 3
    assert [one.latency_ms.avg for one in (first, second, third)] == [1.0, 2.0, None]
    assert (third.image, third.repeats, third.ok) == ("owl.jpg", 3, False)  # from the continued command line


def test_two_runs_that_both_stop_early_are_two() -> None:
    text = (
        "model file : a\nEngine creating handle is done.\nmodel file : b\nEngine creating handle is done.\n"
    )
    found = list(parse(io.BytesIO(text.encode())))
    assert [one.model for one in found if isinstance(one, BoardRun)] == ["a", "b"]


def test_each_axcl_run_stands_for_itself() -> None:
    good, bad = runs("axcl_run_model.log")
    assert (good.ok, good.npu_type, good.versions) == (
        True,
        "2 Core",
        Versions("4.2 aabbccdd", "1.2.3", "0.0.9"),
    )
    assert not bad.ok
    assert bad.errors[0].startswith("[ERROR] Model file {gone.axmodel} is not exists.")


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
