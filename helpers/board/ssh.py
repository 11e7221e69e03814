"""One session on a board: files in, a script run on them, its output back, and nothing left behind.

Over ssh, or on this machine (the host `local`): a board that Python runs on, or a computer with a card in it.

The user's own keys, agent, ssh configuration and known_hosts decide who may log in and which host key is the
right one; nothing here relaxes them. Nothing is ever asked: what would need an answer ends in a BoardError
that says what to do.
"""

import contextlib
import io
import math
import os
import re
import secrets
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from helpers import process

# Fails rather than asks, notices a dead link within about 20 s, and leaves the user's other settings alone.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ControlMaster": "no",  # a master started here would outlive us and hold our pipes
    "ClearAllForwardings": "yes",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "LogLevel": "ERROR",
}
LOCAL = "local"  # the host that needs no ssh
_GRACE_SECONDS = 10  # the board's own time limit, should the link fall silent, comes after ours

# Standard input is the files and then the life line: it ends when the link does, however that happens.
# POSIX sh; of what a small busybox may lack, stdbuf (output line by line) and setsid (a group that can be
# ended as one) are used where they are. busybox's tar reads to the end of its input: head gives it one.
_SESSION = """
exec 2>&1 3<&0 4</dev/null
export LC_ALL=C PATH="$PATH:/opt/bin"
folder=$1
umask 077
mkdir "$folder" && cd "$folder" && folder=$PWD || exit 3
clean() {
  trap "" HUP INT PIPE TERM
  for one in $! $limit $watch; do kill -9 "-$one" || kill -9 "$one"; done 2>/dev/null
  cd / && rm -rf "$folder"
}
trap clean EXIT
trap "exit 1" HUP INT PIPE TERM
start() {
  input=$1
  shift
  command -v setsid >/dev/null && set -- setsid "$@"
  "$@" <&$input &
}
run() {
  printf "# %s\\n" "$*"
  command -v stdbuf >/dev/null && set -- stdbuf -oL "$@"
  start 4 "$@"
  wait $!
  status=$?
  kill -9 "-$!" 2>/dev/null
  printf "\\n# exit status %s\\n" $status
}
start 4 sh -c "sleep $2 && kill $$" >/dev/null 2>&1
limit=$!
start 3 sh -c "head -c $3 | tar xf -"
wait $! || exit 4
{ read -r end <&3; kill $$; } >/dev/null 2>&1 &
watch=$!
"""

# Searched in order in what ssh says (OpenSSH 8 and 9). {login}: the arguments that reach the board by hand.
_LINK_FAILURES = {
    r"IDENTIFICATION HAS CHANGED": (
        "the host key of {name} is not the one in known_hosts: if the board was set up anew, compare the "
        "fingerprint with the one on its console, remove the old entry (ssh-keygen -R {known}) and log in "
        "once by hand (ssh {login}); if it was not, something else answers at this address"
    ),
    r"Host key verification failed|No \S+ host key is known": (
        "the host key of {name}, or of a jump host, is not known here: log in once by hand (ssh {login}), "
        "and compare the fingerprint with the one on the console before you accept it"
    ),
    r"Permission denied \(|Too many authentication failures": (
        "{name} does not let this key or user in ({why}): put your key there with ssh-copy-id {login}, load"
        " a key that has a passphrase with ssh-add, take others' rights to a key away with chmod 600, or "
        "name the right user or key"
    ),
    r"": (
        "{name} cannot be reached, or the link to it was lost: check its name and port, your ssh "
        "configuration, the network, and that sshd runs there, then run it again; ssh said: {said}"
    ),
}
# Searched in order in what the board's own programs say, and in how the session ended there.
_BOARD_FAILURES = {
    r"No space left|[Qq]uota|Wrote only|short write": (
        "the disk of {name} is full ({why}): remove something from {folder} there, or name a folder on "
        "another disk with Board(folder=…)"
    ),
    r"": (
        "{name} {ended} ({why}): see to it there; sh, head, tar, mkdir and rm must be on its path, and "
        "Board(folder=…) names another folder"
    ),
}


class BoardError(RuntimeError):
    """The board could not be used; the message says what to do next."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board that ssh reaches, or this machine.

    `host` is a name, an address, an alias of the ssh configuration, or `local`; `user`, `port` and `config`
    (an ssh configuration file, which may name a private key) are left to ssh where they are not given.
    `folder` is where on the board the folder for a run is made. Raises ValueError for a host that ssh
    could take for something else.
    """

    host: str
    user: str = ""
    port: int = 0
    config: Path | None = None
    folder: str = "/tmp"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]*", self.host):
            raise ValueError(
                f"{self.host!r} is no host name, address or alias: give one, without user or port"
            )

    @classmethod
    def at(cls, place: str) -> "Board":
        """The board at [USER@]HOST."""
        user, _, host = place.rpartition("@")
        return cls(host=host, user=user)

    @property
    def name(self) -> str:
        """The board as the user would type it, for messages."""
        if self.host == LOCAL:
            return "this machine"
        return f"{self.user}@{self.host}" if self.user else self.host

    def arguments(self) -> list[str]:
        """What ssh is given, up to the host."""
        words = [word for key, value in _OPTIONS.items() for word in ("-o", f"{key}={value}")]
        given = {"-l": self.user, "-p": self.port, "-F": self.config and self.config.expanduser()}
        for option, value in given.items():
            words += [option, str(value)] if value else []
        return [*words, "--", self.host]


