"""Where a board is and where its programs are, checked so that nothing in it can pass for an option."""

import re
from dataclasses import dataclass
from pathlib import Path

_HOST = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]{1,45}(?:%[A-Za-z0-9._-]{1,20})?"
)
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}")
# An older scp gives the folder to a shell as it is.
FOLDER = re.compile(r"/[A-Za-z0-9._/+-]{0,1000}")
# Quoted for a shell, a backslash still means different things to different ones.
_PROGRAM = re.compile(r"/[^\x00-\x1f\x7f\\]{1,1000}|[A-Za-z0-9_][A-Za-z0-9._+-]{0,200}")

# Fails rather than asks, notices a dead link within about 20 s, and leaves the user's other settings alone.
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ControlMaster": "no",  # a master started here would outlive us and hold our pipes
    "ClearAllForwardings": "yes",
    "LogLevel": "ERROR",
}


@dataclass(frozen=True, kw_only=True)
class Board:
    """Where a board is, and where its programs are.

    `host` is a name, an address, or an alias of the ssh configuration; `user`, `port`, `identity` (a private
    key) and `config` (an ssh configuration file) are left to ssh where they are None. `classifier` and
    `run_model` are the programs' paths on the board; None looks for them on PATH and in /opt/bin. `folder` is
    where on the board the folder for a run is made.

    Raises ValueError for anything that ssh or a shell could take for something else.
    """

    host: str
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    config: Path | None = None
    classifier: str | None = None
    run_model: str | None = None
    folder: str = "/tmp"

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise ValueError(
                f"{self.host!r} is no host name, address or alias: give one, without user or port"
            )
        if self.user is not None and not _USER.fullmatch(self.user):
            raise ValueError(f"{self.user!r} is no user name: use letters, digits, '.', '_' and '-'")
        if self.port is not None and not 1 <= self.port <= 65_535:
            raise ValueError(f"port {self.port} does not exist: give one from 1 to 65535")
        for path in (self.identity, self.config):
            if path is not None and re.search(r"[%\x00-\x1f]|\$\{", str(_absolute(path))):
                raise ValueError(f"ssh would rewrite the path {str(path)!r}: copy the file to a plainer one")
        for program in (self.classifier, self.run_model):
            if program is not None and not _PROGRAM.fullmatch(program):
                raise ValueError(
                    f"{program!r} names no program on the board: give a bare name, or a path that begins "
                    "with '/', without backslashes and control characters"
                )
        if not FOLDER.fullmatch(self.folder):
            raise ValueError(
                f"{self.folder!r} cannot hold our folder: give a path from '/' of letters, digits and ._+-"
            )

    @property
    def name(self) -> str:
        """The board as the user would type it, for messages."""
        return f"{self.user}@{self.host}" if self.user else self.host

    def options(self, extra: dict[str, str] | None = None) -> list[str]:
        """What ssh and scp both get."""
        settings = _OPTIONS | (extra or {})
        if self.user is not None:
            settings["User"] = self.user
        if self.port is not None:
            settings["Port"] = str(self.port)
        words = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        if self.config is not None:
            words += ["-F", str(_absolute(self.config))]
        if self.identity is not None:
            words += ["-i", str(_absolute(self.identity))]
        return words


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()
