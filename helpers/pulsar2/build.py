"""A build with Pulsar2: show its command, run it, and say plainly what failed.

The tool runs natively or in its docker image (pulsar2-docs-en, quick_start_prepare and quick_start_ax650),
which asks something of its caller (AXERA-TECH/Magnetar, magnetar/docker_util.py; onnxsim/onnxsim,
scripts/axera/pulsar2_docker.py): it must run as root, since its licence files belong to root; from 7.0 on it
starts bash itself, so its entry point is replaced; it goes on when the docker client is killed.

A build has a folder, the tool's current directory and all that a container sees of this computer:

    inputs/     copies of the ONNX file, the configuration and the calibration archive
    output/     what Pulsar2 writes: compiled.axmodel, quant/, frontend/, compiler/
    build.log   what Pulsar2 printed, byte for byte, written while it runs
"""

import io
import os
import secrets
import shlex
import shutil
import subprocess
import time
import warnings
from dataclasses import asdict
from pathlib import Path

from tqdm.auto import tqdm

from helpers import artifacts, process
from helpers.logs.build import STAGES, BuildReader, is_progress
from helpers.logs.records import BuildLog
from helpers.logs.text import iter_lines
from helpers.pulsar2 import config as configs
from helpers.pulsar2.schema import BuildConfig
from helpers.pulsar2.tool import Tool

