"""A model run on a real board over ssh: look at the board, copy, run, bring the logs back, clean up."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from helpers.board import remote_link
from helpers.board.here import HereRun, run_here
from helpers.board.link_failures import BoardError
from helpers.board.remote_board import Board
from helpers.logs.parse_log import parse
from helpers.logs.run_record import BoardRun

__all__ = ["Board", "BoardError", "BoardInfo", "BoardRuns", "HereRun", "check", "run", "run_here"]

_CLASSIFIERS = ("sample_npu_classification", "ax_classification")
_RUN_MODELS = ("ax_run_model",)
_TOOL_FOLDER = "/opt/bin"  # often not on the PATH of a command given to ssh
_PROC = "/proc/ax_proc"
_VENDOR_MODEL = "/opt/data/npu/models/mobilenetv2.axmodel"
_PLAIN = re.compile(r"[^A-Za-z0-9._+-]")

# $1: the driver's folder; $2: a model; then programs to look for, each kind ended by ";".
_LOOK = """
proc=$1 model=$2
shift 2
echo "machine=$(uname -m)"
read -r version < "$proc/version" && echo "sdk=$version"
if [ -f "$model" ]; then echo "model=$model"; fi
kind=classifier
for program; do
  if [ "$program" = ";" ]; then kind=run_model
  elif path=$(command -v "$program"); then echo "$kind=$path"; fi
