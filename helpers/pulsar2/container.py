"""Pulsar2 in its docker image: which image, how to start a build in it, and how to leave nothing behind.

What the image asks of its caller (AXERA-TECH/Magnetar, magnetar/docker_util.py; onnxsim/onnxsim,
scripts/axera/pulsar2_docker.py):
it must run as root, since its licence files belong to root, so what it writes belongs to root as well;
from 7.0 on its entry point is bash, and `docker run IMAGE pulsar2 …` dies with "cannot execute binary file";
it goes on when the docker client is killed, so it needs a name to be stopped by.
"""

import json
import os
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.process import Answer, probe

MOUNT = "/data"  # where the image's own working directory is
PROBE_SECONDS = 5.0  # a daemon that hangs must not hang the notebook
_STOP_SECONDS = 20.0
_HAND_BACK_SECONDS = 60.0
_RELEASE = re.compile(r"^pulsar2:(\d+)\.(\d+)([-_.].*)?$")
_IMAGE_NAME = re.compile(r"[A-Za-z0-9][\w./:@-]*", re.ASCII)
_ENTRY_POINTS_TO_REPLACE = ("bash", "sh", "pulsar2")  # a wrapper script sets something up: it stays


@dataclass(frozen=True)
class Image:
    """A local image: its name, the release in its tag (None for other tags), its id, its entry point."""

    name: str
    version: str | None
    id: str | None
    entry_point: tuple[str, ...]


def release(image: str) -> tuple[int, int, int, bool] | None:
    """The sort key (major, minor, patch, full above lite) of a `pulsar2:*` image; None for other names."""
    found = _RELEASE.match(image)
    if found is None:
        return None
    suffix = found[3] or ""
    patch = re.search(r"patch(\d+)", suffix) or re.match(r"\.(\d+)", suffix)
    return int(found[1]), int(found[2]), int(patch[1]) if patch else 0, "lite" not in suffix


def newest(images: Sequence[str]) -> str | None:
    """The newest release among image names, or None when none is a Pulsar2 release."""
    releases = [(key, image) for image in images if (key := release(image)) is not None]
    return max(releases)[1] if releases else None


def choose(docker: str, image: str | None) -> Image:
    """The named local image, or the newest `pulsar2:*`; LookupError says what docker answered.

    Raises ValueError for what is no image name.
    """
    if image is None:
        answer = _ask(docker, "images", "--format", "{{.Repository}}:{{.Tag}}")
        image = newest(answer.out.split())
        if image is None:
            raise LookupError("docker has no `pulsar2:*` image")
    elif not _IMAGE_NAME.fullmatch(image):
        raise ValueError(f"{image!r} is not the name of a docker image: write it as in `docker images`")
    answer = _ask(docker, "image", "inspect", image)
    try:
        (facts,) = json.loads(answer.out)
        entry_point = tuple(facts["Config"].get("Entrypoint") or ())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LookupError(f"`docker image inspect {image}` did not describe one image") from None
    version = image.partition(":")[2] if release(image) else None
    return Image(name=image, version=version, id=facts.get("Id"), entry_point=entry_point)


def run_command(
    docker: str,
    image: Image,
    arguments: Sequence[str],
    *,
    work: Path,
    name: str,
    environment: Mapping[str, str],
) -> list[str]:
    """The `docker run` that starts `pulsar2 ARGUMENTS` with the folder `work` mounted as the current one."""
    replaced = bool(image.entry_point) and Path(image.entry_point[0]).name in _ENTRY_POINTS_TO_REPLACE
    start = ["--entrypoint", "pulsar2", image.name] if replaced else [image.name, "pulsar2"]
    settings = [part for key, value in environment.items() for part in ("--env", f"{key}={value}")]
    return [docker, "run", "--rm", "--name", name, *_mounted(work), *settings, *start, *arguments]


def stop(docker: str, name: str) -> None:
    """Kills and removes a container, however far it got; warns when docker does not confirm that it ended."""
    removed = None
    for wait in (0.0, 0.5):  # a killed client's request may still be on its way to the daemon
        time.sleep(wait)
        probe([docker, "kill", name], seconds=_STOP_SECONDS)
        removed = probe([docker, "rm", "--force", name], seconds=_STOP_SECONDS)
        if removed is None or (removed.status == 0 and "No such container" not in removed.err):
            break
    if removed is None or (removed.status != 0 and "No such container" not in removed.err):
        warnings.warn(
            f"docker did not confirm that the container {name} ended: run `docker rm --force {name}`",
            stacklevel=2,
        )


def hand_back(docker: str, image: Image, *, folder: Path, name: str) -> None:
    """Gives the files in `folder` to the calling user; warns when some stay with another owner.

    They are changed from inside a container, as root. Rootless docker already writes them as the caller:
    then there is nothing to do, and a chown would give them away.
    """
    user, group = caller()
    if not _has_foreign_files(folder, user):
        return
    chown = ["--entrypoint", "chown", image.name, "-hR", f"{user}:{group}", "."]
    probe([docker, "run", "--rm", "--name", name, *_mounted(folder), *chown], seconds=_HAND_BACK_SECONDS)
    if _has_foreign_files(folder, user):
        stop(docker, name)
        warnings.warn(
            f"files in {folder} belong to another user: run `sudo chown -R {user}:{group} {folder}`",
            stacklevel=2,
        )


def caller() -> tuple[int, int]:
    """The user and group id that this process runs as."""
    return os.getuid(), os.getgid()


def _ask(docker: str, *arguments: str) -> Answer:
    answer = probe([docker, *arguments], seconds=PROBE_SECONDS)
    if answer is None:
        raise LookupError(f"docker did not answer within {PROBE_SECONDS:g} s")
    if answer.status != 0:
        said = (answer.err.strip() or answer.out.strip() or f"exit status {answer.status}").splitlines()[-1]
        raise LookupError(f"docker says: {said.rstrip('.')}")
    return answer


def _mounted(work: Path) -> list[str]:
    if ":" in str(work):
        raise ValueError(f"{work}: docker cannot mount a folder with a colon in its name: choose another one")
    return ["--volume", f"{work}:{MOUNT}", "--workdir", MOUNT]


def _has_foreign_files(folder: Path, user: int) -> bool:
    def foreign(path: Path) -> bool:
        return path.lstat().st_uid != user

    return folder.exists() and (foreign(folder) or any(foreign(path) for path in folder.rglob("*")))
