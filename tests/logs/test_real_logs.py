"""The real logs of public documentation, where they are at hand: the values that a person reads in each."""

from pathlib import Path
from typing import Any

import pytest

from helpers.logs.parse_log import parse

SHARED = Path(__file__).parents[3] / "shared"
LOGS = SHARED / "logs"

pytestmark = pytest.mark.skipif(not LOGS.is_dir(), reason="the real logs are not part of the repository")


def latency(avg: float, low: float, high: float) -> dict[str, float]:
    return {"avg": avg, "min": low, "max": high}


def top(*pairs: tuple[int, float]) -> list[dict[str, float]]:
    return [{"class_id": class_id, "score": score} for class_id, score in pairs]


def boxes(*rows: tuple[int, str, float, list[int]]) -> list[dict[str, Any]]:
    return [{"class_id": i, "class_name": name, "score": score, "box": box} for i, name, score, box in rows]


SAMPLE = {"input_size": [224, 224], "warmup": None, "npu_type": None, "batch": None, "cmm_bytes": None}
YOLOV5S = {
    "model": "/opt/data/npu/models/yolov5s.axmodel",
    "cmm_bytes": 12_730_188,
    "repeats": 100,
    "batch": 1,
}
RUNS: dict[str, dict[str, Any]] = {
    "008": {
        **{**YOLOV5S, "program": "ax_run_model", "warmup": 10, "npu_type": "NPU1"},
        "latency_ms": latency(7.662, 7.658, 7.672),
        "versions": {
            "pulsar2": "1.2-patch2 7e6b2b5f",
            "engine": "V1.13.0 Apr 26 2023 16:48:53 1.1.0",
            "tool": "1.0.0",
        },
    },
    "009": {
        "program": "ax_run_model",
        "model": "/opt/data/npu/temp/mobilenet_v1.axmodel",
        "latency_ms": latency(3.347, 3.347, 3.347),
        **dict.fromkeys(("repeats", "warmup", "npu_type", "batch", "cmm_bytes", "image", "detections")),
    },
    "024": {
        "program": "sample_npu_yolov5s",
        "image": "/opt/data/npu/images/dog.jpg",
        "input_size": [640, 640],
        "repeats": 10,
        "latency_ms": latency(7.65, 7.65, 7.66),
        "detections": boxes(
            (16, "dog", 0.91, [138, 218, 310, 541]),
            (2, "car", 0.69, [470, 76, 690, 173]),
            (1, "bicycle", 0.56, [158, 120, 569, 420]),
        ),
    },
    "036": {
        **{"npu_type": "Half", "warmup": 3, "repeats": 10, "batch": 0, "cmm_bytes": 4_414_192},
        "latency_ms": latency(1.096, 1.093, 1.098),
        "versions": {"pulsar2": "1.8-beta1 6a7e59de", "engine": "2.6.3sp", "tool": "2.3.3sp"},
    },
    "043": {
        **{"model": "mobilenetv2.axmodel", "npu_type": "1 Core", "warmup": 3, "repeats": 10, "batch": 1},
        "cmm_bytes": 4_428_624,
        "latency_ms": latency(0.721, 0.719, 0.726),
        "versions": {"pulsar2": "1.2-patch2 7e6b2b5f", "engine": "2.3.0a", "tool": "2.1.2c"},
    },
    "044": {
        **SAMPLE,
        "program": "sample_npu_classification",
        "image": "/opt/data/npu/images/cat.jpg",
        "repeats": 10,
        "latency_ms": latency(0.72, 0.72, 0.72),
        "top_k": top((285, 9.5094), (282, 9.3773), (281, 9.2452), (283, 8.5849), (287, 7.6603)),
    },
    "056": {
        **{**YOLOV5S, "warmup": 10, "npu_type": "NPU1"},
        "versions": {
            "pulsar2": "1.2-patch2 7e6b2b5f",
            "engine": "[Axera version]: libax_engine.so V1.13.0 Apr 26 2023 16:48:53 1.1.0",
            "tool": "1.0.0",
        },
    },
    "058": {
        **SAMPLE,
        "program": "ax_classification",
        "repeats": 100,
        "latency_ms": latency(0.78, 0.77, 0.78),
        "top_k": top((285, 9.7735), (283, 9.2452), (281, 8.9811), (282, 8.7169), (463, 7.5283)),
    },
    "059": {
        "program": "ax_yolov5s",
        "repeats": 100,
        "latency_ms": latency(7.67, 7.67, 7.68),
        "detections": boxes(
            (16, "dog", 0.93, [182, 291, 411, 721]),
            (2, "car", 0.72, [626, 101, 919, 231]),
            (1, "bicycle", 0.60, [212, 158, 760, 558]),
            (7, "truck", 0.46, [628, 101, 916, 232]),
        ),
    },
    "062": {
        **{"npu_type": "NPU1", "warmup": 3, "repeats": 10, "batch": 1, "cmm_bytes": 4_401_724},
        "latency_ms": latency(0.556, 0.554, 0.559),
        "versions": {"pulsar2": None, "engine": "2.0.1", "tool": "1.0.0"},
    },
    "112": {
        "program": "ax_yolov5s",
        "image": "test.jpg",
        "repeats": 1,
        "latency_ms": latency(2.89, 2.89, 2.89),
    },
    "158": {
        **{**YOLOV5S, "program": "axcl_run_model", "warmup": 1, "npu_type": "1 Core"},
        "latency_ms": {
            **{"avg": 7.804, "min": 7.793, "max": 7.929, "median": 7.799},
            **{"p5": 7.796, "p90": 7.808, "p95": 7.832, "p99": 7.929},
        },
    },
    "165": {
        **{"program": "classification.py", "npu_type": "0 (single core)"},
        "latency_ms": latency(1.119, 0.890, 22.417),
        "top_k": top((282, 9.774), (278, 8.981), (277, 8.453), (281, 8.321), (287, 7.924)),
        "versions": {"pulsar2": "1.2-patch2 7e6b2b5f", "engine": "2.10.1s", "tool": None},
    },
    "178": {
        **SAMPLE,
        **{
            "program": "sample_npu_classification",
            "model": "efficientvit-m5-npu1.axmodel",
            "image": "cat.jpg",
        },
        "repeats": 10,
        "latency_ms": latency(1.24, 1.24, 1.24),
        "top_k": top((285, 5.5997), (283, 5.3721), (281, 5.0079), (284, 4.5982), (282, 4.1884)),
    },
    "223": {
        **SAMPLE,
        **{"program": "ax_classification", "repeats": 10},
        "latency_ms": latency(0.84, 0.82, 1.00),
        "top_k": top((285, 9.5770), (283, 9.4225), (282, 9.2681), (281, 8.9591), (279, 7.7234)),
    },
}
FAILED_RUNS: dict[str, tuple[str, str]] = {  # program, and how its first error begins
    "159": ("axcl_sample_classification", "no closing timing line"),
    "183": ("classification.py", "no closing timing line"),
    "219": ("ax_run_model", "[ERROR] Run model failed."),
    "267": ("ax_yolov5s", "Segmentation fault"),
}
# macs, max_cycles, batches, subgraphs (npu, cpu)
GOOD_BUILDS: dict[str, tuple[int | None, list[int], list[int], tuple[int | None, int | None]]] = {
    "003": (None, [], [], (None, None)),
    "005": (None, [], [], (None, None)),
    "040": (280_262_480, [450_154], [], (1, 0)),
    "060": (300_774_272, [403_385], [], (None, None)),
    "072": (280_262_480, [450_154], [], (1, 0)),
    "235": (13_437_952, [648_294], [1], (1, 0)),
}
# rows of the precision table
EXCERPTS: dict[str, int] = {"007": 0, "011": 65, "014": 0, "020": 0, "022": 0, "057": 65}
# code, number, exception, a piece of the message
FAILED_BUILDS: dict[str, tuple[str | None, int | None, str, str]] = {
    "171": (None, None, "TileFailException", "AxSnake, AxSin builder or naive_builder should be set"),
    "172": ("NPUBackendError", None, "TileFailException", "/layers.0/attention/Gather_1"),
    "173": (
        "QuantError",
        3,
        "NotImplementedError",
        "/SequenceEmpty(SequenceEmpty) has no backend implementation",
    ),
    "227": ("QuantError", 3, "AssertionError", "But var.dtype = <DataType.UINT16: 4> vs expect_type"),
    "231": ("NPUBackendError", 8, "TileFailException", "AxQuantizedSin, AxQuantizedSin dont support"),
}


