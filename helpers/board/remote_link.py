"""A board over the system's ssh and scp: commands on it, files to it, and a folder there for a while.

The user's own keys, agent, ssh configuration and known_hosts decide who may log in and which host key is
the right one; nothing here relaxes them. Nothing is ever asked: what would need an answer ends in a
BoardError that says what to do. The board's own paths reach it as arguments of a fixed script, never as
shell text.
"""

import contextlib
import os
import re
import selectors
import shlex
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from helpers import process
from helpers.board.link_failures import BoardError, known_link_sentence, link_sentence
from helpers.board.remote_board import FOLDER, Board

SHORT_SECONDS = 30.0  # for a connection and a few small commands
_CLEAN_SECONDS = 15.0
_STANDS_FOR_255 = 254  # ssh itself ends with 255 when the link fails
_SSH_OPTIONS = {"RequestTTY": "no", "RemoteCommand": "none"}

# The folder lives as long as this session: its end, a lost link included, closes the input, and the board
# itself ends the program that still runs there and removes the folder.
_KEEP_FOLDER = """
folder=$(mktemp -d "$1/efficientvit.XXXXXX") || exit 3
clean() {
  trap "" HUP INT TERM
  if read -r leader < "$folder/.leader"; then kill -9 "-$leader" || kill -9 "$leader"; fi 2>/dev/null
  rm -rf "$folder"
}
trap "clean; exit 1" HUP INT TERM
df -kP "$folder" 2>/dev/null
echo "folder=$folder"
cat >/dev/null
clean
"""
# Without stdbuf a program writes its lines to a pipe in blocks, and a run cut short would leave an empty log.
_RUN_IN_FOLDER = """
exec 2>&1
cd "$1" || exit 1
echo $$ > .leader
printf "# %s\\n" "$2"
shift 2
command -v stdbuf >/dev/null && set -- stdbuf -oL "$@"
"$@" </dev/null
status=$?
rm -f .leader
[ $status -eq 255 ] && status=254
exit $status
"""
_FREE_SPACE = 'df -kP "$1"'


@dataclass(frozen=True)
class FarFolder:
    """A folder on the board that is removed when its context ends; `free_bytes` None: not known."""

    path: str
    free_bytes: int | None


