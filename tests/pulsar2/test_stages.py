"""The stages of a build, told from log lines of several releases."""

from pathlib import Path

import pytest

from helpers.pulsar2.stages import STAGES, StageBar, stage_of

LOGS = Path(__file__).parents[3] / "shared" / "logs"


def loguru(where: str, text: str) -> str:
    return f"2026-08-01 10:00:00.000 | INFO     | {where}:4321 - {text}"


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        (loguru("yamain.command.build:fill_default", "apply default"), "read the configuration"),
        (
            loguru("axnn.yamain.common.util:extract_archive", "extract [a] to [b]..."),
            "unpack calibration data",
        ),
        (loguru("frontend.parsers.onnx_parser:parse_onnx_model", "onnxsim..."), "read the graph"),
        ("Stastic Inf tensor: 100%|██████████| 1/1 [00:00<00:00,  9.06it/s]", "prepare quantization"),
        ("Calibration Progress(Phase 2):   3%|▎         | 1/32 [00:00<00:03,  9.10it/s]", "calibrate"),
        ("[16:40:41] AX Adaround Reconstruction Running ...", "quantize"),
        ("         Quant Precision Table 【PerLayer Reference】", "analyse precision"),
        (loguru("yamain.command.load_model:pre_process", "op: a"), "lower to the NPU"),
        ("tiling op... ⠋ ━━━━━━━╺━━━━ 3/68 0:00:01", "tile"),
        ("build op serially...   ━━━━━━━━ 103/103 0:00:00", "schedule"),
        (loguru("yamain.command.build:compile_npu_subgraph", "assembel model [subgraph_npu_0]"), "assemble"),
        (loguru("axnn.yamain.command.build:compile_ptq_model", "fuse 2 subgraph(s)"), "done"),
        ("note: fuse 1 subgraph(s) is the last line of a successful build", None),
        ("Traceback (most recent call last):", None),
        ("", None),
    ],
)
def test_each_kind_of_line_tells_its_stage(line: str, stage: str | None) -> None:
    assert stage_of(line) == stage


def test_a_second_batch_size_does_not_go_back() -> None:
    bar = StageBar(progress=False)
    for line in ("tiling op... 1/1 0:00:00", "build op... 1/1 0:00:00", "tiling op... 1/1 0:00:00"):
        bar.read(line)
    bar.close()
    assert bar.stage == "schedule" and not bar.finished
    assert list(bar.seconds) == [STAGES[0], "tile", "schedule"]


def test_the_bar_shows_stage_and_count(capsys: pytest.CaptureFixture[str]) -> None:
    bar = StageBar(progress=True)
    bar.read("Calibration Progress(Phase 1):   3%|▎         | 7/32 [00:00<00:03,  9.10it/s]")
    bar.read("")
    bar.close()
    assert "calibrate:" in (shown := capsys.readouterr().err) and "7/32" in shown


@pytest.mark.skipif(not LOGS.is_dir(), reason="the real logs are not here")
def test_real_logs_from_1_9_to_4_x() -> None:
    stages = {}
    for name in ("040", "060", "072", "235", "231"):
        (log,) = LOGS.glob(f"{name}_*")
        bar = StageBar(progress=False)
        for line in log.read_text(encoding="utf-8").splitlines():
            bar.read(line)
        stages[name] = list(bar.seconds)
        assert bar.finished == (name != "231")
    late = [
        stage for stage in STAGES if stage not in ("unpack calibration data", "analyse precision", "assemble")
    ]
    assert all(set(late) <= set(stages[name]) for name in ("040", "060", "072", "235"))
    assert stages["231"][-1] == "tile"
