"""Pulsar2, the compiler for the AX650N: find it, show its command, run a build, and say plainly what failed.

The tool runs natively or in its docker image (pulsar2-docs-en, quick_start_prepare and quick_start_ax650).
"""

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from helpers import process
from helpers.files import in_words
from helpers.pulsar2 import build_folder, container
from helpers.pulsar2.build_folder import BuildFailed, BuildFolder
from helpers.pulsar2.stages import StageBar

__all__ = ["DOCUMENTED", "Build", "BuildFailed", "Pulsar2Missing", "Tool", "build", "command", "find"]

T = TypeVar("T")

BUILD_SECONDS = 3600.0
_VERSION_SECONDS = 10.0
_HARDWARE = re.compile(r"[A-Z][A-Z0-9]*")
# Rich wraps its tables to 80 columns on a pipe; and a pipe would hold lines back.
_ENVIRONMENT = {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


class Pulsar2Missing(RuntimeError):
    """No native `pulsar2` and no usable image; the message says what was looked for and how to get it."""


@dataclass(frozen=True)
class Tool:
    """A Pulsar2: `program` is pulsar2 itself, or the docker client when there is an `image` to run it in."""

    program: str
    version: str | None
    image: container.Image | None = None


# Shows the command where no tool is installed: the newest release that is documented (update_info there).
DOCUMENTED = Tool(
    "docker", "7.0", container.Image("pulsar2:7.0", version="7.0", id=None, entry_point=("bash",))
)


@dataclass(frozen=True)
class Build(Generic[T]):
    """A finished build. Times are wall-clock seconds; `versions` names the compiler and its image."""

    axmodel: Path
    output: Path
    log: Path
    command: list[str]
    seconds: float
    stage_seconds: dict[str, float]
    versions: dict[str, str]
    parsed: T


def find(image: str | None = None) -> Tool:
    """The Pulsar2 to use: `pulsar2` on PATH, else the newest local `pulsar2:*` image; or the image named.

    Answers within seconds even where docker's daemon hangs. Raises Pulsar2Missing when there is none, and
    ValueError when `image` is not the name of an image.
    """
    if image is None and (native := shutil.which("pulsar2")):
        native = str(Path(native).absolute())  # a build runs in another folder
        return Tool(program=native, version=_native_version(native))
    wanted = (
        "`pulsar2` on PATH and a docker image `pulsar2:*`" if image is None else f"the docker image `{image}`"
    )
    docker = shutil.which("docker")
    try:
        if docker is None:
            raise LookupError("`docker` is not on PATH")
        chosen = container.choose(docker, image)
    except LookupError as error:
        raise Pulsar2Missing(
            f"no Pulsar2 found (looked for {wanted}; {error.args[0]}): get ax_pulsar2_7.0.tar.gz from "
            "AXERA-TECH/Pulsar2 on Hugging Face and `docker load -i` it, or put the native package on PATH"
        ) from error
    return Tool(program=docker, version=chosen.version, image=chosen)


def command(
    tool: Tool,
    *,
    onnx: Path,
    config: Path,
    output_dir: Path,
    work: Path,
    hardware: str = "AX650",
    name: str = "pulsar2-build",
) -> list[str]:
    """The argument list of `pulsar2 build`, to be run in the folder `work`; `shlex.join` shows it.

    The three paths must lie in `work`: a container sees nothing else. `name` is the container's. With
    DOCUMENTED as the tool it shows the command where none is installed. Raises ValueError for a path outside
    `work`, and for names that a program could take as an option.
    """
    if not _HARDWARE.fullmatch(hardware):
        raise ValueError(f"{hardware!r} is not the name of a chip, such as AX650")
    arguments = ["build", "--target_hardware", hardware, "--input", _inside(work, onnx)]
    arguments += ["--output_dir", _inside(work, output_dir), "--config", _inside(work, config)]
    if tool.image is None:
        return [tool.program, *arguments]
    return container.run_command(
        tool.program, tool.image, arguments, work=work.resolve(), name=name, environment=_ENVIRONMENT
    )


def build(
    onnx: Path,
    config: Path,
    calibration: Path,
    output_dir: Path,
    *,
    parse: Callable[[Path], T],
    tool: Tool | None = None,
    timeout: float = BUILD_SECONDS,
    progress: bool = True,
) -> Build[T]:
    """Compiles an ONNX file into `output_dir`, laid out as in `build_folder`, and returns what came of it.

    `config` is any file that `config.read` takes; the copy that the tool gets names the copy of
    `calibration`. `parse` reads the finished log (`helpers.logs.build_log`, which this room may not import).
    A model counts only when the tool exits with 0, prints its success line and leaves the file. Whatever
    happens, Ctrl-C included, the container is stopped, its files belong to the caller, and the log stays.
    Raises Pulsar2Missing, BuildFailed (its `log` can be parsed as well), and ValueError for a name that could
    be taken as an option.
    """
    tool = tool or find()
    folder = build_folder.fill(output_dir.resolve(), onnx=onnx, config=config, calibration=calibration)
    name = f"pulsar2-build-{os.getpid()}-{secrets.token_hex(4)}"
    argv = command(
        tool,
        onnx=folder.onnx,
        config=folder.config,
        output_dir=folder.output,
        work=folder.root,
        hardware=folder.hardware,
        name=name,
    )
    bar = StageBar(progress=progress)
    status = None
    try:
        status = process.stream(
            argv,
            cwd=folder.root,
            environment={**os.environ, **_ENVIRONMENT},
            log=folder.log,
            seconds=timeout,
            on_line=bar.read,
        )
    except subprocess.TimeoutExpired:
        raise BuildFailed(
            f"Pulsar2 was stopped after {timeout:g} s at the stage {bar.stage!r}: give it a longer "
            f"`timeout`, or see in {folder.log} what it was doing",
            log=folder.log,
            error_line=build_folder.last_error(folder.log),
        ) from None
    except OSError as error:
        raise BuildFailed(in_words(error, folder.log), log=folder.log) from error
    finally:
        with process.unhurried():
            bar.close()
            if tool.image is not None:
                if status != 0:
                    container.stop(tool.program, name)
                container.hand_back(tool.program, tool.image, folder=folder.output, name=f"{name}-chown")
    _require_model(folder, status=status, marker=bar.finished)
    return Build(
        axmodel=folder.axmodel,
        output=folder.output,
        log=folder.log,
        command=argv,
        seconds=sum(bar.seconds.values()),
        stage_seconds=bar.seconds,
        versions=_versions(tool) | build_folder.compiler_of(folder.axmodel),
        parsed=parse(folder.log),
    )


def _require_model(folder: BuildFolder, *, status: int, marker: bool) -> None:
    line = build_folder.last_error(folder.log)
    if status in (137, -9):
        reason = f"was killed, most often for lack of memory: {line}"
    elif status != 0:
        reason = f"failed with exit status {status}: {line}"
    elif not marker:
        reason = f"ended without its closing line `fuse N subgraph(s)`: {line}"
    elif not folder.axmodel.is_file() or folder.axmodel.stat().st_size == 0:
        reason = f"reported success but left no {folder.axmodel.name} in {folder.output}"
    else:
        return
    raise BuildFailed(f"Pulsar2 {reason} (whole log: {folder.log})", log=folder.log, error_line=line)


def _native_version(program: str) -> str | None:
    answer = process.probe([program, "version"], seconds=_VERSION_SECONDS)
    found = re.search(r"^version:\s*(\S+)", answer.out, re.MULTILINE) if answer else None
    return found[1] if found else None


def _versions(tool: Tool) -> dict[str, str]:
    image = tool.image
    known = {"pulsar2": tool.version, "image": image and image.name, "image_id": image and image.id}
    return {key: value for key, value in known.items() if value}


def _inside(work: Path, path: Path) -> str:
    try:
        relative = path.resolve().relative_to(work.resolve())
    except ValueError:
        raise ValueError(
            f"{path} lies outside {work}, and a container would not see it: move it there"
        ) from None
    return "/".join(build_folder.plain_name(part) for part in relative.parts) or "."
