"""The session: what breaks it ends in one sentence, and the board is clean however it ends."""

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from far_side import USER, FarSide, is_clean, key, recorded, trust
from waiting import PATIENCE, wait_until

from helpers.board import ssh
from helpers.board.run import run
from helpers.board.ssh import Board, BoardError
from helpers.files import ROOT

HALF = "".join(recorded("ax_run_model.log").splitlines(keepends=True)[:8])
# Kills the sshd behind the shell of our session, which is the parent of the program.
CUT = "sshd=$(awk '{print $4}' /proc/$PPID/stat); grep -q sshd /proc/$sshd/comm && kill -9 $sshd"
SLEEP = shutil.which("sleep")


def failure(far: FarSide, model: Path, tmp_path: Path, timeout: float = PATIENCE, **changes: Any) -> str:
    board = dataclasses.replace(far.board(tmp_path / "far"), **changes)
    with pytest.raises(BoardError) as caught:
        run(board, model, out=tmp_path / "out", timeout=timeout)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_link_lost_in_the_middle_keeps_the_log_and_clears_the_board(
    far: FarSide, model: Path, tmp_path: Path
) -> None:
    log, seen = tmp_path / "out" / "board.log", tmp_path / "seen"
    lines = f"cat <<'END'\n{HALF}END\nuntil test -e {seen}; do sleep 0.05; done; {CUT}; sleep 600"
    far.program("ax_run_model", f"({lines}) | grep ''")  # left alone it keeps lines back, as C programs do

    def look() -> None:
        wait_until(lambda: log.exists() and HALF in log.read_text())
        seen.touch()

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    error = failure(far, model, tmp_path)
    assert error.startswith(f"{USER}@127.0.0.1 cannot be reached, or the link to it was lost: ")
    assert HALF in log.read_text()
    wait_until(lambda: is_clean(tmp_path / "far"))


@pytest.mark.parametrize("hangs", ["ax_run_model", "tar"])
def test_what_hangs_is_ended_at_the_time_limit(hangs: str, far: FarSide, model: Path, tmp_path: Path) -> None:
    far.program(hangs, "trap '' TERM HUP; sleep 600 | cat")
    assert "was not done after 2 s" in failure(far, model, tmp_path, timeout=2)
    wait_until(lambda: is_clean(tmp_path / "far"))


def _interrupt(ours: psutil.Process) -> None:
    ours.send_signal(signal.SIGINT)
    assert ours.wait() != 0


def _kill(ours: psutil.Process) -> None:
    ours.kill()
    for child in ours.children(recursive=True):
        child.kill()


def _silence(ours: psutil.Process) -> None:
    """As when the network is gone: nothing is closed, and nothing comes."""
    for one in (ours, *ours.children(recursive=True)):
        one.suspend()


@pytest.mark.parametrize("end", [_interrupt, _kill, _silence])
def test_the_board_clears_up_by_itself(
    end: Callable[[psutil.Process], None], far: FarSide, model: Path, tmp_path: Path
) -> None:
    started, late = tmp_path / "started", tmp_path / "late"
    far.program("ax_run_model", f"touch {started}; exec {SLEEP} 600")
    far.program("sleep", f"until test -e {late}; do {SLEEP} 0.05; done")  # the board's own time limit
    script = (
        "import signal, sys; from pathlib import Path\n"
        "from helpers.board import run, ssh\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "model, out, folder, user, port, config = sys.argv[1:]\n"
        "board = ssh.Board(host='127.0.0.1', user=user, port=int(port), config=Path(config), folder=folder)\n"
        "run.run(board, Path(model), out=Path(out))\n"
    )
    board = far.board(tmp_path / "far")
    arguments = [model, tmp_path / "out", board.folder, board.user, board.port, board.config]
    child = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    ours = psutil.Process(child.pid)
    family = [ours]
    try:
        wait_until(lambda: started.exists() or child.poll() is not None)
        assert not is_clean(tmp_path / "far")
        family += ours.children(recursive=True)
        end(ours)
        if end is _silence:
            late.touch()
        wait_until(lambda: is_clean(tmp_path / "far"))
    finally:
        late.touch()
        for one in family:
            if one.is_running():
                one.kill()
        child.wait()


