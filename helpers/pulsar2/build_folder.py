"""The folder of one Pulsar2 build: what goes in, and what is read from it afterwards.

    inputs/     copies of the ONNX file, the configuration and the calibration archive
    output/     what Pulsar2 writes: compiled.axmodel, quant/, frontend/, compiler/
    build.log   what Pulsar2 printed, byte for byte, written while it runs

It is the tool's current directory and all that a container sees of this computer, so the paths in the
configuration are relative to it.
"""

import mmap
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from helpers.files import in_words
from helpers.pulsar2 import config as configs

_TAIL_BYTES = 1 << 16
_LINE_LENGTH = 300
_ERROR_LINE = re.compile(
    r"^(?:[\w.]*\.)?\w*(?:Error|Exception|Exit|Interrupt)(?:: |$)|ErrorCode\.|\| (?:ERROR|CRITICAL) "
    r"|^Killed$|Sentinel key not found|cannot execute binary file|^docker: "
)


class BuildFailed(RuntimeError):
    """A build that gave no model. `log` is what was printed, or None when the tool was not started."""

    def __init__(self, message: str, *, log: Path | None = None, error_line: str | None = None) -> None:
        super().__init__(message)
        self.log = log
        self.error_line = error_line


@dataclass(frozen=True)
class BuildFolder:
    """The paths of one build (layout above), and the chip it is for."""

    root: Path
    onnx: Path
    config: Path
    calibration: Path
    axmodel: Path
    hardware: str

    @property
    def output(self) -> Path:
        """Where Pulsar2 writes."""
        return self.axmodel.parent

    @property
    def log(self) -> Path:
        """What Pulsar2 printed."""
        return self.root / "build.log"


def fill(root: Path, *, onnx: Path, config: Path, calibration: Path) -> BuildFolder:
    """Copies the inputs into `root` and removes an older model, which must not pass for the new one.

    Every input config gets the path of the copied archive. Raises BuildFailed when an input is missing or
    refused or the folder cannot be written, ValueError for a name that could be taken as an option.
    """
    try:
        settings = configs.read(config)
    except (configs.ConfigError, OSError) as error:
        raise BuildFailed(str(error)) from error
    folder = BuildFolder(
        root=root,
        onnx=root / "inputs" / plain_name(onnx.name),
        config=root / "inputs" / plain_name(f"{config.stem}.json"),
        calibration=root / "inputs" / plain_name(calibration.name),
        axmodel=root / "output" / plain_name(settings.output_name),
        hardware=settings.target_hardware,
    )
    for source, what in ((onnx, "ONNX file"), (calibration, "calibration archive")):
        if not source.is_file():
            raise BuildFailed(f"the {what} {source} does not exist: make it first")
    if len({folder.onnx, folder.config, folder.calibration}) < 3:
        raise BuildFailed(f"two inputs are named alike ({onnx.name}, {calibration.name}): rename one")
    datasets = {entry.calibration_dataset for entry in settings.quant.input_configs}
    if len(datasets) != 1:
        raise BuildFailed(f"{config}: quant.input_configs must name one archive, not {len(datasets)}")

    archive = folder.calibration.relative_to(root).as_posix()
    entries = tuple(
        entry.model_copy(update={"calibration_dataset": archive}) for entry in settings.quant.input_configs
    )
    quant = settings.quant.model_copy(update={"input_configs": entries})
    try:
        folder.output.mkdir(parents=True, exist_ok=True)
        folder.onnx.parent.mkdir(exist_ok=True)
        folder.axmodel.unlink(missing_ok=True)
        for source, copy in ((onnx, folder.onnx), (calibration, folder.calibration)):
            if not (copy.exists() and copy.samefile(source)):
                copy.unlink(missing_ok=True)  # an older copy may be a link to a file of somebody else
                shutil.copyfile(source, copy)
        configs.write(settings.model_copy(update={"quant": quant}), folder.config)
    except OSError as error:
        raise BuildFailed(in_words(error, root)) from error
    return folder


def plain_name(name: str) -> str:
    """`name` itself; raises ValueError when a program could take it as an option, or when it is a path."""
    if name.startswith("-") or not name.isprintable() or Path(name).name != name:
        raise ValueError(f"{name!r} could be taken as an option or as another path: rename it")
    return name


def last_error(log: Path) -> str:
    """The line of a build log that names its error: the last that looks like one, else the last line."""
    with log.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        tail = file.read().decode("utf-8", errors="replace")
    lines = [line.strip() for line in re.split(r"[\r\n]+", tail) if line.strip()]
    errors = [line for line in lines if _ERROR_LINE.search(line)]
    line = (errors or lines or ["it printed nothing"])[-1]
    return line if len(line) <= _LINE_LENGTH else line[: _LINE_LENGTH - 1] + "…"


def compiler_of(axmodel: Path) -> dict[str, str]:
    """Release and commit of the compiler, from the doc string of a model file; empty where it has none.

    The file is an ONNX container whose text ends in `Pulsar2 Version:  4.0`, `Pulsar2 Commit: 64a0e58f`
    (seen in published models); these are searched as bytes, since the weights need not be parsed.
    """
    with axmodel.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        release = re.search(rb"Pulsar2 Version:\s*([\w.-]+)\n", data)
        commit = re.search(rb"Pulsar2 Commit:\s*([0-9a-f]+)", data)
        found = {"pulsar2": release, "commit": commit}
        return {key: match[1].decode() for key, match in found.items() if match}
