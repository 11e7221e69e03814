"""Speed of the six and of MobileNetV3-Large on one device: eager, traced and compiled, at several batches.

`python -m helpers bench --device cuda` writes `data/measured/DEVICE.json`, in the form of the published
tables, anew after each row: what is measured is kept, however the run ends. By the paper's protocol
(microsoft/Cream, classification/speed_test.py): BatchNorm fused, weights random, pictures on the device.
"""

import gc
import json
import platform
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.jit import TracerWarning  # type: ignore[attr-defined]

from helpers.files import DATA, write
from helpers.lab.comparison import BASELINE
from helpers.lab.evidence import cpu
from helpers.model import weights
from helpers.model.batchnorm import fuse_batchnorm
from helpers.model.variants import INPUT_SIZE, VARIANTS
from helpers.timing import Timing, in_turn

Mode = Literal["eager", "traced", "compiled"]
DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
BATCHES = (2048, 256, 1, 16)
SECONDS = 480.0
ROUNDS = 15
COLUMNS = {
    "model": "timm's name",
    "mode": "eager, traced (torch.jit.trace) or compiled (torch.compile, its defaults)",
    "dtype": "of weights and pictures",
    "batch": "pictures in a pass",
    "fps": "images/s: batch over the median of the rounds",
    "fps_low": "images/s, lower end of the middle half of the rounds",
    "fps_high": "images/s, upper end of the middle half",
    "pass_mb": "what one pass allocates at most beside weights and pictures, MB; null where not known",
}


@dataclass(frozen=True)
class Setting:
    """What is measured in turn: these networks in one mode, type and batch."""

    mode: Mode
    dtype: str
    batch: int
    networks: tuple[str, ...]


def plan() -> list[Setting]:
    """All settings, the most telling first."""
    every = (*VARIANTS, BASELINE)

    def of(dtype: str) -> list[Setting]:
        return [Setting(mode, dtype, batch, every) for batch in BATCHES for mode in ("traced", "eager")]

    few = ("efficientvit_m0", "efficientvit_m5", BASELINE)
    compiled = [Setting("compiled", "fp16", batch, few) for batch in (256, 1)]
    return of("fp16") + compiled + of("fp32")


def main(device: str, *, folder: Path = DATA / "measured", seconds: float = SECONDS) -> int:
    """Measures the plan on `device` within `seconds`; the exit status is 1 where settings were left out."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("PyTorch finds no CUDA device here: install its CUDA build, or use another machine")
    name = torch.cuda.get_device_name() if device == "cuda" else cpu()
    path = folder / f"{re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')}.json"
    rows: list[dict[str, Any]] = []
    table = {
        "title": f"Images per second on {name}",
        "source": f"measured with `python -m helpers bench --device`, {date.today()}",
        "conditions": f"torch {torch.__version__}, timm {version('timm')}, Python "
        f"{platform.python_version()}; {INPUT_SIZE} × {INPUT_SIZE} pixels, random weights, BatchNorm fused, "
        "pictures on the device; networks in turn, PyTorch's defaults (in fp32, convolutions on CUDA may use "
        "TF32)",
        "columns": COLUMNS,
        "rows": rows,
    }
    left_out = 0
    end = time.monotonic() + seconds
    for setting in plan():
        what = f"{setting.mode:<10}{setting.dtype}  {setting.batch:>5}"
        if time.monotonic() > end:
            print(f"left out for want of time: {what}", file=sys.stderr)
            left_out += 1
            continue
        for row in measure(setting, device=device):
            rows.append(row)
            print(f"{row['model']:<24}{what}  {row['fps']:>9,.0f} images/s", flush=True)
            write(path, json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    print(path)
    return int(left_out > 0)


def measure(setting: Setting, *, device: str) -> Iterator[dict[str, Any]]:
    """The rows of one setting: its networks in turn, so that a clock that changes hits all alike."""
    images = torch.randn(setting.batch, 3, INPUT_SIZE, INPUT_SIZE).to(device, DTYPES[setting.dtype])
    passes = {name: one_pass(name, setting, images) for name in setting.networks}
    with torch.inference_mode():
        memory = {name: pass_megabytes(run, device) for name, run in passes.items()}
        seconds = in_turn(passes, rounds=ROUNDS)
    for name in setting.networks:
        timing = Timing.of(seconds[name])
        yield {
            "model": name,
            **{key: getattr(setting, key) for key in ("mode", "dtype", "batch")},
            "fps": round(setting.batch / timing.median, 1),
            "fps_low": round(setting.batch / timing.high, 1),
            "fps_high": round(setting.batch / timing.low, 1),
            "pass_mb": memory[name],
        }
    passes.clear()
    gc.collect()
    torch.cuda.empty_cache()  # without CUDA it does nothing


def one_pass(name: str, setting: Setting, images: torch.Tensor) -> Callable[[], None]:
    """A network in this mode, as a function that returns when the device is done."""
    model: nn.Module = fuse_batchnorm(weights.init_model(name)).to(images.device, images.dtype).eval()
    ready: Callable[[torch.Tensor], object] = model
    with torch.inference_mode(), warnings.catch_warnings():
        if setting.mode == "traced":
            warnings.simplefilter("ignore", TracerWarning)  # timm branches on sizes, which are fixed
            ready = torch.jit.trace(model, images, check_trace=False)
        elif setting.mode == "compiled":
            ready = torch.compile(model)

    def run() -> None:
        ready(images)
        if images.is_cuda:
            torch.cuda.synchronize()

    return run


def pass_megabytes(run: Callable[[], None], device: str) -> float | None:
    """What one pass allocates at most, after one to warm up."""
    run()
    if device != "cuda":
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return round((torch.cuda.max_memory_allocated() - before) / 1e6, 1)
