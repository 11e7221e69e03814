"""A sweep's worker: a child process that does one task after the other, and the thread that waits for it.

The thread belongs to an executor, of this process or of a Dask worker. It sends a task as a line of JSON and
gets a line back. Only a child can be ended whatever its C code does, so the time limit is the thread's, and
what kills a child costs one task and no neighbour. A child lives as long as its thread's process: what it has
imported and loaded serves its next task.
"""

import contextlib
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import connection
from pathlib import Path
from typing import Any

from helpers import artifacts
from helpers.artifacts import Facts
from helpers.files import ROOT, in_words
from helpers.process import end, unhurried

DONE, FAILED, LOST = "done", "failed", "lost"
PACKAGES = ("torch", "timm", "onnx", "onnxruntime", "onnxsim", "numpy", "pillow")  # of every row
LOG = "workers.log"  # beside the table
_ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"), "1")
_GRACE = 5.0  # seconds that a task gets to clean up when nobody waits for it any more
_own = threading.local()
_children = set[subprocess.Popen[bytes]]()
_closing = threading.Event()


@contextlib.contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """An executor for `perform` on this machine; when the block ends, however it ends, its children end."""
    _closing.clear()
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        with unhurried():
            _closing.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for child in tuple(_children):
                _end(child)
            pool.shutdown()


def perform(task: Facts, limit_s: float) -> Facts:
    """Has this thread's child do a task: `state`, its `row` or a `sentence`, `seconds` and `worker`.

    LOST is a task whose child ended before it; one that takes longer than `limit_s` has FAILED.
    """
    log = Path(task["out"]).parents[1] / LOG
    child = getattr(_own, "child", None)
    if child is None or child.poll() is not None:
        child = _own.child = _start(log)
    if _closing.is_set():
        _end(child)
    started = time.monotonic()
    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(json.dumps(task).encode() + b"\n")
        child.stdin.flush()
        if connection.wait([child.stdout.fileno()], limit_s):
            answer = json.loads(child.stdout.readline())
        else:
            _end(child)
            answer = {"state": FAILED, "sentence": f"it took longer than its {limit_s:g} s and was ended"}
    except (OSError, ValueError):  # its pipe broke, was closed, or ended within a line
        _end(child)
        ended = f"its process ended with status {child.returncode} (-9: mostly for want of memory)"
        answer = {"state": LOST, "sentence": f"{ended}; what it said is in {log}"}
    return {**answer, "seconds": time.monotonic() - started, "worker": f"{platform.node()}:{child.pid}"}


def _start(log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as said:
        child = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "helpers.lab.worker"],
            cwd=ROOT,
            env=os.environ | _ALONE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    _children.add(child)
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    _children.discard(child)
    end(child, grace=_GRACE)
    with contextlib.suppress(OSError):
        child.stdin.close()  # type: ignore[union-attr]


def main() -> None:
    """The child: tasks on stdin, answers on what was stdout; what the tasks print goes to stderr."""
    threading.Thread(target=_watch, args=[os.getppid()], daemon=True).start()
    answers, planned = os.fdopen(os.dup(1), "w", encoding="utf-8"), os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what a task starts must not read the next task
    for line in planned:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


def _watch(parent: int) -> None:
    """Nobody waits for an answer when the parent is gone: the process ends, its own children first."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)


def answer(task: Facts) -> Facts:
    """Does a task, if code, packages and inputs here are those that it was planned with."""
    inputs = {name: Path(path) for name, path in task["inputs"].items()}
    try:
        found = artifacts.ingredients(task["arguments"], inputs, PACKAGES, task["code"])
        if other := [kind for kind, planned in task["made_from"].items() if found[kind] != planned]:
            told = f"{platform.node()} has other {other[0]} than the sweep was planned with"
            return {"state": FAILED, "sentence": f"{told}: bring both to the same state"}
        module, _, name = task["work"].partition(":")
        work: Callable[..., Any] = getattr(importlib.import_module(module), name)
        out = Path(task["out"])
        out.mkdir(parents=True, exist_ok=True)
        row = json.loads(json.dumps(work(out, inputs, **task["arguments"]), allow_nan=False))
        return {"state": row.pop("state", DONE), "row": row}  # a row may say that it stands in for another
    except Exception as error:  # whatever it is, the other tasks go on
        told = in_words(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        return {"state": FAILED, "sentence": " ".join(told.split())[:500]}


def nothing(out: Path, inputs: dict[str, Path], **arguments: Any) -> Facts:
    """The task that the bench measures the way of: its row is its arguments."""
    return arguments


if __name__ == "__main__":
    main()