def records(number: str) -> list[dict[str, Any]]:
    (path,) = LOGS.glob(f"{number}_*.log")
    return [record.to_json() for record in parse(path)]


@pytest.mark.parametrize("number", RUNS)
def test_a_run_gives_what_a_person_reads(number: str) -> None:
    (record,) = records(number)
    said = dict(RUNS[number])
    times = said.pop("latency_ms", {})
    assert {key: record[key] for key in said} == said
    assert {key: record["latency_ms"][key] for key in times} == times
    assert (record["kind"], record["ok"], record["errors"]) == ("board_run", True, [])
    assert (record["detections"] is not None) == (number in ("024", "059", "112"))


@pytest.mark.parametrize("number", FAILED_RUNS)
def test_a_failed_run_says_why(number: str) -> None:
    (record,) = records(number)
    program, error = FAILED_RUNS[number]
    assert (record["program"], record["ok"], record["latency_ms"]["avg"]) == (program, False, None)
    assert record["errors"][0].startswith(error)


@pytest.mark.parametrize("number", GOOD_BUILDS)
def test_a_build_gives_its_figures(number: str) -> None:
    (record,) = records(number)
    macs, cycles, batches, (npu, cpu) = GOOD_BUILDS[number]
    assert (record["kind"], record["ok"], record["error"]) == ("build", True, None)
    assert (record["macs"], record["max_cycles"], record["batches"]) == (macs, cycles, batches)
    assert record["subgraphs"] == {"npu": npu, "cpu": cpu}


