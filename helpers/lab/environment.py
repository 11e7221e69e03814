"""What this run ran on."""

import gc
import importlib.metadata
import os
import platform
from pathlib import Path

from IPython import get_ipython

from helpers.model.memory import release_memory

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
    return f"{name}, {usable_cores()} cores"


def usable_cores() -> int:
    """Cores this process may run on: fewer than the machine's in a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