def call(
    board: Board,
    script: str,
    *arguments: str,
    log: Path,
    seconds: float = SHORT_SECONDS,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Runs a POSIX shell script on the board, its output to `log` as it comes; returns the exit status.

    `tick` is called for each line and about twice a second. Raises BoardError, with the log as far as it
    came, when ssh is missing, the link fails or breaks, or the time is over.
    """
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "ssh"
        argv = _ssh(board, said, script, *arguments)
        status = _stream(argv, board, log=log, seconds=seconds, tick=tick)
        if status == 255 or status < 0:
            raise BoardError(link_sentence(board.name, board.port, _read(said)), log=log)
    return status


def ask(board: Board, script: str, *arguments: str) -> str:
    """What a short script prints on the board. Raises as `call`."""
    with scratch_log() as log:
        call(board, script, *arguments, log=log)
        return _read(log)


@contextlib.contextmanager
def scratch_log() -> Iterator[Path]:
    """A log that nobody keeps: a BoardError does not name it."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            yield Path(scratch) / "log"
        except BoardError as error:
            raise BoardError(error.sentence) from error


def run_in_folder(
    board: Board,
    folder: FarFolder,
    program: str,
    *arguments: str,
    log: Path,
    seconds: float,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Runs a program in the folder on the board, after a first line in `log` that shows the command.

    Returns the program's exit status, 128 + n after signal n. Raises as `call`.
    """
    shown = shlex.join([program.rpartition("/")[2], *arguments])
    status = call(
        board, _RUN_IN_FOLDER, folder.path, shown, program, *arguments, log=log, seconds=seconds, tick=tick
    )
    return 255 if status == _STANDS_FOR_255 else status


def copy(
    board: Board,
    local: Path,
    folder: FarFolder,
    name: str,
    *,
    seconds: float,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Copies a file into the folder on the board, under a name that is plain ASCII.

    Raises BoardError when it does not arrive: no space, a lost link, the time is over.
    """
    host = f"[{board.host}]" if ":" in board.host else board.host
    source, target = str(local.absolute()), f"{host}:{folder.path}/{name}"
    with scratch_log() as said:
        for old_protocol in ([], ["-O"]):  # small systems have scp but no sftp server
            argv = [_tool("scp"), *board.options(), *old_protocol, "--", source, target]
            if _stream(argv, board, log=said, seconds=seconds, tick=tick) == 0:
                return
            text = _read(said)
            if not re.search(r"subsystem request failed|sftp-server", text):
                break
        sentence = known_link_sentence(board.name, board.port, text)
        if sentence is None:
            free = _available(ask(board, _FREE_SPACE, folder.path))
            size = local.stat().st_size
            if "No space left" in text or (free is not None and free < size):
                sentence = full_disk(board, folder.path, size=size, free=free)
            else:
                last = (text.strip().splitlines() or ["no reason given"])[-1]
                sentence = (
                    f"{local.name} could not be copied to {board.name} ({last}): try again, and then by hand"
                )
    raise BoardError(sentence)


def full_disk(board: Board, folder: str, *, size: int, free: int | None) -> str:
    """The sentence for a file that does not fit."""
    left = "too little" if free is None else f"{free / 1e6:.1f} MB"
    return (
        f"the disk of {board.name} is full: {folder} needs {size / 1e6:.1f} MB and has {left} free; "
        "remove something there, or name a folder on another disk with Board(folder=…)"
    )


@contextlib.contextmanager
def far_folder(board: Board) -> Iterator[FarFolder]:
    """A fresh folder on the board for as long as the context lasts.

    The board removes it, and ends what `run_in_folder` left running in it, when the context ends and also
    when the link or this process dies. Raises BoardError when it cannot be made.
    """
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "ssh"
        keeper = subprocess.Popen(
            _ssh(board, said, _KEEP_FOLDER, board.folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        folder = None
        try:
            text = _read_until(keeper, rb"^folder=.*\n", seconds=SHORT_SECONDS)
            found = re.search(r"^folder=(.*)$", text, re.MULTILINE)
            if found is None:
                raise BoardError(_no_folder(board, keeper, text, _read(said)))
            if not FOLDER.fullmatch(found[1]):
                raise BoardError(f"{board.name} made the folder {found[1]!r}: see what its mktemp is")
            folder = FarFolder(found[1], _available(text))
            yield folder
        finally:
            with process.unhurried():
                assert keeper.stdin is not None
                keeper.stdin.close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    keeper.wait(timeout=_CLEAN_SECONDS)
                process.end(keeper)
            if folder is not None and keeper.returncode != 0:
                warnings.warn(
                    f"{board.name} did not confirm that {folder.path} is removed: look for it there",
                    RuntimeWarning,
                    stacklevel=3,
                )


def _no_folder(board: Board, keeper: subprocess.Popen[bytes], text: str, said: str) -> str:
    try:
        status = keeper.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return f"{board.name} did not answer within {SHORT_SECONDS:g} s: check its load and the network"
    if status == 255 or status < 0:
        return link_sentence(board.name, board.port, said)
    last = (text.strip().splitlines() or ["no reason given"])[-1]
    return (
        f"no folder could be made in {board.folder} on {board.name} ({last}): "
        "make room there, or name another with Board(folder=…)"
    )


def _ssh(board: Board, said: Path, script: str, *arguments: str) -> list[str]:
    """`said` gets ssh's own messages: they must not be taken for a program's, nor the other way round."""
    command = shlex.join(["exec", "sh", "-c", script, "sh", *arguments])
    return [_tool("ssh"), *board.options(_SSH_OPTIONS), "-E", str(said), "--", board.host, command]


def _tool(name: str) -> str:
    if (path := shutil.which(name)) is None:
        raise BoardError(f"there is no `{name}` on this machine: install the OpenSSH client (openssh-client)")
    return path


def _stream(argv: list[str], board: Board, *, log: Path, seconds: float, tick: Callable[[], None]) -> int:
    try:
        return process.stream(
            argv, cwd=Path.cwd(), environment=os.environ, log=log, seconds=seconds, on_line=lambda _: tick()
        )
    except subprocess.TimeoutExpired:
        raise BoardError(
            f"{board.name} was not done after {seconds:g} s and was stopped: give a longer `timeout`, or "
            "find out what holds it up",
            log=log,
        ) from None
    except OSError as error:
        raise BoardError(
            f"the log of {board.name} cannot be written ({error.strerror}: {error.filename or log}): "
            "make room, or name another folder with `out`",
            log=log,
        ) from error


def _read_until(child: subprocess.Popen[bytes], pattern: bytes, *, seconds: float) -> str:
    """What the child prints up to a line of this pattern, its end, or the end of the time."""
    assert child.stdout is not None
    deadline, text = time.monotonic() + seconds, b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while not re.search(pattern, text, re.MULTILINE) and selector.select(deadline - time.monotonic()):
            chunk = os.read(child.stdout.fileno(), 1 << 16)
            if not chunk:
                break
            text += chunk
    return text.decode("utf-8", "replace")


def _available(text: str) -> int | None:
    """Bytes that `df -kP` calls available, None where it said nothing."""
    found = re.search(r"\s(\d{1,18})\s+\d{1,3}%", text)
    return int(found[1]) * 1024 if found else None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
