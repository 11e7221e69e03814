"""One writer at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.lab.paths import shown


class Busy(RuntimeError):
    """Somebody else writes there; the message names the process."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process, or raises Busy at once.

    The system lets go of the lock when the process ends, however it ends: no lock is ever left behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Busy(
                f"process {file.read()} is at work in {shown(folder)}/: wait until it has ended, or end it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