def session(
    board: Board,
    script: str,
    *,
    files: Mapping[str, Path],
    log: Path,
    seconds: float,
    on_line: Callable[[bytes], None] = lambda _: None,
) -> None:
    """Runs a POSIX shell script on the board, in a fresh folder that holds `files` by the names given.

    In the script `run PROGRAM ARGUMENT…` runs a program between a line that shows its command and one
    with its exit status; /opt/bin, where boards have their tools, is on the path. All that is printed
    goes to `log` as it comes; `on_line` gets each line, and no bytes about twice a second while
    there is none. When the link ends, however it ends, the board ends what runs there and removes the
    folder; should it fall silent, once `seconds` are over.

    Raises BoardError when there is no ssh here, the link fails or breaks, the files do not fit, or the
    time is over; OSError when a file cannot be read or the log cannot be written.
    """
    archive = _archive(files)
    folder = f"{board.folder}/efficientvit.{secrets.token_hex(6)}"
    numbers = (math.ceil(seconds) + _GRACE_SECONDS, len(archive))
    command = shlex.join(
        ["exec", "sh", "-c", f"{_SESSION}{script}\nexit 0", "sh", folder, *map(str, numbers)]
    )
    local = board.host == LOCAL
    if (ssh := shutil.which("sh" if local else "ssh")) is None:
        raise BoardError("there is no `ssh` on this machine: install the OpenSSH client (openssh-client)")
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "ssh"  # ssh's own messages must not be taken for a program's
        try:
            with _life_line(archive) as stdin:
                options = ["-c"] if local else ["-E", str(said), *board.arguments()]
                status = process.stream(
                    [ssh, *options, command],
                    cwd=Path.cwd(),
                    environment=os.environ | {"SSH_ASKPASS_REQUIRE": "never"},
                    stdin=stdin,
                    log=log,
                    seconds=seconds,
                    on_line=on_line,
                )
        except subprocess.TimeoutExpired:
            raise BoardError(
                f"{board.name} was not done after {seconds:g} s and was stopped: give a longer `timeout`, or "
                "find out what holds it up"
            ) from None
        if status:
            texts = [path.read_text(errors="replace") if path.exists() else "" for path in (said, log)]
            raise BoardError(_failure(board, status, *texts))


def _archive(files: Mapping[str, Path]) -> bytes:
    """A tar archive of the files, with no owner and an old date: a board's clock may stand at 1970."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, path in files.items():
            entry = tarfile.TarInfo(name)
            content = path.read_bytes()
            entry.size, entry.mtime = len(content), 1
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


@contextlib.contextmanager
def _life_line(data: bytes) -> Iterator[int]:
    """A pipe to read `data` from, which then stays open as long as the context lasts."""
    reading, writing = os.pipe()
    over = threading.Event()

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:
            pipe.write(data)
            pipe.flush()
            over.wait()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        yield reading
    finally:
        over.set()
        os.close(reading)  # ssh has ended: if it did not take all, the pipe is broken now
        feeder.join()


def _failure(board: Board, status: int, said: str, output: str) -> str:
    """One sentence for a session that did not come to its end; `said`: by ssh, `output`: from the board."""
    text, failures = output, _BOARD_FAILURES
    if board.host != LOCAL and (status == 255 or status < 0):
        # until a program begins, the ssh to a jump host is heard in the output
        begun = re.search("^# ", output, re.MULTILINE)
        text, failures = said if begun else f"{said}\n{output}", _LINK_FAILURES
    lines = [line.strip() for line in reversed(text.splitlines())]
    lines = [line for line in lines if line and "Exiting with failure" not in line] or ["without a word"]
    found = ((failures[key], line) for key in failures for line in lines if re.search(key, line))
    sentence, why = next(found)
    ended = {3: f"makes no folder in {board.folder}", 4: "does not take the files"}
    return sentence.format(
        name=board.name,
        folder=board.folder,
        why=why,
        said="; ".join(reversed(lines)),
        ended=ended.get(status, f"ended the session with status {status}"),
        login=f"-p {board.port} {board.name}" if board.port else board.name,
        known=f"'[{board.host}]:{board.port}'" if board.port not in (0, 22) else board.host,
    )
