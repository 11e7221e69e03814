"""`python -m helpers doctor`: what this machine has of what the tutorial needs, one line per requirement.

"fail": the tutorial cannot run here; "warn": it runs, and something stands in or is left out. Nothing heavy
is imported: the answer comes within seconds, also where packages are missing.
"""

import importlib.util
import os
import re
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from helpers.finding import Finding
from helpers.lab.paths import DATA, ROOT, shown
from helpers.lab.usable_memory import usable_bytes
from helpers.model.source import ENVIRONMENT_VARIABLE, WORDS
from helpers.process import probe
from helpers.pulsar2.tool import newest

GB = 10**9
MEMORY_OF_A_CHAPTER = 1.0 * GB
"""Most that a chapter's kernel takes; tests/test_notebooks.py holds each of them to it."""
MEMORY_WITH_LAB = 1.3 * GB
"""The same with JupyterLab's server beside it."""
DISK = 1.0 * GB
"""What the chapters leave in build/: 0.5 GB, and as much again while it is made anew."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HUB = "https://huggingface.co"
_NETWORK_SECONDS = 1.4
_DOCKER_SECONDS = 1.4
_INSTALL = "run `make tutorial`, or `pip install -c constraints.txt -e .`"


def main() -> int:
    """Prints all findings as they come; exit status 1 on any "fail"."""
    failed = False
    for finding in examine():
        print(finding, flush=True)
        failed |= finding.level == "fail"
    return int(failed)


def examine() -> Iterator[Finding]:
    """Each check on the facts of this machine; under another Python, that alone: it sees other packages."""
    yield (first := python(sys.version_info[:3]))
    if first.level == "fail":
        return
    direct, pins = requirements(ROOT)
    installed = {name: _installed(name) for name in direct}
    yield packages(installed, pins)
    yield torch_pair(installed.get("torch"), installed.get("torchvision"))
    yield memory(usable_bytes())
    yield disk(shutil.disk_usage(ROOT).free)
    yield fonts(_package_folder("matplotlib"))
    yield chromium(shutil.which)
    yield pulsar2(shutil.which, _docker_images)
    yield ssh(shutil.which)
    yield weights(os.environ, shipped=DATA / "weights" / "pocket.safetensors")
    yield network(os.environ, _answers)


def python(version: tuple[int, ...]) -> Finding:
    """Python, to the minor version: the pins were made for one."""
    said = ".".join(map(str, version))
    if version[:2] == (3, 11):
        return Finding("Python", "ok", said)
    return Finding(
        "Python",
        "fail",
        f"{said}, but the pinned packages are for 3.11: install it, then "
        "`make PYTHON=/path/to/python3.11 tutorial`",
    )


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


def torch_pair(torch: str | None, torchvision: str | None) -> Finding:
    """Whether the two were released together: torchvision 0.(n + 15) goes with torch 2.n."""
    name = "torch and torchvision"
    if torch is None or torchvision is None:
        return Finding(name, "fail", f"not both there: {_INSTALL}")
    major, minor = map(int, torch.split(".")[:2])
    if major == 2 and not torchvision.startswith(f"0.{minor + 15}."):
        return Finding(
            name,
            "fail",
            f"torch {torch} goes with torchvision 0.{minor + 15}, not {torchvision}: {_INSTALL}",
        )
    said = f"{torch} and {torchvision}"
    if ("+" in torch) != ("+" in torchvision):
        said += ", of different builds; helpers.model declares the operators that torchvision then lacks"
    return Finding(name, "ok", said)


def memory(usable: int) -> Finding:
    """Memory that is free for this process, bytes."""
    said = f"{usable / GB:.1f} GB free"
    if usable < MEMORY_OF_A_CHAPTER:
        return Finding(
            "memory",
            "fail",
            f"{said}; a chapter takes up to {MEMORY_OF_A_CHAPTER / GB:.1f} GB: close other programs and "
            "kernels, or give the container 2 GB",
        )
    if usable < MEMORY_WITH_LAB:
        return Finding(
            "memory",
            "warn",
            f"{said}: enough for `make tutorial`; JupyterLab beside a chapter takes up to "
            f"{MEMORY_WITH_LAB / GB:.1f} GB, so close other programs and kernels first",
        )
    return Finding("memory", "ok", said)


def disk(free: int) -> Finding:
    """Space beside the checkout, bytes; the environment itself is already there when this runs."""
    said = f"{free / GB:.1f} GB free"
    if free < DISK:
        return Finding(
            "disk",
            "warn",
            f"{said}; the chapters write up to {DISK / GB:.0f} GB into build/: make room, or delete "
            "build/ when you have read it",
        )
    return Finding("disk", "ok", said)


def fonts(matplotlib: Path | None) -> Finding:
    """The font of all figures, which matplotlib brings along and some distributions take out."""
    font = "mpl-data/fonts/ttf/DejaVuSans.ttf"
    if matplotlib is not None and (matplotlib / font).exists():
        return Finding("fonts", "ok", "DejaVu Sans, in matplotlib")
    again = "`pip install --force-reinstall --no-deps -c constraints.txt matplotlib`"
    return Finding("fonts", "fail", f"matplotlib is without {font}: {again}")


def chromium(which: Callable[[str], str | None]) -> Finding:
    """A browser for the tests."""
    if found := next(filter(None, map(which, BROWSERS)), None):
        return Finding("Chromium", "ok", found)
    return Finding("Chromium", "warn", "none, so the browser tests are skipped: `apt install chromium`")


def pulsar2(which: Callable[[str], str | None], images: Callable[[str], Sequence[str] | None]) -> Finding:
    """The compiler, native or in docker; `images` lists the local ones, None when docker does not answer."""
    if native := which("pulsar2"):
        return Finding("Pulsar2", "ok", native)
    stands_in = "chapter 07 shows the command and reads a specimen of a log"
    if (docker := which("docker")) is None:
        return Finding(
            "Pulsar2", "warn", f"neither pulsar2 nor docker is there: {stands_in}; to compile, install docker"
        )
    if (listed := images(docker)) is None:
        return Finding(
            "Pulsar2", "warn", f"docker does not answer: {stands_in}; to compile, start docker's daemon"
        )
    if image := newest(listed):
        return Finding("Pulsar2", "ok", f"docker image {image}")
    load = "`docker load -i` the archive from AXERA-TECH/Pulsar2 on Hugging Face"
    return Finding("Pulsar2", "warn", f"docker has no image of it: {stands_in}; to compile, {load}")


def ssh(which: Callable[[str], str | None]) -> Finding:
    """The way to a board."""
    if missing := [name for name in ("ssh", "scp") if which(name) is None]:
        return Finding(
            "ssh and scp",
            "warn",
            f"no {' and no '.join(missing)}, so no board can be reached from here and chapter 08 reads "
            "recorded logs: `apt install openssh-client`",
        )
    return Finding("ssh and scp", "ok", "both there")


def weights(environment: Mapping[str, str], *, shipped: Path) -> Finding:
    """The pocket model, a checkpoint named in the environment, and trained weights in the hub's cache."""
    if not shipped.is_file():
        return Finding(
            "weights", "fail", f"{shown(shipped)} is missing: get it with `git checkout data/weights`"
        )
    named = environment.get(ENVIRONMENT_VARIABLE)
    if named and named not in WORDS and not Path(named).expanduser().is_file():
        return Finding(
            "weights", "fail", f"{ENVIRONMENT_VARIABLE} names {named}, which is no file: correct or unset it"
        )
    cached = sorted(_hub_cache(environment).glob("models--timm--efficientvit_m*/snapshots/*/*.safetensors"))
    models = {path.parts[-4].removeprefix("models--timm--").partition(".")[0] for path in cached}
    if named or models:
        return Finding("weights", "ok", ", ".join(["pocket model", *filter(None, [named]), *sorted(models)]))
    return Finding(
        "weights",
        "warn",
        "the pocket model, and none trained on ImageNet: M0 to M5 are random unless a chapter gets "
        "`-p checkpoint FILE`, or `-p checkpoint timm` with network",
    )


