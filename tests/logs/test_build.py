"""Build logs: sizes, verdict, precision and stages, old and new."""

import io
from dataclasses import asdict
from pathlib import Path

import pytest
from read_builds import LOGS, build, builds, said

from helpers.logs.build import STAGES, BuildReader
from helpers.logs.parse_log import parse

SPECIMEN = Path(__file__).parents[2] / "data" / "logs" / "pulsar2_build_specimen.log"


def test_the_json_has_exactly_the_keys_of_the_contract() -> None:
    (record,) = builds(SPECIMEN)
    plain = asdict(record)
    assert list(plain) == [
        *("source", "kind", "ok", "macs", "max_cycles", "batches"),
        *("subgraphs", "precision", "error", "warnings"),
    ]
    assert list(plain["precision"][0]) == ["operator", "type", "output", "shape", "dtype", "cosine", "mse"]
    (failed,) = builds(LOGS / "build_failed.log")
    assert list(asdict(failed)["error"]) == ["code", "number", "exception", "message", "advice"]


def test_the_stage_is_known_while_the_build_runs() -> None:
    reader, reached = BuildReader(source="s"), []
    for line in filter(None, SPECIMEN.read_text().splitlines()[1:]):
        reader.feed(line)
        reached.append(reader.stage)
    changes = [stage for stage, before in zip(reached, [None, *reached], strict=False) if stage != before]
    assert changes == ["frontend", "quantize", "calibrate", "quantize", "compile", "assemble"]
    assert set(changes) < set(STAGES)


def test_only_the_success_line_makes_a_build_a_success() -> None:
    whole = SPECIMEN.read_text()
    cut = whole[: whole.index("fuse 1 subgraph(s)")]
    record = build(cut)
    assert not record.ok and record.error is None
    assert record.warnings[-1].startswith("no success line")
    assert not build(cut + "done\n").ok
    elsewhere = whole.replace(
        "yamain.command.build:compile_ptq_model:1308 - fuse", "user.script:main:1 - fuse"
    )
    assert not build(elsewhere).ok


def test_a_language_model_is_built_when_its_own_line_says_so() -> None:
    place = "2024-08-22 16:16:04.364 | SUCCESS  | yamain.command.llm_build:llm_build:155 - "
    text = f"{place}prepare llm model done!\n{place}build llm model done!\n"
    assert build(f"{text}{place}check llm model done!\n").ok
    assert build(text).ok and not build(text.splitlines()[0]).ok


def test_builds_that_follow_each_other_without_a_prompt_are_told_apart() -> None:
    body = "\n".join(SPECIMEN.read_text().splitlines()[1:]) + "\n"
    cut = body[: body.index("compile npu subgraph")]
    failed = (LOGS / "build_failed.log").read_text().split("\n", 1)[1]
    old = (LOGS / "build_old.log").read_text().split("\n", 4)[4]
    records = list(parse(io.BytesIO((body + cut + "\n" + failed + body + old).encode())))
    assert [record.ok for record in records] == [True, False, False, True, True]


def test_a_build_ends_with_its_error_code() -> None:
    text = f"{said('x')}ErrorCode.NPUBackendError: A\n{said('x')}ErrorCode.QuantError: B\n"
    found = [asdict(record)["error"]["code"] for record in parse(io.BytesIO(text.encode()))]
    assert found == ["NPUBackendError", "QuantError"]


@pytest.mark.parametrize(
    ("at", "count"),
    [
        ("2025-01-02 03:03:05.000", 1),
        ("2025-01-02 03:03:04.999", 2),  # more than a minute back
        ("2025-01-03 03:04:05.000", 1),
        ("2025-01-03 03:04:05.001", 2),  # more than a day on
    ],
)
def test_a_clock_that_jumps_begins_another_build(at: str, count: int) -> None:
    assert len(list(parse(io.BytesIO((said("x") + said("x", at=at)).encode())))) == count


@pytest.mark.parametrize(
    "late", ["save optimized onnx", "max_cycle = 5", "[03:04:05] AX x Running", "Killed", "ValueError: no"]
)
@pytest.mark.parametrize("line", [said("x", where="fill_default"), "| Model Name | m.onnx |\n"])
def test_what_a_build_prints_first_begins_another_build(line: str, late: str) -> None:
    text = f"{said('x')}{line}{late}\n{line}"
    assert len(list(parse(io.BytesIO(text.encode())))) == 2


def test_a_warning_is_told_once_and_so_are_macs_of_several_groups() -> None:
    macs = said("QuantAxModel macs: 1,000") + said("QuantAxModel macs: 2,000")
    record = build(said("slow   ", level="WARNING") * 2 + macs + said("batchs [1, 8, ]"))
    assert (record.macs, record.batches) == (1000, [1, 8])
    assert record.warnings[:2] == [
        "slow",
        "macs are printed for several groups: [1000, 2000]; the first is given",
    ]


def test_a_table_may_be_cut_and_indented() -> None:
    text = (LOGS / "build_wrapped.log").read_text()
    assert build(text[: text.index("└")]).precision == build(text).precision != []
    lines = text.splitlines(keepends=True)
    indented = "".join(f"  {line}" if line[:1] in "┏┃┡│├└" else line for line in lines)
    assert indented != text and build(indented).precision == build(text).precision