def test_a_disk_that_fills_while_copying(far: FarSide, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root only, and not in every container")
    try:
        assert "the disk of" in failure(far, model, tmp_path)
        wait_until(lambda: is_clean(folder))
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_cannot_be_made(far: FarSide, model: Path, tmp_path: Path) -> None:
    assert "makes no folder in" in failure(far, model, tmp_path, folder=str(tmp_path / "nowhere"))


def test_a_host_key_that_is_not_known_or_changed_is_refused_and_not_learnt(
    far: FarSide, model: Path, tmp_path: Path
) -> None:
    far.known_hosts.write_text("")
    error = failure(far, model, tmp_path)
    assert "is not known here" in error and f"ssh -p {far.port} " in error
    assert far.known_hosts.read_text() == ""
    key(tmp_path / "other")
    trust(far.known_hosts, far.port, tmp_path / "other.pub")
    before = far.known_hosts.read_text()
    error = failure(far, model, tmp_path)
    assert "is not the one in known_hosts" in error
    assert f"ssh-keygen -R '[127.0.0.1]:{far.port}'" in error
    assert far.known_hosts.read_text() == before


def test_each_way_not_to_get_in_is_told_apart(
    far: FarSide, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key(tmp_path / "stranger")
    shutil.copy(far.root / "user", tmp_path / "open")
    (tmp_path / "open").chmod(0o644)
    config = tmp_path / "config"
    text = (far.root / "ssh_config").read_text()

    def with_key(name: str) -> str:
        config.write_text(text.replace(str(far.root / "user"), str(tmp_path / name), 1))
        return failure(far, model, tmp_path, config=config)

    assert "does not let this key or user in" in with_key("stranger")
    assert "chmod 600" in with_key("open")
    config.write_text("Nonsense yes\n")
    for changes, said in (
        ({"config": config}, "Bad configuration option: nonsense"),
        ({"port": 70_000}, "Bad port '70000'"),
        ({"port": 1}, "port 1: Connection refused"),
        ({"host": "nowhere.invalid"}, "Could not resolve hostname nowhere.invalid"),
    ):
        error = failure(far, model, tmp_path, **changes)
        assert "check its name and port, your ssh configuration" in error and said in error
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setitem(ssh._OPTIONS, "ConnectTimeout", "1")
        assert "timed out during banner" in failure(far, model, tmp_path, port=mute.getsockname()[1])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no `ssh` on this machine" in failure(far, model, tmp_path)


def test_a_jump_host_of_the_users_configuration_is_used(far: FarSide, model: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    here = f"Port {far.port}\nUser {USER}\n{(far.root / 'ssh_config').read_text()}"
    config.write_text(f"Host board\nProxyJump jump\nHost *\nHostName 127.0.0.1\n{here}")
    board = dataclasses.replace(far.board(tmp_path / "far"), host="board", user="", port=0, config=config)
    runs = run(board, model, out=tmp_path / "out")
    assert [record.ok for record in runs.records] == [True]
    config.write_text(f"Host board\nProxyJump jump\nHost jump\nHostName nowhere.invalid\nHost *\n{here}")
    with pytest.raises(BoardError, match=r"Could not resolve hostname nowhere\.invalid"):
        run(board, model, out=tmp_path / "out")


def test_a_log_that_cannot_be_written(far: FarSide, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "board.log").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=r"board\.log"):
        run(far.board(tmp_path / "far"), model, out=tmp_path / "out")
    wait_until(lambda: is_clean(tmp_path / "far"))


@pytest.mark.parametrize(
    "host", ["", "-oProxyCommand=touch x", "a b", "a;b", "a\n", "me@board", "$(x)"], ids=repr
)
def test_a_host_that_could_be_misread_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is no host name"):
        Board(host=host)


def test_what_the_user_gives_reaches_ssh_and_nothing_relaxes_the_host_key() -> None:
    board = Board(host="fe80::1%eth0", user="-oX", port=22, config=Path("~/c"))
    arguments = board.arguments()
    assert "BatchMode=yes" in arguments
    assert not [word for word in arguments if "HostKey" in word or "KnownHosts" in word]
    assert arguments[-8:] == [
        *("-l", "-oX", "-p", "22", "-F", str(Path.home() / "c"), "--", "fe80::1%eth0"),
    ]
