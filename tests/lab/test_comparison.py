import ctypes
import subprocess
import sys
from functools import partial
from pathlib import Path

import onnx
import pytest
import torch

from helpers.graph.convert import to_onnx
from helpers.lab import comparison
from helpers.model.reference import timm_model


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_large_maps_fault_only_where_memory_is_given_back():
    """In a process of its own: the heap of one that ran other tests may hold a free piece of that size."""
    script = """
import torch
from helpers.graph.convert import to_onnx  # as in the chapter: how full the heap is decides what it keeps
from helpers.lab import comparison
from helpers.model.memory import MMAP_LIMIT, memory_kept

def touch():
    torch.ones(2 * MMAP_LIMIT, dtype=torch.uint8)

faults = [comparison.page_faults(touch)]
with memory_kept() as can:
    faults.append(comparison.page_faults(touch))
print(can, *faults, comparison.page_faults(touch))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    can, before, kept, after = done.stdout.split()
    assert can == "True"
    anew = min(int(before), int(after))
    assert anew >= 32, "64 MB are 16,384 pages, or 32 huge ones"
    assert int(kept) < anew / 10


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")
def test_a_convolution_repacks_less_where_its_map_is_stored_channels_last(capfd: pytest.CaptureFixture[str]):
    found = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        convolution = torch.nn.Conv2d(32, 64, 3).to(memory_format=layout)
        images = torch.randn(16, 32, 56, 56).to(memory_format=layout)
        with torch.inference_mode():
            found[layout], spent = comparison.repackings(partial(convolution, images))
        assert 0 < spent < 60
    assert found[torch.channels_last] < found[torch.contiguous_format]
    print("back")
    assert capfd.readouterr().out == "back\n", "the log is not printed, and standard output is back"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("comparison") / "m0.onnx"
    onnx.save(to_onnx(timm_model("efficientvit_m0"), opset=11, any_batch=True), path)
    return path


@pytest.mark.parametrize("batch", [1, 3])
def test_a_session_runs_its_batch(exported: Path, batch: int):
    (logits,) = comparison.onnxruntime_pass(exported, batch=batch)()
    assert logits.shape == (batch, 1000)


def test_inside_every_operator_has_a_kind_and_a_time(exported: Path):
    found = comparison.inside(exported, batch=1)
    assert set(found.milliseconds) == set(comparison.KINDS)
    assert all(spent > 0 for spent in found.milliseconds.values())
    assert found.operators["Conv"] + found.operators["FusedConv"] == 116  # the graph's convolutions
    moving = sum(found.operators[name] for name in ("Reshape", "Transpose", "Split", "ReorderInput"))
    assert 0 < moving <= found.layout_changes < found.operators.total() / 1.5
