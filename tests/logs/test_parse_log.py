"""The parser over any text, and the `parse-log` command."""

import io
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.logs import parse_log
from helpers.logs.parse_log import parse
from helpers.logs.records import Unknown

ROOT = Path(__file__).parents[2]
LOGS = sorted((Path(__file__).parent / "logs").glob("*.log")) + sorted((ROOT / "data" / "logs").glob("*.log"))
SIMULATION = (
    b"root@x:/data# pulsar2 run --model a.axmodel\n>>> [0] start\n"
    b"2025-01-02 03:04:05.000 | INFO     | yamain.command.run:run:1 - x\n>>> [0] finish\n"
)
TRACEBACK = b"Traceback (most recent call last):\n  File x\nValueError: no such thing\n"
NOTHING = "no board run and no pulsar2 build was found in"
TEXTS = [path.read_bytes() for path in LOGS]
NOISE = [
    b"[AX_SYS_LOG] join thread(281473600864432) ret:0\n",
    b"\r",
    b"\x1b[31m",
    b"\xff\xfe",
    b"\x00",
    b"\n" * 3,
]


def records(data: bytes) -> list[dict[str, Any]]:
    return [asdict(record) for record in parse(io.BytesIO(data), source="s")]


def strict(plain: dict[str, Any]) -> dict[str, Any]:
    """Through JSON that knows no NaN, and back."""
    back: dict[str, Any] = json.loads(json.dumps(plain, allow_nan=False))
    return back


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        (b"", ["the file is empty"]),
        (b"hello\nworld\n", [f"{NOTHING} 2 lines"]),
        (TRACEBACK, [f"{NOTHING} 3 lines", "ValueError: no such thing"]),
        (
            SIMULATION,
            ["'pulsar2 run' computes the model on the host: no board run and no build is in this text"],
        ),
    ],
)
def test_a_text_without_a_run_gives_one_unknown(data: bytes, reasons: list[str]) -> None:
    (record,) = parse(io.BytesIO(data), source="s")
    assert record == Unknown(source="s", errors=reasons)


DSP = "root@b:/opt/bin# ./sample_dsp itcm.bin\nSAMPLE_DSP0_ArrayAddTest FAILED!\n[ERR]AX_DSP_Algo_Resize fail"


@pytest.mark.parametrize(
    "text",
    [
        *((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "data/known_failures.json")),
        "Where a build ends with TileFailException, leave the operator out.",
        *(DSP, "root@b:~# ax_lookat 0x10000\n0x10000: failed"),
    ],
)
def test_prose_of_builds_and_a_program_without_a_model_are_unknown(text: str) -> None:
    (record,) = parse(io.BytesIO(text.encode()), source="s")
    assert isinstance(record, Unknown)


def test_a_sample_of_any_name_that_runs_a_model_is_a_run() -> None:
    times = "Repeat 1 times, avg time 1 ms, max_time 1 ms, min_time 1 ms"
    (record,) = records(f"root@b:~# ./sample_skel -m a\n{times}".encode())
    assert (record["kind"], record["program"]) == ("board_run", "sample_skel")


def test_runs_and_builds_come_in_order_of_appearance() -> None:
    order = [record["kind"] for text in TEXTS for record in records(text)]
    assert [record["kind"] for record in records(b"\nroot@x:~#\n".join(TEXTS))] == order


def test_a_record_is_given_before_the_rest_of_the_log_is_read() -> None:
    stream = io.BytesIO(b"model file : a\nmodel file : b\n" + b"\n" * 2_000_000)
    assert asdict(next(parse(stream)))["model"] == "a"
    assert stream.tell() < 1_000_000


def test_a_script_that_is_shown_before_it_runs_is_no_run_and_names_what_follows() -> None:
    script = b"pulsar2 build -h\nclassification.py -m a -i $IN\nclassification.py -m b -i dog.jpg\n"
    one = b"[INFO] Available providers: x\nmin = 1 ms max = 1 ms avg = 1 ms\n"
    said = [
        (record["kind"], record["model"], record["image"])
        for record in records(script + b"## out\n" + one + one)
    ]
    assert said == [("board_run", "a", None), ("board_run", "b", "dog.jpg")]


def test_a_run_behind_the_compilers_command_is_not_the_compilers() -> None:
    (record,) = records(b"root@x:~# pulsar2 version\nmodel file : a\n")
    assert record["program"] is None


