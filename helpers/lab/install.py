"""What `make` installs the environment with: pip, and on Linux PyTorch's CPU index where CUDA has no use.

Runs by path in an environment that holds nothing but pip, so it imports the standard library only.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from contextlib import suppress
from http.client import HTTPException

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 4.0
_INDEX_SETTING = re.compile(r"\.((?:extra-)?index-url|find-links|no-index)=")
_SMALL, _LARGE = "about 1.8 GB", "about 5.8 GB with CUDA"
_EITHER = f"{_SMALL}, or {_LARGE}"


def main(extras: str = "") -> int:
    """Installs this checkout, with `extras` such as "test,site" on top of it; returns pip's exit status."""
    arguments = ["install", "-c", "constraints.txt", "-e", f".[{extras}]" if extras else "."]
    if extras:  # torch is there already
        print(f"Adding the packages for {extras}", flush=True)
        return pip(arguments)
    index, said = choose()
    print(f"Installing the environment (once): {said}", flush=True)
    return pip([*arguments, "--extra-index-url", index] if index else arguments)


def choose() -> tuple[str | None, str]:
    """The index that pip gets beside its own, if any, and what is said of it.

    TORCH_INDEX names one; set but empty, it leaves pip alone.
    """
    named = os.environ.get("TORCH_INDEX")
    if named:
        return named, f"torch from {named}, as TORCH_INDEX says"
    if named is not None:
        return None, f"{_EITHER}, as pip finds torch"
    if sys.platform != "linux":
        return None, _SMALL
    if shutil.which("nvidia-smi"):
        return None, f"{_LARGE}, for an NVIDIA driver is here; `TORCH_INDEX={CPU_INDEX}` for CPUs only"
    if settings := pip_settings():
        return None, f"{_EITHER}: pip goes by your settings ({', '.join(sorted(settings))})"
    if answers(CPU_INDEX):
        return CPU_INDEX, f"{_SMALL}: no NVIDIA driver, so torch for CPUs from {CPU_INDEX}"
    silent = f"{CPU_INDEX} does not answer within {PROBE_SECONDS:.0f} s"
    return None, f"{_LARGE}, because {silent}; `TORCH_INDEX=…` names another index of CPU builds"


def pip_settings() -> set[str]:
    """The settings on indexes in pip's files and PIP_* variables, by name."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    return set(_INDEX_SETTING.findall(listed.stdout))


def answers(index: str, seconds: float = PROBE_SECONDS) -> bool:
    """Whether an index lists torch. In a thread: no timeout of urllib covers a name's resolution."""
    found = threading.Event()

    def ask() -> None:
        address = f"{index.rstrip('/')}/torch/"
        with suppress(OSError, HTTPException), urllib.request.urlopen(address, timeout=seconds) as page:
            if b"torch-" in page.read(1 << 16):  # a portal's login page has no such word
                found.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return found.is_set()


def pip(arguments: list[str]) -> int:
    """Runs pip with its progress bars and errors; only warnings on places that it skips are left out."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") as running:
        assert running.stderr is not None
        for line in running.stderr:
            if "WARNING: Location " not in line:
                sys.stderr.write(line)
                sys.stderr.flush()
    return running.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
