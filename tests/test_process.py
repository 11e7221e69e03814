"""Probes and streams must end, whatever the child does, and take along what the child started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE, out_of_time_when

from helpers import process


def stream(tmp_path: Path, script: str) -> tuple[int, list[bytes]]:
    lines: list[bytes] = []
    status = process.stream(
        [sys.executable, "-SE", "-c", script],
        cwd=tmp_path,
        environment=os.environ,
        log=tmp_path / "log",
        seconds=PATIENCE,
        on_line=lines.append,
    )
    assert (tmp_path / "log").read_bytes() == b"".join(lines)
    return status, [line for line in lines if line]


def test_a_probe_answers_or_gives_up() -> None:
    said = process.probe(
        [sys.executable, "-c", "import sys; print('out'); sys.exit('err')"], seconds=PATIENCE
    )
    assert said is not None and (said.returncode, said.stdout, said.stderr) == (1, "out\n", "err\n")
    missing = process.probe(["/nowhere/docker"], seconds=1)
    assert missing is not None and missing.returncode == 127
    assert missing.stderr == "/nowhere/docker: No such file or directory"


def test_a_probe_is_not_held_by_what_its_child_started() -> None:
    assert process.probe(["/bin/sh", "-c", "sleep 1000 & sleep 1000"], seconds=0.3) is None


def test_lines_come_whole_with_their_ends_and_the_status(tmp_path: Path) -> None:
    pieces = ["one\r", "two\r", "\n\nthr", "ee ━\n", "fou", "r"]  # as bytes, each by itself
    script = (
        f"import os, sys, time\nfor byte in {''.join(pieces).encode()!r}:\n"
        "    os.write(1, bytes([byte])); time.sleep(0.02)\nsys.exit(3)"
    )
    expected = ["one\r", "two\r\n", "\n", "three ━\n", "four"]
    assert stream(tmp_path, script) == (3, [line.encode() for line in expected])


def test_a_child_that_leaves_the_pipe_open_does_not_hang_the_build(tmp_path: Path) -> None:
    script = "import subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)"
    status, (left_behind,) = stream(tmp_path, script)
    assert status == 0
    os.kill(int(left_behind), signal.SIGKILL)  # it is still there


def test_a_deaf_child_is_killed_at_the_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True); time.sleep(1000)"
    )
    log = tmp_path / "log"
    out_of_time_when(lambda: log.exists() and log.read_text().endswith("\n"), monkeypatch)
    with pytest.raises(subprocess.TimeoutExpired):
        stream(tmp_path, script)
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)
