"""Probes and streams must end, whatever the child does, and take along what the child started."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import process

PATIENCE = 20.0  # seconds; an upper bound that only a hang passes


def stream(tmp_path: Path, script: str, *, seconds: float = PATIENCE) -> tuple[int, list[bytes]]:
    lines: list[bytes] = []
    status = process.stream(
        [sys.executable, "-SE", "-c", script],
        cwd=tmp_path,
        environment=os.environ,
        log=tmp_path / "log",
        seconds=seconds,
        on_line=lines.append,
    )
    assert (tmp_path / "log").read_bytes() == b"".join(lines)
    return status, [line for line in lines if line]


def test_a_probe_answers_or_gives_up() -> None:
    said = process.probe(
        [sys.executable, "-c", "import sys; print('out'); sys.exit('err')"], seconds=PATIENCE
    )
    assert said == process.Answer(status=1, out="out\n", err="err\n")
    assert process.probe(["/nowhere/docker"], seconds=1) == process.Answer(
        127, "", "/nowhere/docker: No such file or directory"
    )


def test_a_probe_is_not_held_by_what_its_child_started() -> None:
    started = time.monotonic()
    assert process.probe(["/bin/sh", "-c", "sleep 600 & sleep 600"], seconds=0.3) is None
    assert time.monotonic() - started < PATIENCE


def test_lines_come_whole_with_their_ends_and_the_status(tmp_path: Path) -> None:
    pieces = ["one\r", "two\r", "\n\nthr", "ee ━\n", "fo", "ur"]  # as bytes, each by itself
    script = (
        f"import os, sys, time\nfor byte in {''.join(pieces).encode()!r}:\n"
        "    os.write(1, bytes([byte])); time.sleep(0.02)\nsys.exit(3)"
    )
    expected = ["one\r", "two\r\n", "\n", "three ━\n", "four"]
    assert stream(tmp_path, script) == (3, [line.encode() for line in expected])


def test_a_child_that_leaves_the_pipe_open_does_not_hang_the_build(tmp_path: Path) -> None:
    script = "import subprocess; subprocess.Popen(['sleep', '40'], start_new_session=True); print('done')"
    started = time.monotonic()
    assert stream(tmp_path, script) == (0, [b"done\n"])
    assert time.monotonic() - started < PATIENCE


def test_a_deaf_child_is_killed_at_the_time_limit(tmp_path: Path) -> None:
    script = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    with pytest.raises(subprocess.TimeoutExpired):
        stream(tmp_path, script, seconds=1.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "log").read_text()), 0)