done
cat "$proc/mem_cmm_info"
:
"""


@dataclass(frozen=True)
class BoardInfo:
    """What was found on a board; None: not found, or not said.

    `classifier` and `run_model` are paths there. `engine` and `tool` are the versions that `ax_run_model`
    prints, `sdk` the first line of the driver's version file. `free_cmm_bytes` is memory that the NPU can
    still use. `trial` is one run of the vendor's own model: whether the NPU works at all.
    """

    machine: str | None
    classifier: str | None
    run_model: str | None
    sdk: str | None
    free_cmm_bytes: int | None
    engine: str | None = None
    tool: str | None = None
    trial: BoardRun | None = None


@dataclass(frozen=True)
class BoardRuns:
    """Two runs of one model: `classification` has the scores (None: no image), `run_model` the statistics.

    `ok` of each says whether its closing timing line came; its `source` is its log. `logs` are both files.
    """

    board: BoardInfo
    classification: BoardRun | None
    run_model: BoardRun
    logs: tuple[Path, ...]


def check(board: Board, *, timeout: float = 60, progress: bool = True) -> BoardInfo:
    """Which programs and versions a board has, how much NPU memory is free, and whether the NPU runs.

    Documented (AXERA-TECH/ax650n_bsp_sdk; pulsar2-docs-en, other_tools/ax_run_model): the programs' names,
    /opt/bin, the vendor's model, and that `ax_run_model` prints the engine's version; it does so only for a
    model, so without the vendor's the versions stay None. Assumed, since no source was found: that
    /proc/ax_proc/version holds the SDK's version, and that /proc/ax_proc/mem_cmm_info has `remain=…KB`; None
    where they do not.

    Raises BoardError when the board cannot be reached, or the trial is not over after `timeout` seconds.
    """
    with tqdm(desc=f"looking at {board.name}", total=2, disable=not progress, leave=False) as bar:
        info, model = _look(board)
        if info.run_model is None or model is None:
            return info
        bar.update()
        with remote_link.scratch_log() as log, remote_link.far_folder(board) as folder:
            arguments = ("-m", model, "-r", "1")
            status = remote_link.run_in_folder(
                board, folder, info.run_model, *arguments, log=log, seconds=timeout, tick=bar.refresh
            )
            trial = _record(log, program=info.run_model, status=status, source=f"trial on {board.name}")
    return dataclasses.replace(info, engine=trial.versions.engine, tool=trial.versions.tool, trial=trial)


def run(
    board: Board,
    axmodel: Path,
    image: Path | None = None,
    *,
    out: Path,
    repeats: int = 100,
    warmup: int = 5,
    batch: int = 0,
    affinity: int = 1,
    vnpu: int = 0,
    size: tuple[int, int] = (224, 224),
    timeout: float = 600,
    progress: bool = True,
) -> BoardRuns:
    """Runs a compiled model on a board: with the classification sample on `image`, then with `ax_run_model`.

    The sample takes batch 1 only and always warms up five times; without an image it is left out. `repeats`
    holds for both, `warmup`, `batch` (0: the engine chooses), `affinity` (a mask of NPU cores, 1 to 7) and
    `vnpu` (0 disabled, 1 standard, 2 big-little, 3 little-big) for `ax_run_model`. With `vnpu` 0 the only
    affinity is 1. `size` is the model's [height, width]; `timeout` is in seconds, for each copy and each run.

    The logs go to `out`/classification.log and `out`/run_model.log as they come, so that a run cut short
    leaves what it printed. A program that fails gives a record with `ok` False, which says why. The folder on
    the board is removed whatever happens. The options: AXERA-TECH/ax-samples,
    ax_classification_steps.cc; pulsar2-docs-en, other_tools/ax_run_model.

    Raises BoardError when the board cannot be reached, lacks a program or space, or a run is not over in
    time; FileNotFoundError for a missing model or image; ValueError for numbers out of range.
    """
    _require_range(repeats=(repeats, 1, 10**9), warmup=(warmup, 0, 10**9), batch=(batch, 0, 10**4))
    _require_range(affinity=(affinity, 1, 7), vnpu=(vnpu, 0, 3), height=(size[0], 1, 10**5))
    _require_range(width=(size[1], 1, 10**5))
    files = [axmodel] if image is None else [axmodel, image]
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}: build the model first, or correct the path")
    out.mkdir(parents=True, exist_ok=True)
    names = _far_names(files)
    classification = None
    with tqdm(total=len(files) * 2 + 1, unit="step", disable=not progress, leave=False) as bar:

        def step(text: str) -> None:
            bar.set_description_str(f"{board.name}: {text}")

        step("looking at the board")
        info, _ = _look(board)
        run_model = _required(info.run_model, board, "ax_run_model", "run_model")
        classifier = "" if image is None else _required(info.classifier, board, _CLASSIFIERS[0], "classifier")
        bar.update()
        with remote_link.far_folder(board) as folder:
            needed = sum(path.stat().st_size for path in files)
            if folder.free_bytes is not None and folder.free_bytes < needed:
                raise BoardError(
                    remote_link.full_disk(board, folder.path, size=needed, free=folder.free_bytes)
                )
            for path, name in zip(files, names, strict=True):
                step(f"copying {path.name}")
                remote_link.copy(board, path, folder, name, seconds=timeout, tick=bar.refresh)
                bar.update()

            def measure(program: str, arguments: list[str], log: Path) -> BoardRun:
                step(f"running {program}")
                status = remote_link.run_in_folder(
                    board, folder, program, *arguments, log=log, seconds=timeout, tick=bar.refresh
                )
                bar.update()
                return _record(log, program=program, status=status, source=str(log))

            logs = [out / "run_model.log"]
            if image is not None:
                logs.insert(0, out / "classification.log")
                arguments = ["-m", names[0], "-i", names[1], "-g", f"{size[0]},{size[1]}", "-r", str(repeats)]
                classification = measure(classifier, arguments, logs[0])
            arguments = ["-m", names[0], "-r", str(repeats), "-w", str(warmup), "-a", str(affinity)]
            arguments += ["-v", str(vnpu), "-b", str(batch)]
            measured = measure(run_model, arguments, logs[-1])
    return BoardRuns(info, classification, measured, tuple(logs))


def _look(board: Board) -> tuple[BoardInfo, str | None]:
    """The board without its engine's versions, and the vendor's model if it is there."""
    classifiers = _candidates(board.classifier, _CLASSIFIERS)
    run_models = _candidates(board.run_model, _RUN_MODELS)
    text = remote_link.ask(board, _LOOK, _PROC, _VENDOR_MODEL, *classifiers, ";", *run_models)
    said: dict[str, str] = {}
    for found in re.finditer(r"^(machine|sdk|model|classifier|run_model)=(.+)$", text, re.MULTILINE):
        said.setdefault(found[1], found[2].strip())  # the first program found is the one used
    remain = re.search(r"\bremain=(\d{1,15})KB", text)
    info = BoardInfo(
        machine=said.get("machine"),
        classifier=said.get("classifier"),
        run_model=said.get("run_model"),
        sdk=said.get("sdk"),
        free_cmm_bytes=int(remain[1]) * 1024 if remain else None,
    )
    return info, said.get("model")


def _candidates(given: str | None, names: tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if given else tuple(path for name in names for path in (name, f"{_TOOL_FOLDER}/{name}"))


def _required(path: str | None, board: Board, name: str, keyword: str) -> str:
    if path is None:
        raise BoardError(
            f"{board.name} has no {getattr(board, keyword) or name}: install it there, or say where it is "
            f"with Board({keyword}='/path/to/program')"
        )
    return path


def _record(log: Path, *, program: str, status: int, source: str) -> BoardRun:
    """The last run in a log. The closing line alone decides; another exit status than 0 is only told."""
    records = list(parse(log, source=source))
    runs = [record for record in records if isinstance(record, BoardRun)]
    record = runs[-1] if runs else BoardRun(source=source, errors=["nothing of a run was printed"])
    record.program = record.program or program.rpartition("/")[2]
    if status != 0:
        ended = f"signal {status - 128}" if 128 < status < 160 else f"exit status {status}"
        (record.warnings if record.ok else record.errors).append(f"the program ended with {ended}")
    return record


def _far_names(files: list[Path]) -> list[str]:
    """Names on the board that no shell or program can misread, as near to the user's as that allows."""
    names: list[str] = []
    for path in files:
        name = _PLAIN.sub("_", path.name)[-200:]
        while name[0] in ".-" or name in names:
            name = f"_{name}"
        names.append(name)
    return names


def _require_range(**numbers: tuple[int, int, int]) -> None:
    for name, (value, low, high) in numbers.items():
        if not low <= value <= high:
            raise ValueError(f"{name}={value}: give a number from {low} to {high}")
