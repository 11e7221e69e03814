"""The link and the far folder: what breaks them ends in one sentence, and nothing passes for shell text."""

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from far_side import USER, FarSide, key, recorded, trust
from waiting import PATIENCE, out_of_time_when, wait_until

from helpers.board import remote, remote_board, remote_link
from helpers.board.remote import BoardError
from helpers.lab.paths import ROOT

HALF = "".join(recorded("ax_run_model.log").splitlines(keepends=True)[:8])
# Kills the sshd behind a shell of its session.
CUT = "cut() { sshd=$(awk '{print $4}' /proc/$1/stat); grep -q sshd /proc/$sshd/comm && kill -9 $sshd; }"


def failure(far: FarSide, model: Path, tmp_path: Path, **changes: Any) -> BoardError:
    with pytest.raises(BoardError) as caught:
        board = dataclasses.replace(far.board(tmp_path / "far"), **changes)
        remote.run(board, model, out=tmp_path / "out", timeout=PATIENCE, progress=False)
    assert "\n" not in str(caught.value)
    if caught.value.log is None:
        assert "log so far" not in str(caught.value)
    else:
        assert caught.value.log.is_relative_to(tmp_path / "out")
    return caught.value


def is_over(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def test_a_link_lost_in_the_middle_keeps_the_log_and_clears_the_board(
    far: FarSide, model: Path, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    far.program("ax_run_model", f"cat <<'END'\n{HALF}END\n{CUT}\necho $$ > {pid}; cut $PPID; sleep 1000")
    error = failure(far, model, tmp_path)
    assert str(error).startswith(f"the link to {USER}@127.0.0.1 was lost: check the network")
    assert error.log == tmp_path / "out" / "run_model.log" and str(error.log) in str(error)
    assert HALF in error.log.read_text()
    assert not list((tmp_path / "far").iterdir())
    wait_until(lambda: is_over(int(pid.read_text())))


def test_the_board_clears_up_by_itself_when_every_link_is_lost(
    far: FarSide, model: Path, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    keeper = f"grep -q 'XXXXXX.* {tmp_path}/far $'"  # its script's text, and its argument
    far.program(
        "ax_run_model",
        f"{CUT}\necho $$ > {pid}\nfor shell in /proc/[0-9]*; do\n"
        f"  tr '\\0\\n' '  ' < $shell/cmdline | {keeper} && cut ${{shell#/proc/}}\n"
        "done 2>/dev/null\ncut $PPID; sleep 1000",
    )
    with pytest.warns(RuntimeWarning, match="did not confirm that .* is removed"):
        assert "was lost" in str(failure(far, model, tmp_path))
    wait_until(lambda: not list((tmp_path / "far").iterdir()))
    wait_until(lambda: is_over(int(pid.read_text())))


def test_a_program_that_hangs_is_ended_at_the_time_limit(
    far: FarSide, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    keeps_its_lines = (
        f"(cat <<'END'\n{HALF}END\nsleep 1000) | grep ''"  # as a C program does that writes to a pipe
    )
    far.program("ax_run_model", f"trap '' TERM HUP; echo $$ > {pid}; {keeps_its_lines}")
    log = tmp_path / "out" / "run_model.log"
    out_of_time_when(lambda: log.exists() and HALF in log.read_text(), monkeypatch)
    error = failure(far, model, tmp_path)
    assert f"was not done after {PATIENCE:g} s" in str(error)
    assert error.log is not None and HALF in error.log.read_text()
    assert not list((tmp_path / "far").iterdir())
    wait_until(lambda: is_over(int(pid.read_text())))


def test_an_interrupt_ends_the_program_and_clears_the_board(
    far: FarSide, model: Path, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    far.program("ax_run_model", f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 1000")
    script = (
        "import signal, sys; from pathlib import Path; from helpers.board import remote\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "model, folder, user, port, config, out = sys.argv[1:]\n"
        "host = {'host': '127.0.0.1', 'user': user, 'port': int(port), 'config': Path(config)}\n"
        "remote.run(remote.Board(**host, folder=folder), Path(model), out=Path(out), progress=False)\n"
    )
    board = far.board(tmp_path / "far")
    arguments = [model, board.folder, board.user, board.port, board.config, tmp_path / "out"]
    child = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: pid.exists() or child.poll() is not None)
    child.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in child.communicate()[1]
    assert not list((tmp_path / "far").iterdir())
    wait_until(lambda: is_over(int(pid.read_text())))


def test_a_full_disk_is_seen_before_anything_is_copied(far: FarSide, model: Path, tmp_path: Path) -> None:
    head = "echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'"
    far.program("df", f"{head}; echo 'tmpfs 100 90 10 90% /tmp'")
    error = str(failure(far, model, tmp_path))
    assert "is full" in error and "needs 0.1 MB and has 0.0 MB free" in error
    assert str(far.programs / "ax_run_model") not in far.calls()


def test_a_disk_that_fills_while_copying(far: FarSide, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root only, and not in every container")
    asked = tmp_path / "asked"
    true_df = shutil.which("df")
    far.program("df", f'if test -e {asked}; then exec {true_df} "$@"; fi; touch {asked}')  # silent at first
    try:
        assert "is full" in str(failure(far, model, tmp_path))
        assert asked.exists() and not list(folder.iterdir())
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_copy_that_fails_for_another_reason(far: FarSide, model: Path, tmp_path: Path) -> None:
    far.program("mktemp", f"mkdir -p {tmp_path}/far/x/tiny.axmodel/tiny.axmodel; echo {tmp_path}/far/x")
    error = str(failure(far, model, tmp_path))
    assert "tiny.axmodel could not be copied to" in error
    assert not list((tmp_path / "far").iterdir())


def test_a_far_folder_that_cannot_be_made(far: FarSide, model: Path, tmp_path: Path) -> None:
    error = failure(far, model, tmp_path, folder=str(tmp_path / "nowhere"))
    assert "no folder could be made in" in str(error) and "mktemp" in str(error)


def test_an_unknown_host_key_is_refused_and_not_learnt(far: FarSide, model: Path, tmp_path: Path) -> None:
    far.known_hosts.write_text("")
    error = str(failure(far, model, tmp_path))
    assert "is not known here" in error and f"ssh -p {far.port} " in error
    assert far.known_hosts.read_text() == ""


def test_a_changed_host_key_is_refused(far: FarSide, model: Path, tmp_path: Path) -> None:
    key(tmp_path / "other")
    trust(far.known_hosts, far.port, tmp_path / "other.pub")
    before = far.known_hosts.read_text()
    error = str(failure(far, model, tmp_path))
    assert "is not the one in known_hosts" in error
    assert f"ssh-keygen -R '[127.0.0.1]:{far.port}'" in error
    assert far.known_hosts.read_text() == before


def test_each_way_not_to_get_in_is_told_apart(
    far: FarSide, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key(tmp_path / "stranger")
    config = tmp_path / "config"
    text = (far.root / "ssh_config").read_text()
    config.write_text(text.replace(str(far.root / "user"), str(tmp_path / "stranger"), 1))
    assert "does not let this key or user in" in str(failure(far, model, tmp_path, config=config))
    shutil.copy(far.root / "user", tmp_path / "open")
    (tmp_path / "open").chmod(0o644)
    config.write_text(text.replace(str(far.root / "user"), str(tmp_path / "open"), 1))
    assert "chmod 600" in str(failure(far, model, tmp_path, config=config))
    config.write_text("Nonsense yes\n")
    assert "does not take its configuration" in str(failure(far, model, tmp_path, config=config))
    assert "nothing answers at the ssh port" in str(failure(far, model, tmp_path, port=1))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        monkeypatch.setitem(remote_board._OPTIONS, "ConnectTimeout", "1")
        error = failure(far, model, tmp_path, port=mute.getsockname()[1])
        assert "cannot be reached (Connection timed out during banner exchange)" in str(error)
    assert "no host nowhere.invalid is known" in str(failure(far, model, tmp_path, host="nowhere.invalid"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no `ssh` on this machine" in str(failure(far, model, tmp_path))


def test_a_log_that_cannot_be_written(far: FarSide, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "run_model.log").mkdir(parents=True)
    assert "cannot be written (Is a directory" in str(failure(far, model, tmp_path))
    assert not list((tmp_path / "far").iterdir())


@pytest.mark.parametrize(
    ("names", "far_names"),
    [
        (("-oProxyCommand=touch pwned", "; touch pwned"), ("_-oProxyCommand_touch_pwned", "__touch_pwned")),
        (("$(touch pwned)", "a\ntouch pwned"), ("__touch_pwned_", "a_touch_pwned")),
        (('it\'s "mine"', "it's 'mine'"), ("it_s__mine_", "_it_s__mine_")),  # two files stay two
        (("host:猫 %h", ".leader"), ("host____h", "_.leader")),
    ],
)
def test_no_file_name_passes_for_an_option_or_a_command(
    names: tuple[str, str],
    far_names: tuple[str, str],
    far: FarSide,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in names:
        Path(name).write_text(name)
    seen = tmp_path / "seen"
    far.prints("sample_npu_classification", "sample_classification.log", f'cat "$2" "$4" > {seen}')
    board = far.board(tmp_path / "far")
    runs = remote.run(board, *map(Path, names), out=Path("out"), progress=False)
    assert runs.classification is not None and runs.classification.ok and runs.run_model.ok
    assert far.calls()[1:5] == ["-m", far_names[0], "-i", far_names[1]]
    assert seen.read_text() == "".join(names)
    assert not [*tmp_path.rglob("pwned"), *far.root.rglob("pwned")]


@pytest.mark.parametrize("name", ['it\'s "mine"', "$(touch pwned)", "猫; touch pwned `touch pwned`"])
def test_no_program_path_passes_for_shell_text(name: str, far: FarSide, model: Path, tmp_path: Path) -> None:
    path = far.prints(name, "ax_run_model.log")
    board = far.board(tmp_path / "far", run_model=str(path))
    assert remote.run(board, model, out=tmp_path / "out", progress=False).run_model.ok
    assert far.calls()[0] == str(path)
    assert not [*tmp_path.rglob("pwned"), *far.root.rglob("pwned")]


def test_a_folder_name_from_the_board_is_no_shell_text_either(far: FarSide, tmp_path: Path) -> None:
    far.program("mktemp", "echo '/nowhere/$(touch pwned)'")
    board = far.board(tmp_path / "far")
    with pytest.raises(BoardError, match="made the folder"), remote_link.far_folder(board):
        pass
