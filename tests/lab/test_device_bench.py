"""The bench of a device, on the CPU: what it plans, what a row says, what stays when time is up."""

import json
from pathlib import Path

import pytest
import torch

from helpers.lab import device_bench
from helpers.lab.device_bench import Setting

M0 = ("efficientvit_m0",)


def test_the_plan_is_that_of_the_issue():
    settings = device_bench.plan()
    assert len(settings) == len(set(settings)) == 18
    rows = {(s.mode, s.dtype, s.batch, name) for s in settings for name in s.networks}
    assert len(rows) == 7 * 2 * 2 * 4 + 3 * 2
    assert ("compiled", "fp16", 1, "mobilenetv3_large_100") in rows


@pytest.mark.parametrize("mode", ["eager", "traced"])
def test_rows_are_written_as_they_come(mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = [Setting(mode, "fp32", batch, M0) for batch in (1, 2)]
    monkeypatch.setattr(device_bench, "plan", lambda: settings)
    monkeypatch.setattr(device_bench, "ROUNDS", 2)
    assert device_bench.main("cpu", folder=tmp_path) == 0
    (written,) = tmp_path.iterdir()
    table = json.loads(written.read_text())
    assert [row["batch"] for row in table["rows"]] == [1, 2]
    for row in table["rows"]:
        assert row.keys() == table["columns"].keys()
        assert 0 < row["fps_low"] <= row["fps"] <= row["fps_high"]
        assert row["pass_mb"] is None


def test_what_time_leaves_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert device_bench.main("cpu", folder=tmp_path, seconds=-1) == 1
    assert capsys.readouterr().err.count("left out") == 18


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_told():
    with pytest.raises(ValueError, match="CUDA"):
        device_bench.main("cuda")
