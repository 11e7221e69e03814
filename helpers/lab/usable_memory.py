"""Memory that this process may still take, counted as the kernel's out-of-memory killer counts it."""

import os
import re
from pathlib import Path


def usable_bytes(root: Path = Path("/")) -> int:
    """What the machine has free, or less where a container's limit leaves less; `root` is where /proc lies.

    A cgroup's file cache that has not been used lately counts as free: it goes before anybody is killed.
    """
    return min([_machine(root), *_containers(root)])


def _machine(root: Path) -> int:
    meminfo = root / "proc/meminfo"
    if meminfo.is_file() and (found := re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())):
        return int(found[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # macOS: all there is


def _containers(root: Path) -> list[int]:
    """What each cgroup of this process leaves, from its own up to the root; none where there are none."""
    groups = root / "proc/self/cgroup"
    if not groups.is_file():
        return []
    left = []
    for line in groups.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            tree, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            tree = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = tree / path.lstrip("/")
        # Inside a container the path may be the host's, and only the root of the tree be there.
        for place in (folder, *folder.parents[: len(folder.parts) - len(tree.parts)]):
            if (found := _left(place, *names)) is not None:
                left.append(found)
    return left


def _left(group: Path, limit_name: str, usage_name: str, cache_name: str) -> int | None:
    try:
        limit, usage = (int((group / name).read_text()) for name in (limit_name, usage_name))
        cache = re.search(rf"^{cache_name} (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # no such group here, or "max" (cgroup v1 writes a number near 2**63)
        return None
    return max(0, limit - usage + (int(cache[1]) if cache else 0))
