"""Builds that do not come to their end, and what they leave: time limit, interrupt, full disk, lost parts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pulsar2_stand_ins import StandIns, failure, run
from waiting import out_of_time_when, wait_until

from helpers.lab.paths import ROOT
from helpers.pulsar2 import container

LAST = b"68/68 0:00:00"  # what the stand-in says before it hangs


@pytest.mark.parametrize("kind", ["native", "docker"])
def test_a_hanging_build_is_stopped_at_its_time_limit(
    kind: str, build_inputs: list[Path], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_ins: StandIns = request.getfixturevalue(f"{kind}_pulsar2")
    stand_ins.set("behaviour", "hang")
    log = build_inputs[0].parent / "built" / "build.log"
    out_of_time_when(lambda: log.exists() and LAST in log.read_bytes(), monkeypatch)
    failed = failure(build_inputs, timeout=7000)
    assert "was stopped after 7000 s at the stage '" in str(failed)
    assert failed.log == log
    if kind == "docker":
        assert _is_clean(stand_ins)


@pytest.mark.parametrize(
    ("kind", "number"), [("native", signal.SIGINT), ("docker", signal.SIGINT), ("docker", signal.SIGTERM)]
)
def test_an_interrupted_build_stops_the_tool_and_keeps_the_log(
    kind: str, number: signal.Signals, build_inputs: list[Path], request: pytest.FixtureRequest
) -> None:
    stand_ins: StandIns = request.getfixturevalue(f"{kind}_pulsar2")
    stand_ins.set("behaviour", "hang")
    script = (
        "import signal, sys; from pathlib import Path; from helpers.pulsar2 import pulsar2\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background shell ignores it
        "pulsar2.build(*map(Path, sys.argv[1:]), parse=Path.exists, progress=False)\n"
    )
    output = build_inputs[0].parent / "built"
    child = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, build_inputs), str(output)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    log = output / "build.log"
    wait_until(lambda: child.poll() is not None or (log.exists() and LAST in log.read_bytes()))
    child.send_signal(number)
    wait_until(lambda: child.poll() is not None or stand_ins.calls("kill"))
    child.send_signal(number)  # impatient; the container must be stopped all the same
    _, stderr = child.communicate()
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in stderr
    else:
        assert child.returncode == 143
    assert log.read_bytes().rstrip().endswith(LAST)
    if kind == "docker":
        assert _is_clean(stand_ins)


def _is_clean(stand_ins: StandIns) -> bool:
    name = stand_ins.calls("run")[0][stand_ins.calls("run")[0].index("--name") + 1]
    killed = ["kill", name] in stand_ins.calls("kill")
    return killed and stand_ins.containers() == [] and not stand_ins.container_lives()


def test_files_of_root_are_handed_back_from_inside_a_container(
    docker_pulsar2: StandIns, build_inputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "caller", lambda: (54321, 54322))
    with pytest.warns(UserWarning, match="sudo chown -R 54321:54322"):  # this stand-in's chown does nothing
        run(build_inputs)
    build, chown = docker_pulsar2.calls("run")
    assert chown[-5:] == ["chown", "pulsar2:7.0", "-hR", "54321:54322", "."]
    assert chown[chown.index("--volume") + 1] == f"{build_inputs[0].parent / 'built' / 'output'}:/data"
    assert "--user" not in build and "-u" not in build


def test_a_full_disk_is_one_sentence(native_pulsar2: StandIns, build_inputs: list[Path]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (build_inputs[0].parent / "built").mkdir()
    (build_inputs[0].parent / "built" / "build.log").symlink_to("/dev/full")
    assert "is full: free some space" in str(failure(build_inputs))


def test_a_missing_input_or_an_unusable_output_starts_nothing(
    docker_pulsar2: StandIns, build_inputs: list[Path]
) -> None:
    (build_inputs[0].parent / "built").write_text("a file")
    assert "use another folder" in str(failure(build_inputs))
    (build_inputs[0].parent / "built").unlink()
    for index, said in ((2, "calibration archive"), (0, "ONNX file"), (1, "no such file")):
        build_inputs[index].unlink()
        failed = failure(build_inputs)
        assert said in str(failed) and failed.log is None
    assert docker_pulsar2.calls("run") == []
