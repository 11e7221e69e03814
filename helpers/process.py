"""Child processes that cannot hang their parent: short probes, and long runs streamed to disk. POSIX only.

Every child leads a session of its own. Ctrl-C in a terminal or a notebook then reaches only Python, which
decides what to stop and in what order, and a child is ended together with all that it started.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_TICK_SECONDS = 0.5
_LINE_LIMIT = 1 << 20  # bytes; a child that never ends its line must not fill the memory
_SIGTERM_STATUS = 128 + signal.SIGTERM


def probe(argv: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[str] | None:
    """Runs a short command and returns what it said, or None when it did not end within `seconds`.

    The exit status is 127 when it could not start.
    """
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        return subprocess.CompletedProcess(argv, 127, "", f"{argv[0]}: {error.strerror}")
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        end(child)
    return subprocess.CompletedProcess(argv, child.returncode, out, err)


def stream(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
    seconds: float,
    on_line: Callable[[bytes], None],
    stdin: int = subprocess.DEVNULL,
) -> int:
    """Runs `argv`, writes what it prints to `log` as it comes, and returns its exit status.

    `on_line` gets each line with its end (a carriage return is one too, so that progress bars are seen), and
    no bytes about twice a second while the child is silent. The child has ended when this returns or raises.
    Raises subprocess.TimeoutExpired after `seconds`, OSError when the child cannot
    start or the log cannot be written; SIGTERM becomes SystemExit, so that callers clean up after it too.
    """
    deadline = time.monotonic() + seconds
    with (
        log.open("wb") as file,
        _handling({signal.SIGTERM: lambda *_: sys.exit(_SIGTERM_STATUS)}),
        selectors.DefaultSelector() as selector,
    ):
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=dict(environment),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert child.stdout is not None
        try:
            selector.register(child.stdout, selectors.EVENT_READ)
            pending = b""
            while (left := deadline - time.monotonic()) > 0:
                if selector.select(timeout=min(left, _TICK_SECONDS)):
                    chunk = os.read(child.stdout.fileno(), 1 << 16)
                    if not chunk:
                        break
                    file.write(chunk)
                    file.flush()
                    text = pending + chunk
                    end_of_last = max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1
                    pending = text[end_of_last:][:_LINE_LIMIT]  # a last \r may be half a line end
                    for line in text[:end_of_last].splitlines(keepends=True):
                        on_line(line)
                elif child.poll() is not None:
                    break  # something the child left behind still holds the pipe
                else:
                    on_line(b"")
            if pending:
                on_line(pending)
            return child.wait(timeout=max(deadline - time.monotonic(), 0))
        finally:
            with unhurried():
                end(child, grace=2)


def end(child: subprocess.Popen[bytes] | subprocess.Popen[str], *, grace: float = 0) -> None:
    """Ends a child and all it started: SIGTERM, then SIGKILL after `grace` seconds."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=seconds)
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def unhurried() -> contextlib.AbstractContextManager[None]:
    """Ignores SIGINT and SIGTERM while cleaning up: a second Ctrl-C must not leave a build running."""
    return _handling({signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: signal.SIG_IGN})


@contextlib.contextmanager
def _handling(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    """Other handlers of signals for a while; only the main thread can set them, and others get none."""
    if threading.current_thread() is not threading.main_thread():
        handlers = {}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
