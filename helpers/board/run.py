"""A compiled model run on a board over ssh, its log brought back and read."""

import io
import re
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from helpers import artifacts
from helpers.board.ssh import Board, BoardError, session
from helpers.files import PHOTO
from helpers.logs.parse_log import parse
from helpers.logs.records import BoardRun

_CLASSIFIERS = ("sample_npu_classification", "ax_classification")
_RUN_MODELS = ("ax_run_model",)
_PROC = "/proc/ax_proc"
_VENDOR_MODEL = "/opt/data/npu/models/mobilenetv2.axmodel"
_WARMUP = 5  # as many as the classifier always makes


@dataclass(frozen=True)
class BoardRuns:
    """Runs of one model: that of the classification sample has the scores, `ax_run_model`'s the statistics.

    `ok` of each says whether its closing timing line came. `missing` are programs that the board does not
    have. `log` is what was printed, each run after a line that shows its command.
    """

    records: tuple[BoardRun, ...]
    missing: tuple[str, ...]
    log: Path


@dataclass(frozen=True)
class BoardInfo:
    """What was found on a board; None: not found, or not said.

    `programs` are paths there, `sdk` is the first line of the driver's version file, `free_cmm_bytes`
    memory that the NPU can still use. `trial` is one run of the vendor's own model: whether the NPU works
    at all, and the engine's versions.
    """

    programs: tuple[str, ...]
    sdk: str | None
    free_cmm_bytes: int | None
    trial: BoardRun | None


def run(
    board: Board,
    axmodel: Path,
    *,
    out: Path,
    photo: Path | None = None,
    image_size: int = 224,
    repeats: int = 100,
    affinity: int = 1,
    timeout: float = 600,
    progress: bool = True,
) -> BoardRuns:
    """Runs a compiled model: with the classification sample on `photo`, then with `ax_run_model`.

    Without a photo the sample is left out, and so is a program that the board does not have.
    `image_size` is the side of the model's input in pixels, `repeats` holds for both; `affinity` (a
    mask of NPU cores, 1 to 7) for `ax_run_model`; `timeout` is in seconds, for all of it. The options:
    AXERA-TECH/ax-samples, ax_classification_steps.cc; pulsar2-docs-en, other_tools/ax_run_model.

    The log goes to `out`/board.log as it comes, so that a run cut short leaves what it printed. A
    program that fails gives a record with `ok` False, which says why. Nothing stays on the board,
    whatever happens.

    Raises BoardError when the board cannot be used, has none of the programs, or is not done in time;
    FileNotFoundError for a missing model or photo; ValueError for numbers out of range.
    """
    if repeats < 1 or not 1 <= affinity <= 7:
        raise ValueError(f"repeats={repeats}, affinity={affinity}: give 1 or more, and a mask from 1 to 7")
    files = {}
    for path in filter(None, (axmodel, photo)):
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}: build the model first, or correct the path")
        files[re.sub(r"[^A-Za-z0-9._+-]|^[.-]", "_", path.name[-100:])] = path
    wanted: dict[tuple[str, ...], str] = {}
    model = next(iter(files))
    if photo is not None:
        wanted[_CLASSIFIERS] = f"-m {model} -i {[*files][-1]} -g {image_size},{image_size} -r {repeats}"
    wanted[_RUN_MODELS] = f"-m {model} -r {repeats} -w {_WARMUP} -a {affinity}"
    script = "\n".join(
        f"for program in {' '.join(programs)}; do\n"
        f"  if command -v $program >/dev/null; then run $program {arguments}; break; fi\ndone"
        for programs, arguments in wanted.items()
    )
    out.mkdir(parents=True, exist_ok=True)
    log = out / "board.log"
    with tqdm(desc=f"{board.name}: sending {axmodel.name}", disable=not progress, leave=False) as bar:

        def show(line: bytes) -> None:
            if line.startswith(b"# "):
                bar.set_description_str(f"{board.name}: {line[2:].decode(errors='replace').rstrip()}")
            bar.refresh()

        try:
            session(board, script, files=files, log=log, seconds=timeout, on_line=show)
        except BoardError as error:
            printed = log.is_file() and log.stat().st_size
            raise BoardError(f"{error} (log so far: {log})" if printed else str(error)) from error
    runs = _records(log)
    missing = tuple(programs[0] for programs in wanted if not runs.keys() & set(programs))
    if not runs:
        raise BoardError(
            f"{board.name} has no {' and no '.join(missing)}: install it there (AXERA-TECH/ax-samples, or "
            "the board's SDK), or link yours into /opt/bin"
        )
    return BoardRuns(tuple(runs.values()), missing, log)


