"""A disk that fills while an artifact is written: one sentence, the old file whole, nothing half-written."""

from pathlib import Path

from full_disk import may_mount, on_a_full_disk

SCRIPT = """
import contextlib, io
import numpy as np
from PIL import Image
from helpers.__main__ import main
from helpers.pulsar2 import archive, config as configs
from helpers.quant import rehearsal
from helpers.graph.preprocess import Preprocessing
from helpers.files import in_words

BGR = Preprocessing.of(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), board_input="bgr")
rehearsal.choose = lambda *_, **__: (0.5, [])  # measures, and writes nothing
noise = np.random.default_rng(0)
pictures = [noise.standard_normal((1, 3, 224, 224), np.float32) for _ in range(2)]
(folder / "photos").mkdir()
for index in range(3):
    pixels = noise.integers(0, 256, (224, 224, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photos" / f"{index}.png")

def export(opset):
    return main(["export", "--model", "efficientvit_m0", "--opset", opset, "--out", str(folder / "export")])

def rehearse(pictures):
    rehearsal.rehearse(folder / "export" / "model-sim.onnx", folder / "rehearsed", pictures=pictures)

def calibrate(photos):
    archive.archive_for(photos, folder / "a.tar", BGR)

def config(mode):
    entry = {"tensor_name": "input", "calibration_dataset": "a.tar"}
    data = {"npu_mode": mode, "quant": {"input_configs": [entry]}}
    configs.write(configs.validate(data), folder / "build.json")

said["first"] = export("11")
rehearse(pictures)
calibrate(folder / "photos")
config("NPU1")
before = files()

errors = io.StringIO()
fill(1 << 20)
with contextlib.redirect_stderr(errors):
    said["status"] = export("12")
said["export"] = errors.getvalue()
for name, attempt, leave in (
    ("rehearse", lambda: rehearse(pictures[::-1]), 1 << 20),
    ("archive", lambda: calibrate([]), 1 << 20),
    ("config", lambda: config("NPU3"), 0),
):
    fill(leave)
    try:
        attempt()
    except OSError as error:
        said[name] = in_words(error)
said["kept"] = files() == before
"""


def test_a_full_disk_costs_nothing_that_was_there(tmp_path: Path):
    way = "tmpfs" if may_mount() else "limit"
    said = on_a_full_disk(SCRIPT, tmp_path, way)
    assert (said["first"], said["status"]) == (0, 2)
    assert said["export"].startswith("export: ") and said["export"].count("\n") == 1
    expected = "full: free some space" if way == "tmpfs" else "File too large"
    for name in ("export", "rehearse", "archive", "config"):
        assert expected in said[name], name
    assert "build.json" in said["config"] and ".part" not in said["config"]
    assert said["kept"], "an old file changed, or a half-written one was left"
