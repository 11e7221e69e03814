"""Memory that was freed: handed back to the system, or kept for the next call."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
MMAP_LIMIT = 32 << 20  # bytes; above it glibc asks the system for memory anew each time, mallopt(3)


def release_memory() -> None:
    """Collects garbage and returns what glibc keeps of freed tensors: a learner's machine may have 2 GB."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc's alone
        libc.malloc_trim(0)


@contextmanager
def memory_kept() -> Iterator[bool]:
    """Freed memory stays with the process, however large the piece; False where that cannot be asked for."""
    libc = ctypes.CDLL(None)
    can = hasattr(libc, "mallopt")
    if can:
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    try:
        yield can
    finally:
        if can:  # where glibc's own adjustment ends
            libc.mallopt(_M_MMAP_THRESHOLD, MMAP_LIMIT)
            libc.mallopt(_M_TRIM_THRESHOLD, 2 * MMAP_LIMIT)
        release_memory()
