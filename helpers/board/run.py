"""A compiled model run on a board, or on a card of this computer, its log brought back and read."""

import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from helpers import artifacts
from helpers.board.ssh import Board, BoardError, session
from helpers.files import PHOTO
from helpers.graph.graph import Axes, axes
from helpers.graph.preprocess import SHORT_SIDE, Pixels
from helpers.logs.failures import advise
from helpers.logs.parse_log import parse
from helpers.logs.records import BoardRun

_CLASSIFIERS = ("sample_npu_classification", "ax_classification")
_RUN_MODELS = ("ax_run_model", "axcl_run_model")  # the second on a computer with a card in it
_WARMUP = 5  # as many as the classifier always makes


@dataclass(frozen=True)
class BoardRuns:
    """Runs of one model: that of the classification sample has the scores, `ax_run_model`'s the statistics.

    `ok` of each says whether its closing timing line came; times are of a run of `images`. `missing` are
    programs that the board does not have. `log` is what was printed, each run after a line that shows its
    command.
    """

    records: tuple[BoardRun, ...]
    images: int
    missing: tuple[str, ...]
    log: Path


def run(
    board: Board,
    axmodel: Path,
    *,
    out: Path,
    photo: Path | None = None,
    repeats: int = 100,
    batch: int = 0,
    affinity: int = 0,
    timeout: float = 600,
) -> BoardRuns:
    """Runs a compiled model: with the classification sample on `photo`, then with `ax_run_model`.

    A program that the board does not have is left out, and so is the sample without a photo, for a model of
    several images, since it feeds one, for one of more pixels than the SHORT_SIDE that it cuts from, and with
    an affinity. `repeats` holds for both; for `ax_run_model`, `batch` is that of a run (0: it takes the
    model's own), and `affinity` a mask of cores, 1 to 7: the NPU is then split in three (its option -v 1), so
    that a model for NPU1 runs on one of those named; 0: they work together. `timeout` is in seconds, for all
    of it. The options: AXERA-TECH/ax-samples, ax_classification_steps.cc; pulsar2-docs-en,
    other_tools/ax_run_model.

    The log goes to `out`/board.log as it comes, so that a run cut short leaves what it printed. A
    program that fails gives a record with `ok` False, which says why. Nothing stays on the board,
    whatever happens.

    Raises BoardError when the board cannot be used, has none of the programs, or is not done in time;
    FileNotFoundError for a missing model or photo; ValueError for numbers out of range.
    """
    if repeats < 1 or batch < 0 or not 0 <= affinity <= 7:
        raise ValueError(
            f"repeats={repeats}, batch={batch}, affinity={affinity}: give 1 or more, and as affinity "
            "1, 2 or 4 for one of the three cores, or a sum of them"
        )
    given = filter(None, (axmodel, photo))
    files = {re.sub(r"[^A-Za-z0-9._+-]|^[.-]", "_", path.name[-100:]): path for path in given}
    wanted: dict[tuple[str, ...], str] = {}
    model = next(iter(files))
    shape, _ = ends(axmodel)
    images = batch or int(next(iter(shape), 1))
    height, width = map(int, shape[1:3] or (224, 224))
    if photo is not None and images == 1 and max(height, width) <= SHORT_SIDE and not affinity:
        wanted[_CLASSIFIERS] = f"-m {model} -i {[*files][-1]} -g {height},{width} -r {repeats}"
    wanted[_RUN_MODELS] = f"-m {model} -r {repeats} -w {_WARMUP}"
    wanted[_RUN_MODELS] += f" -b {batch}" * bool(batch) + f" -v 1 -a {affinity}" * bool(affinity)
    script = "\n".join(
        f"for program in {' '.join(programs)}; do\n"
        f"  if command -v $program >/dev/null; then run $program {arguments}; break; fi\ndone"
        for programs, arguments in wanted.items()
    )
    out.mkdir(parents=True, exist_ok=True)
    log = out / "board.log"
    session(board, script, files=files, log=log, seconds=timeout)
    runs = {str(record.program): record for record in parse(log) if isinstance(record, BoardRun)}
    missing = tuple(programs[0] for programs in wanted if not runs.keys() & set(programs))
    if not runs:
        raise BoardError(
            f"{board.name} has no {' and no '.join(missing)}: install it there (AXERA-TECH/ax-samples, the "
            "board's SDK; for a card AXCL's axcl_run_model), or link yours into /opt/bin"
        )
    said = [record.batch or 1 for record in runs.values()]
    return BoardRuns(tuple(runs.values()), batch or max(images, *said), missing, log)


def ends(axmodel: Path) -> tuple[Axes, Axes]:
    """Shapes of a compiled model's first input, with its largest batch, and of its first output.

    An axmodel is an ONNX file with one node; () for a file that is none.
    """
    try:
        graph = onnx.load_model(axmodel, format="protobuf").graph
        return axes(graph.input[0]), axes(graph.output[0])
    except (DecodeError, IndexError):
        return (), ()


def on_engine(
    board: Board,
    axmodel: Path,
    files: Mapping[str, Path],
    *arguments: int,
    pictures: Iterable[Pixels],
    log: Path,
    on_line: Callable[[bytes], None] = lambda _: None,
) -> str:
    """What the script that is the first of `files` has pyaxengine say of pictures; it stays in `log`."""
    with tempfile.TemporaryDirectory() as scratch:
        fed = Path(scratch, "pictures")
        with fed.open("wb") as file:
            file.writelines(picture.tobytes() for picture in pictures)
        words = " ".join(map(str, [next(iter(files)), "model.axmodel", fed.name, *arguments]))
        sent = {**files, "model.axmodel": axmodel, fed.name: fed}
        session(board, f"run python3 {words}", files=sent, log=log, seconds=600, on_line=on_line)
    return log.read_text(errors="replace")


def engine_failed(board: Board, told: str, log: Path) -> BoardError:
    """What to raise where pyaxengine did not do it all: its last line, and what to do next."""
    text = log.read_text(errors="replace")
    advice = advise(text, "run") or "python3 there needs numpy and the axengine wheel"
    lines = (line.strip() for line in reversed(text.splitlines()) if line[:1] != "#")
    said = next(filter(None, lines), "nothing")
    return BoardError(f"pyaxengine on {board.name} {told} and said: {said} (log: {log}) → {advice}")


def speed(images: int, ms: float) -> str:
    """A run of so many images in words."""
    return f"{images} image{'s' * (images > 1)} in {ms} ms, {1000 * images / ms:,.0f} images/s"


def run_once(board: Board, axmodel: Path, out: Path, *, batch: int = 0) -> artifacts.Made:
    """`run` as a step: `board.log` and `board.json` in `out`, or those already there of this model and board.

    Raises GateFailed where a program did not go well, and what `run` raises.
    """

    def work(scratch: Path) -> artifacts.Facts:
        ran = run(board, axmodel, out=scratch, photo=PHOTO, batch=batch)
        if wrong := [error for record in ran.records for error in record.errors]:
            raise artifacts.GateFailed(f"the run on {board.name} did not go well: {'; '.join(wrong)}")
        runs = [asdict(record) | {"source": "board.log"} for record in ran.records]
        return {"images": ran.images, "runs": runs}

    return artifacts.step(
        "board",
        out,
        work,
        files=["board.log"],
        arguments={"board": board.name, "batch": batch},
        inputs={"axmodel": axmodel, "photo": PHOTO},
    )