def network(environment: Mapping[str, str], answers: Callable[[str, int], bool]) -> Finding:
    """Whether the hub, or the proxy on the way to it, takes a connection."""
    without = "everything runs but `-p checkpoint timm` and the download of official checkpoints"
    if environment.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return Finding("network", "warn", f"not tried, since HF_HUB_OFFLINE is set: {without}")
    hub = environment.get("HF_ENDPOINT", HUB)
    scheme = urlsplit(hub).scheme
    proxy = environment.get(f"{scheme}_proxy") or environment.get(f"{scheme}_proxy".upper())
    target = urlsplit(f"http://{proxy}" if proxy and "://" not in proxy else proxy or hub)
    port = target.port or (80 if target.scheme == "http" else 443)
    if target.hostname and answers(target.hostname, port):
        return Finding("network", "ok", f"{target.hostname} answers")
    return Finding("network", "warn", f"{target.hostname or hub} cannot be reached: {without}")


def requirements(checkout: Path) -> tuple[list[str], dict[str, str]]:
    """The names in pyproject.toml's dependencies, and the version of each package in constraints.txt."""
    import tomllib  # new in Python 3.11, and an older one must get as far as being told so

    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (checkout / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    direct = [_canonical(re.split(r"[<>=!~ ]", line)[0]) for line in project["dependencies"]]
    return direct, {_canonical(name): version for name, version in pins.items()}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _package_folder(name: str) -> Path | None:
    """Where a package lies, without importing it."""
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else None


def _docker_images(docker: str) -> list[str] | None:
    answer = probe([docker, "images", "--format", "{{.Repository}}:{{.Tag}}"], seconds=_DOCKER_SECONDS)
    return answer.out.split() if answer and answer.status == 0 else None


def _hub_cache(environment: Mapping[str, str]) -> Path:
    """Where the hub's client keeps its files (huggingface_hub.constants, which takes long to import)."""
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{base}/huggingface"
    return Path(environment.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()


def _answers(host: str, port: int) -> bool:
    """One attempt to connect, in a thread: looking up a name can outlast every timeout that a socket has."""
    connected = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=_NETWORK_SECONDS).close()
            connected.set()
        except OSError:
            pass

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(_NETWORK_SECONDS)
    return connected.is_set()