BUILD_SECONDS = 3600.0
_STOP_SECONDS = 20.0
_MOUNT = "/data"  # where the image's own working directory is
# Rich wraps its tables to 80 columns on a pipe; and a pipe would hold lines back.
_ENVIRONMENT = {"COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
# Root's files go to the owner of the work folder. Rootless docker shows the container that owner as root, so
# there nothing is given away.
_HAND_BACK = ("chown", "-hR", "--reference=.")
_LONGEST = 300  # characters of what was printed that a message repeats


class BuildFailed(RuntimeError):
    """A build that gave no model; the message names the stage, the error and the log."""


def build_command(
    tool: Tool,
    *,
    onnx: Path,
    config: Path,
    output_dir: Path,
    work: Path,
    target_hardware: str = "AX650",
    name: str = "pulsar2-build",
) -> list[str]:
    """The argument list of `pulsar2 build`, to be run in the folder `work`; `shlex.join` shows it.

    The three paths must lie in `work`: a container sees nothing else. `name` is the container's. With
    DOCUMENTED as the tool it shows the command where none is installed. Raises ValueError for a path outside
    `work` or one that a program would take for something else.
    """
    output = _inside(work, output_dir)
    arguments = ["build", "--target_hardware", target_hardware, "--input", _inside(work, onnx)]
    arguments += ["--output_dir", output, "--config", _inside(work, config)]
    if tool.image is None:
        return [tool.program, *arguments]
    mounted = work.resolve()
    if ":" in str(mounted):
        raise ValueError(f"{work}: docker cannot mount a folder with a colon in its name: choose another one")
    variables = [part for key, value in _ENVIRONMENT.items() for part in ("--env", f"{key}={value}")]
    script = f'pulsar2 "$@"; s=$?; {shlex.join([*_HAND_BACK, output])}; exit $s'
    return [
        *(tool.program, "run", "--rm", "--name", name, "--volume", f"{mounted}:{_MOUNT}"),
        *("--workdir", _MOUNT, *variables, "--entrypoint", "sh", tool.image, "-c", script, "pulsar2"),
        *arguments,
    ]


def compile_model(
    onnx: Path, config: Path, calibration: Path, out: Path, *, tool: Tool, timeout: float = BUILD_SECONDS
) -> artifacts.Made:
    """Writes `compiled.axmodel`, `build.log` and `build.json` into `out`, or returns those already there.

    `config` is any file that `configs.read` takes; the copy that the tool gets names the copy of
    `calibration`. A model counts only when the tool exits with 0, prints its success line and leaves the
    file. Whatever happens, Ctrl-C included, the container is stopped, its files belong to the caller, and
    the log stays in `out`/build. The facts are what the log says; it warns where that lacks a batch which the
    configuration names. Raises BuildFailed, ConfigError, OSError, and ValueError for a path that cannot be
    given to the tool.
    """

    def work(scratch: Path) -> artifacts.Facts:
        record, axmodel, log = _build(onnx, config, calibration, out.resolve() / "build", tool, timeout)
        shutil.move(axmodel, scratch / "compiled.axmodel")
        shutil.copyfile(log, scratch / "build.log")
        return asdict(record) | {"source": "build.log"}

    return artifacts.step(
        "build",
        out,
        work,
        files=["compiled.axmodel", "build.log"],
        arguments={"version": tool.version, "image": tool.image},
        inputs={"onnx": onnx, "config": config, "calibration": calibration},
    )


def _build(
    onnx: Path, config: Path, calibration: Path, folder: Path, tool: Tool, timeout: float
) -> tuple[BuildLog, Path, Path]:
    """A build in `folder`, laid out as above: what its log says, the model, and the log."""
    settings = _settings(config, calibration=f"inputs/{calibration.name}")
    inputs, output, log = folder / "inputs", folder / "output", folder / "build.log"
    for made in (inputs, output):
        made.mkdir(parents=True, exist_ok=True)
    model = shutil.copyfile(onnx, inputs / onnx.name)
    shutil.copyfile(calibration, inputs / calibration.name)
    written = inputs / f"{config.stem}.json"
    written.write_text(configs.to_json(settings), encoding="utf-8")
    axmodel = output / settings.output_name
    axmodel.unlink(missing_ok=True)  # an older model must not pass for the new one
    name = f"pulsar2-build-{os.getpid()}-{secrets.token_hex(4)}"
    command = build_command(
        tool,
        onnx=model,
        config=written,
        output_dir=output,
        work=folder,
        target_hardware=settings.target_hardware,
        name=name,
    )

    follower = _Follower(BuildReader(source=str(log)))
    status = None
    try:
        status = process.stream(
            command,
            cwd=folder,
            environment={**os.environ, **_ENVIRONMENT},
            log=log,
            seconds=timeout,
            on_line=follower.read,
        )
    except subprocess.TimeoutExpired:
        pass
    finally:
        with process.unhurried():
            if tool.image is not None and status != 0:
                _stop(tool.program, name)
            record = follower.close()
    if status is None:
        reason = f"was stopped after {timeout:g} s, give it a longer `timeout`"
    elif status in (137, -9):
        reason = "was killed, most often for lack of memory"
    elif status != 0:
        reason = f"failed with exit status {status}"
    elif not record.ok:
        reason = "ended without its closing line `fuse N subgraph(s)`"
    elif not (axmodel.is_file() and axmodel.stat().st_size):
        reason = f"reported success but left no {axmodel.name} in {output}"
    else:
        if record.batches and (lacking := {*settings.compiler.static_batch_sizes} - {*record.batches}):
            text = f"batch {sorted(lacking)} of static_batch_sizes was not built, only {record.batches}"
            warnings.warn(f"{text}: export the graph with that batch instead", stacklevel=4)
        return record, axmodel, log
    raise BuildFailed(
        f"Pulsar2 {reason}; at the stage {follower.reader.stage!r}: {follower.last_words(record)} "
        f"(whole log: {log})"
    )


class _Follower:
    """Reads what a build prints while it prints it, and draws the bar of its stages."""

    def __init__(self, reader: BuildReader) -> None:
        self.reader = reader
        self._last = "it printed nothing"
        self._bar = tqdm(total=len(STAGES), desc=STAGES[0], unit="stage")

    def read(self, line: bytes) -> None:
        """Takes the next line; none only lets the bar show the time that passed."""
        for text in iter_lines(io.BytesIO(line)):
            if not text:
                self.reader.pause()
            elif not is_progress(text):
                self._last = text.strip() or self._last
                self.reader.feed(text)
                # a stage that comes again moves nothing back
                self._bar.n = max(self._bar.n, STAGES.index(self.reader.stage))
                self._bar.set_description_str(self.reader.stage, refresh=False)
        self._bar.refresh()

    def close(self) -> BuildLog:
        """Ends the bar; what the log says."""
        record = self.reader.finish()
        if record.ok:
            self._bar.n = len(STAGES)
            self._bar.set_description_str("done")
        self._bar.close()
        return record

    def last_words(self, record: BuildLog) -> str:
        """The error with its advice, or the last line where nothing looks like an error; one line."""
        error = record.error
        named = (error.code, error.exception, error.message) if error else (self._last,)
        said = " ".join(": ".join(part for part in named if part).split())[:_LONGEST]
        return f"{said}. {error.advice}" if error and error.advice else said


def _settings(config: Path, *, calibration: str) -> BuildConfig:
    """The configuration with this archive for every input; ConfigError where no build can come of it."""
    settings = configs.read(config)
    entries = settings.quant.input_configs
    if (count := len({entry.calibration_dataset for entry in entries})) != 1:
        raise configs.ConfigError(f"{config.name}: quant.input_configs must name one archive, not {count}")
    renamed = tuple(entry.model_copy(update={"calibration_dataset": calibration}) for entry in entries)
    quant = settings.quant.model_copy(update={"input_configs": renamed})
    return settings.model_copy(update={"quant": quant})


def _inside(work: Path, path: Path) -> str:
    try:
        relative = path.resolve().relative_to(work.resolve()).as_posix()
    except ValueError:
        raise ValueError(
            f"{path} lies outside {work}, and a container would not see it: move it there"
        ) from None
    if relative.startswith("-"):
        raise ValueError(f"{relative!r} would be taken for an option: rename it")
    return relative


def _stop(docker: str, name: str) -> None:
    """Removes a container, its files handed back; warns when docker does not confirm that it ended."""
    for wait in (0.0, 0.5):  # a killed client's request may still be on its way to the daemon
        time.sleep(wait)
        process.probe([docker, "exec", name, *_HAND_BACK, "output"], seconds=_STOP_SECONDS)
        removed = process.probe([docker, "rm", "--force", name], seconds=_STOP_SECONDS)
        if removed is None:
            break
    if removed is None or (removed.returncode != 0 and "No such container" not in removed.stderr):
        warnings.warn(
            f"docker did not confirm that the container {name} ended: run `docker rm --force {name}`",
            stacklevel=2,
        )
