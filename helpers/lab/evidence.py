"""Evidence that a notebook leaves in its outputs: what it ran on, checks that held, and results.

Checks and results are shown as text and carried as data under one MIME type, so the runner can count and
collect them from the executed notebook itself: no side files, and no result that no cell printed.
"""

import gc
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from IPython import get_ipython
from IPython.display import display
from IPython.utils.capture import capture_output

from helpers.model.memory import release_memory

MIME = "application/vnd.efficientvit-edge+json"
MATTER = ("torch", "timm", "onnx", "onnxruntime", "onnxsim")  # the packages on which figures depend


def setup(*packages: str) -> None:
    """Begins a notebook: prints the versions, and from now on hands freed memory back after each cell."""
    print(versions(*packages))
    gc.freeze()  # what the imports made stays: no collection need walk it, which takes 0.2 s after each cell
    if shell := get_ipython():
        shell.events.register("post_run_cell", lambda _: release_memory())


def versions(*packages: str) -> str:
    """One line: Python and the installed version of each package."""
    found = (f"{package} {importlib.metadata.version(package)}" for package in packages)
    return " · ".join([f"Python {platform.python_version()}", *found])


def cpu() -> str:
    """This machine's processor in words, with the number of cores this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def check(claim: str, holds: bool, evidence: str = "", *, seen: bool = True) -> None:
    """Asserts what the text just claimed, with the figure that shows it; raises AssertionError if not.

    A claim that was never `seen` with such weights is printed, and whether it holds.
    """
    tail = f"  ({evidence})" if evidence else ""
    if not seen:
        print(f"with these weights {'it holds' if holds else 'it does not hold'}: {claim}{tail}")
        return
    if not holds:
        raise AssertionError(f"{claim}{tail}")
    _show(f"✓ {claim}{tail}", {"kind": "check", "claim": claim, "evidence": evidence})


def record(
    quantity: str,
    value: float,
    unit: str,
    *,
    model: str,
    engine: str,
    device: str,
    weights: str,
    **conditions: Any,
) -> None:
    """One row of build/results.json: what was measured or read, by which engine, on what, with which weights.

    `engine` and `device` name the stand-in when there is one: "recorded log", not "NPU".
    """
    row = {"quantity": quantity, "value": value, "unit": unit, "model": model}
    row |= {"engine": engine, "device": device, "weights": weights} | conditions
    measured = f"{value:g}" if unit == "1" else f"{value:g} {unit}"
    told = f"→ {quantity}: {measured}  [{model}, {engine}, {device}, weights: {weights}]"
    _show(told, {"kind": "result"} | row)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Results that only repeat what a table shows are recorded here: one line counts them."""
    with capture_output(stdout=False, stderr=False) as shown:
        yield
    rows = [output.data[MIME] for output in shown.outputs]
    _show(f"→ {len(rows)} results for build/results.json", {"kind": "results", "rows": rows})


def harvest(notebook: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The checks and the results in an executed notebook's outputs, in order."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    found = [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]
    checks = [item for item in found if item["kind"] == "check"]
    results = [row for item in found if item["kind"] != "check" for row in item.get("rows", [item])]
    return checks, [{key: row[key] for key in row if key != "kind"} for row in results]


def _show(text: str, data: dict[str, Any]) -> None:
    display({"text/plain": text, MIME: data}, raw=True)