@pytest.mark.parametrize("number", EXCERPTS)
def test_an_excerpt_of_a_build_is_no_success(number: str) -> None:
    (record,) = records(number)
    assert (record["kind"], record["ok"], record["error"]) == ("build", False, None)
    assert len(record["precision"]) == EXCERPTS[number]


@pytest.mark.parametrize("number", FAILED_BUILDS)
def test_a_failed_build_gives_its_error(number: str) -> None:
    (record,) = records(number)
    code, code_number, exception, message = FAILED_BUILDS[number]
    error = record["error"]
    assert (record["kind"], record["ok"]) == ("build", False)
    assert (error["code"], error["number"], error["exception"]) == (code, code_number, exception)
    assert message in error["message"]
    assert error["advice"]


def test_more_of_single_logs() -> None:
    (yolo,) = records("112")
    assert len(yolo["detections"]) == 11
    (tables,) = records("011")
    assert tables["precision"][-1] == {
        **{"operator": "output_DequantizeLinear", "type": "AxDequantizeLinear", "output": "output"},
        **{"shape": [1, 1000], "dtype": "FP32", "cosine": 0.9999, "mse": 0.00173},
    }
    (old,) = records("057")
    assert old["precision"][-1]["cosine"] == 0.99989914894104
    (cut,) = records("020")
    assert (cut["max_cycles"], cut["batches"]) == ([81_026], [1])
    (simulated,) = records("026")
    assert (simulated["kind"], simulated["ok"]) == ("unknown", False)


def test_every_log_is_covered() -> None:
    covered = {*RUNS, *FAILED_RUNS, *GOOD_BUILDS, *EXCERPTS, *FAILED_BUILDS, "026"}
    assert covered == {path.name[:3] for path in LOGS.glob("*.log")}
