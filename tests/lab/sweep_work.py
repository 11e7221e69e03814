"""What the tests of a sweep have done in its workers."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def square(out: Path, inputs: Mapping[str, Path], *, number: int) -> dict[str, Any]:
    time.sleep(0.02)
    return {"square": number**2}


def fails(out: Path, inputs: Mapping[str, Path]) -> dict[str, Any]:
    raise KeyError("spam")


def hangs(out: Path, inputs: Mapping[str, Path]) -> dict[str, Any]:
    while True:
        time.sleep(3600)


def dies(out: Path, inputs: Mapping[str, Path], *, times: int) -> dict[str, Any]:
    """Kills its process, but for once it has done so so often."""
    deaths = len(list(out.iterdir()))
    if deaths < times:
        (out / str(deaths)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"deaths": deaths}


def alone(out: Path, inputs: Mapping[str, Path], *, number: int) -> dict[str, Any]:
    """Fails beside another."""
    (busy := out.parent / "busy").touch(exist_ok=False)
    time.sleep(0.05)
    busy.unlink()
    return {}
