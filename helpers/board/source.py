"""Which log of a board is read: of a run there now, one that was given, or the published one."""

from dataclasses import dataclass
from pathlib import Path

from helpers.board.run import run
from helpers.board.ssh import Board
from helpers.files import DATA
from helpers.logs.parse_log import first_run
from helpers.logs.records import BoardRun
from helpers.model.variants import VARIANTS

RECORDED = DATA / "logs" / "sample_npu_classification_efficientvit_m5.log"
RECORDED_MODEL = "efficientvit_m5"


@dataclass(frozen=True)
class BoardLog:
    """A log and the first run in it that has scores; `words` say where it is from.

    `recorded`: it is the published one, which stands in for a run of one's own.
    """

    path: Path
    run: BoardRun
    words: str
    recorded: bool


def board_log(
    model: str,
    *,
    photo: Path,
    out: Path,
    log: str = "",
    board: Board | None = None,
    axmodel: str = "",
    repeats: int = 100,
) -> BoardLog:
    """The log of `axmodel` run on `board` with `photo`, left in `out`; else `log`; else the published one.

    Raises ValueError for a board without `axmodel` and for a log without a run with scores that worked, and
    what `run` raises.
    """
    if board is not None:
        if not axmodel:
            raise ValueError("give axmodel, the compiled.axmodel that the board shall run")
        ran = run(board, Path(axmodel), photo=photo, out=out, repeats=repeats)
        missing = "".join(f", which has no {name}" for name in ran.missing)
        return BoardLog(ran.log, first_run(ran.log), f"ran on {board.name}{missing}", recorded=False)
    if log:
        return BoardLog(Path(log), first_run(Path(log)), "your log", recorded=False)
    words = f"RECORDED LOG of {VARIANTS[RECORDED_MODEL].title}, not a live run"
    if model != RECORDED_MODEL:
        words += f"; none of {VARIANTS[model].title} was published"
    return BoardLog(RECORDED, first_run(RECORDED), words, recorded=True)
