"""A real sshd on the loopback that plays the board, with stand-ins for the board's programs.

It runs as whoever runs the tests: with UsePAM off it needs no privileges, with StrictModes off no tidy
folders above its key, and root's sshd also wants the empty folder /run/sshd, which no package start made.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from waiting import wait_until

from helpers.board.ssh import Board

LOGS = Path(__file__).parents[1] / "logs" / "logs"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
USER = pwd.getpwuid(os.getuid()).pw_name
PROGRAMS = {"sample_npu_classification": "sample_classification.log", "ax_run_model": "ax_run_model.log"}


@dataclass(frozen=True)
class FarSide:
    """The sshd's own folder: keys, client configuration, and the stand-ins (`programs` is on its PATH)."""

    root: Path
    port: int

    @property
    def programs(self) -> Path:
        return self.root / "programs"

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    def board(self, folder: Path) -> Board:
        """The board as a user names it; runs make their folders in `folder`."""
        folder.mkdir(exist_ok=True)
        config = self.root / "ssh_config"
        return Board(host="127.0.0.1", user=USER, port=self.port, config=config, folder=str(folder))

    def program(self, name: str, script: str) -> Path:
        """A stand-in that notes itself and its arguments in `calls`, one per line, and runs the script."""
        path = self.programs / name
        path.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$0" "$@" >> {self.root}/calls\n{script}\n', encoding="utf-8"
        )
        path.chmod(0o755)
        return path

    def prints(self, name: str, log: str, then: str = "") -> Path:
        """A stand-in that prints a recorded log, without the shell prompts around it."""
        return self.program(name, f"cat <<'END'\n{recorded(log)}END\n{then}")

    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def fresh(self) -> None:
        """Forget the last test."""
        shutil.rmtree(self.programs, ignore_errors=True)
        self.programs.mkdir()
        (self.root / "calls").unlink(missing_ok=True)
        trust(self.known_hosts, self.port, self.root / "host.pub")
        for name, log in PROGRAMS.items():
            self.prints(name, log)


def recorded(log: str) -> str:
    lines = (LOGS / log).read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("/root #", "root@")))


def axmodel(path: Path, *, fed: Sequence[int], given: Sequence[int]) -> Path:
    """A file that says of its input and output what a compiled model says; the rest only the engine reads."""
    first = helper.make_tensor_value_info("input", TensorProto.UINT8, fed)
    last = helper.make_tensor_value_info("logits", TensorProto.FLOAT, given)
    node = helper.make_node("neu mode", ["input"], ["logits"], domain="axera")
    onnx.save(helper.make_model(helper.make_graph([node], "g", [first], [last])), path)
    return path


def trust(known_hosts: Path, port: int, public: Path) -> None:
    known_hosts.write_text(f"[127.0.0.1]:{port} {public.read_text(encoding='utf-8')}", encoding="utf-8")


def key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


@contextlib.contextmanager
def started(root: Path, *, path: str = os.environ["PATH"]) -> Iterator[FarSide]:
    """A sshd with keys of its own, on a free port, whose sessions look for programs in `path`."""
    assert SSHD is not None
    for name in ("host", "user"):
        key(root / name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    far = FarSide(root, port)
    server = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": root / "host",
        "PidFile": "none",
        "AuthorizedKeysFile": root / "user.pub",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "MaxStartups": 100,
        "SetEnv": f"PATH={far.programs}:{path} HOME={root}",  # the user's own profile stays out
    }
    client = {
        "IdentityFile": root / "user",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": far.known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "KexAlgorithms": "curve25519-sha256",  # the default guards against quantum computers and takes longer
    }
    for name, values in (("sshd_config", server), ("ssh_config", client)):
        (root / name).write_text("".join(f"{word} {value}\n" for word, value in values.items()))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (root / "sshd.log").open("wb") as log:
        sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", str(root / "sshd_config")], stderr=log)
    try:
        wait_until(lambda: sshd.poll() is not None or answers(port))
        assert sshd.poll() is None, (root / "sshd.log").read_text()
        yield far
    finally:
        sshd.terminate()
        sshd.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60):
        return True
    return False


def is_clean(folder: Path) -> bool:
    """Whether nothing is left of a run: no file, and no process that works in its folder."""
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if str(place.readlink()).startswith(f"{folder}/"):
                return False
    return not list(folder.iterdir())
