"""Waiting for a state instead of a moment: machines differ in speed, and only a hang passes these ends."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from helpers import process

PATIENCE = 240.0  # seconds


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def out_of_time_when(holds: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamed children meet their time limit, however long, once `holds()`."""
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 1e6 * bool(holds()))
    monkeypatch.setattr(process, "time", clock)