def run_once(board: Board, axmodel: Path, out: Path) -> artifacts.Made:
    """`run` as a step: `board.log` and `board.json` in `out`, or those already there of this model and board.

    Raises GateFailed where a program did not go well, and what `run` raises.
    """

    def work(scratch: Path) -> artifacts.Facts:
        records = run(board, axmodel, out=scratch, photo=PHOTO).records
        if wrong := [error for record in records for error in record.errors]:
            raise artifacts.GateFailed(f"the run on {board.name} did not go well: {'; '.join(wrong)}")
        return {"runs": [record.to_json() | {"source": "board.log"} for record in records]}

    return artifacts.step(
        "board",
        out,
        work,
        files=["board.log"],
        arguments={"board": board.name},
        inputs={"axmodel": axmodel, "photo": PHOTO},
    )


def check(board: Board, *, timeout: float = 60) -> BoardInfo:
    """Which programs and versions a board has, how much NPU memory is free, and whether the NPU runs.

    Documented (AXERA-TECH/ax650n_bsp_sdk): the programs' names, /opt/bin, the vendor's model. Assumed,
    since no source was found: that /proc/ax_proc/version holds the SDK's version, and that
    /proc/ax_proc/mem_cmm_info has `remain=…KB`. Raises BoardError when the board cannot be used, or is
    not done after `timeout` seconds.
    """
    model = shlex.quote(_VENDOR_MODEL)
    script = (
        f'read -r sdk < {_PROC}/version && echo "sdk=$sdk"\n'
        f"cat {_PROC}/mem_cmm_info\n"
        f"for program in {' '.join(_CLASSIFIERS + _RUN_MODELS)}; do\n"
        '  path=$(command -v $program) && echo "program=$path"\ndone\n'
        f"[ -f {model} ] && command -v {_RUN_MODELS[0]} >/dev/null && run {_RUN_MODELS[0]} -m {model} -r 1"
    )
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        session(board, script, files={}, log=log, seconds=timeout, on_line=lambda _: None)
        text = log.read_text(errors="replace")
        trial = _records(log).get(_RUN_MODELS[0])
    sdk = re.search(r"^sdk=(.*\S)", text, re.MULTILINE)
    remain = re.search(r"\bremain=(\d{1,15})KB", text)
    return BoardInfo(
        programs=tuple(re.findall(r"^program=(.+)$", text, re.MULTILINE)),
        sdk=sdk[1] if sdk else None,
        free_cmm_bytes=int(remain[1]) * 1024 if remain else None,
        trial=trial,
    )


def _records(log: Path) -> dict[str, BoardRun]:
    """The runs of a session's log by program. The closing line decides; the exit status is only told."""
    runs = {}
    text = log.read_text(errors="replace")
    for found in re.finditer(r"^# (\S+) -m (?s:.*?)(?=^# exit status (\d+)$)", text, re.MULTILINE):
        record = list(parse(io.BytesIO(found[0].encode()), source=str(log)))[-1]
        assert isinstance(record, BoardRun)
        status = int(found[2])
        if status:
            ended = f"signal {status - 128}" if 128 < status < 160 else f"exit status {status}"
            (record.warnings if record.ok else record.errors).append(f"the program ended with {ended}")
        runs[found[1]] = record
    return runs
