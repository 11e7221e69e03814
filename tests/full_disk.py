"""A disk that is full, for real: a tmpfs of a few MB where one may be mounted, else a limit on every file."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WAYS = ("tmpfs", "limit")
_BYTES = 64 << 20
_FILL = {
    "tmpfs": """
def fill(leave):
    disk = os.statvfs(folder)
    with open(folder / "filler", "ab") as filler:
        filler.write(bytes(max(0, disk.f_bavail * disk.f_frsize - leave)))
""",
    "limit": """
def fill(leave):
    resource.setrlimit(resource.RLIMIT_FSIZE, (leave, resource.RLIM_INFINITY))
""",
}
_BEFORE = """
import hashlib, json, os, resource, sys
from pathlib import Path

folder = Path(sys.argv[1])

def files():
    found = {path for path in folder.rglob("*") if path.is_file() and path.name != "filler"}
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(found)}
"""


@functools.cache
def may_mount() -> bool:
    """Whether this machine gives a process file systems of its own."""
    return unshared("-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt").returncode == 0


def unshared(*command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command under `unshare`; its mounts and networks end with it."""
    try:
        return subprocess.run(["unshare", *command], capture_output=True, text=True, cwd=folder, timeout=120)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "no unshare here")


def on_a_full_disk(script: str, folder: Path, way: str) -> dict[str, Any]:
    """What `script` leaves in its dict `said`; it has `folder`, `files()` and `fill(leave)` bytes.

    `fill` leaves that many bytes on the disk, or, where nothing may be mounted, for each file.
    """
    whole = f"{_BEFORE}{_FILL[way]}said = {{}}\n{script}\nprint(json.dumps(said), file=sys.__stdout__)"
    python = [sys.executable, "-c", whole, str(folder)]
    if way == "limit":
        done = subprocess.run(python, capture_output=True, text=True, timeout=120)
    elif may_mount():
        mount = f'mount -t tmpfs -o size={_BYTES} tmpfs "$0" && exec "$@"'
        done = unshared("-rm", "sh", "-c", mount, str(folder), *python)
    else:
        pytest.skip("this machine lets no process mount a tmpfs of its own; the limit on files is tested")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))