def test_a_command_line_stands_for_its_first_run_only() -> None:
    head = b"root@board:~# ax_classification -m a -i fox.jpg -r 3\n"
    first, second = records(head + b"model file : a\nmodel file : b\n")
    assert (first["image"], first["repeats"]) == ("fox.jpg", 3)
    assert (second["program"], second["image"], second["repeats"]) == ("ax_classification", None, None)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=2_000))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    found = records(data)
    assert found
    for record in found:
        assert strict(record) == record


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_no_mutation_of_a_log_makes_it_raise(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(text)))
        to = min(len(text), at + data.draw(st.integers(0, 200)))
        piece = data.draw(st.one_of(st.binary(max_size=20), st.sampled_from(NOISE), st.just(text[at:to])))
        text = data.draw(
            st.sampled_from([text[:at], text[:at] + piece + text[to:], text[:at] + piece * 3 + text[at:]])
        )
    found = records(text)
    assert found
    for record in found:
        assert strict(record) == record
        if record["kind"] == "board_run":
            assert record["ok"] == (record["errors"] == [])
            assert not record["ok"] or record["latency_ms"]["avg"] is not None
        if record["kind"] == "build":
            assert not record["ok"] or b"fuse" in text


@pytest.mark.parametrize(
    "unit", [b"a", b"[", b"root@", b"(", b"\\", b"1.0, 5 ", "│ x ".encode(), b"ErrorCode.", b" "]
)
@pytest.mark.parametrize(
    "head", [b"", b"root@x:~# ax_run_model -m a\n", b"root@x:~# pulsar2 build --config a\n"]
)
@pytest.mark.timeout(60)
def test_one_line_of_ten_megabytes_does_not_hang(head: bytes, unit: bytes) -> None:
    (record,) = records(head + unit * (10_000_000 // len(unit)))
    assert not record["ok"]
    assert len(json.dumps(record)) < 20_000


def test_importing_the_parsers_imports_no_numeric_library() -> None:
    code = (
        "import sys, helpers.logs.parse_log\n"
        "print({'torch', 'numpy', 'pandas', 'pydantic', 'PIL', 'onnx', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


GOOD, BAD = Path("tests/logs/logs/ax_run_model.log"), Path("tests/logs/logs/axcl_run_model.log")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "helpers", "parse-log", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_prints_one_json_object_per_line() -> None:
    done = command(str(GOOD), str(BAD))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["source"], one["ok"]) for one in lines] == [
        (str(GOOD), True),
        (str(BAD), True),
        (str(BAD), False),
    ]
    assert (done.returncode, done.stderr) == (1, "")
    assert command(str(GOOD)).returncode == 0


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    done = command(str(tmp_path / "gone.log"), str(tmp_path), str(GOOD))
    assert done.returncode == 2
    assert [json.loads(line)["ok"] for line in done.stdout.splitlines()] == [True]
    first, second = done.stderr.splitlines()
    assert "gone.log" in first and "No such file" in first
    assert str(tmp_path) in second and "directory" in second


def test_a_reader_that_has_seen_enough_ends_the_command_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does after its last line
    command = [sys.executable, "-m", "helpers", "parse-log", "tests/logs/logs/sample_segfault.log"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(command, cwd=ROOT, env=buffered, stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "")


def test_every_recorded_log_is_described_with_its_file() -> None:
    described = json.loads((ROOT / "data" / "logs" / "logs.json").read_text())
    assert sorted(one["file"] for one in described) == sorted(
        p.name for p in (ROOT / "data" / "logs").glob("*.log")
    )
    assert {one["what"] for one in described} == {"recorded", "specimen"}
    specimen = next(one for one in described if one["what"] == "specimen")
    assert "NOT the record" in specimen["note"]
    text = (ROOT / "data" / "logs" / specimen["file"]).read_text()
    assert "mobilenetv2" in text and "efficientvit" not in text.lower()


def test_the_first_run_that_worked_or_a_sentence(tmp_path: Path) -> None:
    log = ROOT / "data" / "logs" / "sample_npu_classification_efficientvit_m5.log"
    assert parse_log.first_run(log).ok
    other = tmp_path / "notes.txt"
    text = log.read_text()
    unscored = (Path(__file__).parent / "logs" / "ax_run_model.log").read_text()
    for unfit in ("nothing of the kind\n", text[: text.index("Repeat")], unscored):
        other.write_text(unfit)
        with pytest.raises(ValueError, match=r"notes\.txt holds no run with scores that worked"):
            parse_log.first_run(other)
