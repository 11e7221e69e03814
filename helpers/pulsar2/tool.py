"""Pulsar2, the compiler for the AX650N: where it is on this computer, if at all.

Needs the standard library only, so `doctor` can ask before anything is installed.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers import process

PROBE_SECONDS = 5.0  # a daemon that hangs must not hang the notebook
_RELEASE = re.compile(r"^pulsar2:(\d+)\.(\d+)([-_.].*)?$")


class Pulsar2Missing(RuntimeError):
    """No native `pulsar2` and no usable image; the message says what was looked for and how to get it."""


@dataclass(frozen=True)
class Tool:
    """A Pulsar2: `program` is pulsar2 itself, or the docker client when there is an `image` to run it in."""

    program: str
    version: str | None
    image: str | None = None


# Shows the command where no tool is installed: the newest release that is documented (update_info there).
DOCUMENTED = Tool("docker", "7.0", "pulsar2:7.0")


def find_tool(image: str | None = None) -> Tool:
    """The Pulsar2 to use: `pulsar2` on PATH, else the newest local `pulsar2:*` image; or the image named.

    Answers within seconds even where docker's daemon hangs. Raises Pulsar2Missing when there is none.
    """
    if image is None and (native := shutil.which("pulsar2")):
        answer = process.probe([native, "version"], seconds=2 * PROBE_SECONDS)
        said = re.search(r"^version: (\S{1,40})$", answer.stdout, re.MULTILINE) if answer else None
        return Tool(str(Path(native).absolute()), said and said[1])  # a build runs in another folder
    try:
        if (docker := shutil.which("docker")) is None:
            raise LookupError("`docker` is not on PATH")
        chosen = image or newest(_ask(docker, "images", "--format", "{{.Repository}}:{{.Tag}}").split())
        if chosen is None:
            raise LookupError("docker has no `pulsar2:*` image")
        _ask(docker, "image", "inspect", chosen)
    except LookupError as error:
        wanted = f"docker image `{image}`" if image else "`pulsar2` on PATH and docker image `pulsar2:*`"
        raise Pulsar2Missing(
            f"no Pulsar2 found (looked for {wanted}; {error.args[0]}): get ax_pulsar2_7.0.tar.gz from "
            "AXERA-TECH/Pulsar2 on Hugging Face and `docker load -i` it, or put the native package on PATH"
        ) from error
    return Tool(docker, chosen.partition(":")[2] if _release(chosen) else None, chosen)


def newest(images: Sequence[str]) -> str | None:
    """The newest release among image names, or None when none is a Pulsar2 release."""
    releases = [(key, image) for image in images if (key := _release(image)) is not None]
    return max(releases)[1] if releases else None


def _release(image: str) -> tuple[int, int, int, bool] | None:
    """The sort key (major, minor, patch, full above lite) of a `pulsar2:*` image; None for other names."""
    found = _RELEASE.match(image)
    if found is None:
        return None
    suffix = found[3] or ""
    patch = re.search(r"patch(\d+)", suffix) or re.match(r"\.(\d+)", suffix)
    return int(found[1]), int(found[2]), int(patch[1]) if patch else 0, "lite" not in suffix


def _ask(docker: str, *arguments: str) -> str:
    """What docker printed; LookupError says why it did not answer."""
    answer = process.probe([docker, *arguments], seconds=PROBE_SECONDS)
    if answer is None:
        raise LookupError(f"docker did not answer within {PROBE_SECONDS:g} s")
    if answer.returncode != 0:
        said = answer.stderr.strip() or answer.stdout.strip() or f"exit status {answer.returncode}"
        raise LookupError(f"docker says: {said.splitlines()[-1].rstrip('.')}")
    return answer.stdout
