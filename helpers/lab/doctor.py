"""`python -m helpers doctor`: what this machine has of what the tutorial needs, one line per requirement.

"fail": the tutorial cannot run here; "warn": it runs, and something stands in or is left out. Nothing heavy
is imported, so the answer comes within seconds.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from helpers.files import ROOT
from helpers.finding import Finding
from helpers.model.source import ENVIRONMENT_VARIABLE, WORDS, find
from helpers.model.variants import VARIANTS

GB = 10**9
MEMORY_OF_A_CHAPTER = 1.0 * GB
"""Most that a chapter's kernel takes; tests/test_notebooks.py holds each of them to it."""
MEMORY_WITH_LAB = 1.3 * GB
"""The same with JupyterLab's server beside it."""
DISK = 1.0 * GB
"""What the chapters leave in build/: 0.5 GB, and as much again while it is made anew."""
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 14)
_INSTALL = "run `make tutorial`, or `pip install -c constraints.txt -e .`"


def main() -> int:
    """Prints all findings as they come; exit status 1 on any "fail"."""
    failed = False
    for finding in examine():
        print(finding, flush=True)
        failed |= finding.level == "fail"
    return int(failed)


def examine() -> Iterator[Finding]:
    """Each check on the facts of this machine; without a fitting Python or a package, nothing after that."""
    yield (first := python(sys.version_info[:3]))
    if first.level == "fail":  # another Python sees other packages
        return
    direct, pins = requirements(ROOT)
    yield (second := packages({name: _installed(name) for name in direct}, pins))
    if second.level == "fail":
        return
    yield memory(usable_bytes())
    yield disk(shutil.disk_usage(ROOT).free)
    yield weights(os.environ)


def python(version: tuple[int, ...]) -> Finding:
    """Python, to the minor version: the pins are resolved for these."""
    said = ".".join(map(str, version))
    if not OLDEST_PYTHON <= version[:2] <= NEWEST_PYTHON:
        fitting = " to ".join(".".join(map(str, end)) for end in (OLDEST_PYTHON, NEWEST_PYTHON))
        install = "install one, then `make PYTHON=/path/to/python3.11 tutorial`"
        return Finding("Python", "fail", f"{said}, but the pinned packages are for {fitting}: {install}")
    return Finding("Python", "ok", said)


def packages(installed: Mapping[str, str | None], pins: Mapping[str, str]) -> Finding:
    """The direct dependencies against constraints.txt: `installed` gives None for what is not there."""
    if missing := [name for name, version in installed.items() if version is None]:
        return Finding("packages", "fail", f"{', '.join(missing)} missing: {_INSTALL}")
    others = [
        f"{name} {version} (tested: {pins[name]})"
        for name, version in installed.items()
        if version is not None and version.partition("+")[0] != pins[name]
    ]
    if others:
        return Finding("packages", "warn", f"{', '.join(others)}: if something breaks, {_INSTALL}")
    return Finding("packages", "ok", f"all {len(installed)} as in constraints.txt")


def memory(usable: int) -> Finding:
    """Memory that is free for this process, bytes."""
    said, close = f"{usable / GB:.1f} GB free", "close other programs and kernels"
    if usable < MEMORY_OF_A_CHAPTER:
        needs = f"a chapter takes up to {MEMORY_OF_A_CHAPTER / GB:.1f} GB"
        return Finding("memory", "fail", f"{said}; {needs}: {close}, or give the container 2 GB")
    if usable < MEMORY_WITH_LAB:
        needs = f"JupyterLab beside a chapter takes up to {MEMORY_WITH_LAB / GB:.1f} GB"
        return Finding("memory", "warn", f"{said}: enough for `make tutorial`; {needs}, so {close} first")
    return Finding("memory", "ok", said)


def usable_bytes(group: Path = Path("/sys/fs/cgroup")) -> int:
    """What the machine has free, or less where a container's limit leaves less (control groups, version 2).

    A group's file cache that has not been used lately counts as free: it goes before anybody is killed.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        cache = re.findall(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # no such group here, or no limit: "max"
        return free
    return min(free, max(0, limit - used + sum(map(int, cache))))


def disk(free: int) -> Finding:
    """Space beside the checkout, bytes; the environment itself is already there when this runs."""
    said = f"{free / GB:.1f} GB free"
    if free < DISK:
        said += f"; the chapters write up to {DISK / GB:.0f} GB into build/: make room"
    return Finding("disk", "ok" if free >= DISK else "warn", said)


def weights(environment: Mapping[str, str]) -> Finding:
    """What the environment names, else what is cached; the pocket model's lie in the checkout."""
    named = environment.get(ENVIRONMENT_VARIABLE)
    if not named:
        lacking = [one.short for name, one in VARIANTS.items() if not find("timm", name=name).file]
        if not lacking:
            return Finding("weights", "ok", "timm's of all six, cached")
        said = f"{', '.join(lacking)} are random: `python -m helpers weights timm` fetches trained ones once"
        return Finding("weights", "warn", f"{said}, or a chapter gets `-p checkpoint FILE`")
    if named in WORDS or Path(named).expanduser().is_file():
        return Finding("weights", "ok", named)
    said = f"{ENVIRONMENT_VARIABLE} names {named}, which is no file: correct or unset it"
    return Finding("weights", "fail", said)


def requirements(checkout: Path) -> tuple[list[str], dict[str, str]]:
    """The names in pyproject.toml's dependencies, and the version of each package in constraints.txt."""
    import tomllib  # new in Python 3.11, and an older one must get as far as being told so

    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (checkout / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return [re.split(r"[<>=!~ ]", line)[0] for line in project["dependencies"]], pins


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
