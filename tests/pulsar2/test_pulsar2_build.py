"""Builds from end to end, against stand-ins for the tool: what is started, what counts, what stays."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import pytest
from pulsar2_stand_ins import PATIENCE, StandIns, failure, run

from helpers.logs.build import BuildReader
from helpers.logs.parse_log import parse
from helpers.pulsar2 import build as pulsar2
from helpers.pulsar2.config import ConfigError
from helpers.pulsar2.tool import DOCUMENTED, Tool

ROOT = Path(__file__).parents[2]
_SPECIMEN = ROOT / "data" / "logs" / "pulsar2_build_specimen.log"
LOGS = [*sorted((ROOT / "tests" / "logs" / "logs").glob("build_*.log")), _SPECIMEN]
BROKEN_OFF = b"root@x:/data# pulsar2 build --config c\nValueError: no\n  such thing\n\nsomething else\n"


def test_the_command_native_and_of_the_documented_image(tmp_path: Path) -> None:
    paths = {"onnx": tmp_path / "m.onnx", "config": tmp_path / "c.json", "output_dir": tmp_path / "my output"}
    shown = pulsar2.build_command(DOCUMENTED, **paths, work=tmp_path)
    assert shown == [
        *("docker", "run", "--rm", "--name", "pulsar2-build", "--volume", f"{tmp_path}:/data"),
        *("--workdir", "/data", "--env", "COLUMNS=200", "--env", "PYTHONUNBUFFERED=1"),
        *("--entrypoint", "sh", "pulsar2:7.0", "-c"),
        "pulsar2 \"$@\"; s=$?; chown -hR --reference=. 'my output'; exit $s",
        *("pulsar2", "build", "--target_hardware", "AX650"),
        *("--input", "m.onnx", "--output_dir", "my output", "--config", "c.json"),
    ]
    tool = Tool("/opt/bin/pulsar2", "6.0")
    native = pulsar2.build_command(tool, **paths, work=tmp_path, target_hardware="AX620E")
    assert native == ["/opt/bin/pulsar2", "build", "--target_hardware", "AX620E", *shown[-6:]]


@pytest.mark.parametrize(
    ("folder", "name", "said"),
    [("", "--help", "option"), ("", "../m.onnx", "outside"), ("10:30", "m.onnx", "colon")],
)
def test_a_path_that_the_tool_would_not_find_is_refused(
    tmp_path: Path, folder: str, name: str, said: str
) -> None:
    work = tmp_path / folder
    with pytest.raises(ValueError, match=said):
        pulsar2.build_command(
            DOCUMENTED, onnx=work / name, config=work / "c", output_dir=work / "o", work=work
        )


@pytest.mark.parametrize("kind", ["native", "docker"])
def test_a_build(kind: str, build_inputs: list[Path], request: pytest.FixtureRequest) -> None:
    stand_ins: StandIns = request.getfixturevalue(f"{kind}_pulsar2")
    built = run(build_inputs)
    assert built.path("compiled.axmodel").read_text() == "model"
    (record,) = parse(built.path("build.log"), source="build.log")
    assert record.ok and built.facts == asdict(record) and built.facts["max_cycles"] == [450_154]
    folder = built.folder / "build"
    config = json.loads((folder / "inputs" / "pulsar2.json").read_text())
    assert config["quant"]["input_configs"][0]["calibration_dataset"] == "inputs/images of cats.tar"
    if kind == "docker":
        assert stand_ins.containers() == [] and stand_ins.calls("rm") == []
        assert stand_ins.handed_back() == [f"{folder} -hR --reference=. output"]
    stand_ins.set("behaviour", "no licence")
    assert not run(build_inputs).remade  # of the same inputs: the tool is not asked
    build_inputs[0].write_text("another graph")
    failure(build_inputs)
    assert built.path("compiled.axmodel").read_text() == "model"  # a build that fails costs no model


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("unsupported operator", "exit status 1; at the stage 'compile': NPUBackendError: Exc: AxMod op"),
        ("no licence", "at the stage 'frontend': Sentinel LDK Protection System: Sentinel key"),
        ("out of memory", "for lack of memory; at the stage 'assemble': Killed. "),
        ("no marker", "ended without its closing line"),
        ("no model", "left no compiled.axmodel"),
    ],
)
def test_a_failed_build_names_stage_error_and_log(
    docker_pulsar2: StandIns, build_inputs: list[Path], behaviour: str, said: str
) -> None:
    stale = build_inputs[0].parent / "built here" / "build" / "output" / "compiled.axmodel"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier build")
    docker_pulsar2.set("behaviour", behaviour)
    assert said in failure(build_inputs)
    assert docker_pulsar2.containers() == [] and docker_pulsar2.handed_back()


def test_a_batch_that_was_asked_for_and_not_built_is_told(
    native_pulsar2: StandIns, build_inputs: list[Path]
) -> None:
    text = build_inputs[1].read_text()
    for sizes, told in (
        ("[1, 8]", pytest.warns(UserWarning, match=r"batch \[8\] .* only \[1\]")),
        ("[1]", nullcontext()),
    ):
        build_inputs[1].write_text(text.replace("{", f'{{"compiler": {{"static_batch_sizes": {sizes}}},', 1))
        with told:
            assert run(build_inputs).remade


def test_a_configuration_that_cannot_work_starts_nothing(
    docker_pulsar2: StandIns, build_inputs: list[Path]
) -> None:
    build_inputs[1].write_text("{}")
    with pytest.raises(ConfigError, match="one archive, not 0"):
        run(build_inputs)
    assert docker_pulsar2.calls("run") == []


@pytest.mark.parametrize("kind", ["native", "docker"])
def test_a_hanging_build_is_stopped_at_its_time_limit(
    kind: str, build_inputs: list[Path], request: pytest.FixtureRequest
) -> None:
    stand_ins: StandIns = request.getfixturevalue(f"{kind}_pulsar2")
    stand_ins.set("behaviour", "hang")
    assert "was stopped after 2 s" in failure(build_inputs, timeout=2)
    if kind == "docker":
        assert ["rm", "--force", _name(stand_ins)] in stand_ins.calls("rm") and stand_ins.containers() == []


@pytest.mark.parametrize(
    ("kind", "number"), [("native", signal.SIGINT), ("docker", signal.SIGINT), ("docker", signal.SIGTERM)]
)
def test_an_interrupted_build_stops_the_tool_and_keeps_the_log(
    kind: str, number: signal.Signals, build_inputs: list[Path], request: pytest.FixtureRequest
) -> None:
    stand_ins: StandIns = request.getfixturevalue(f"{kind}_pulsar2")
    stand_ins.set("behaviour", "hang")
    script = (
        "import signal, sys; from pathlib import Path; from helpers.pulsar2.build import compile_model\n"
        "from helpers.pulsar2.tool import find_tool\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background shell ignores it
        "compile_model(*map(Path, sys.argv[1:]), tool=find_tool())\n"
    )
    out = build_inputs[0].parent / "built here"
    child = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, build_inputs), str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    log = out / "build" / "build.log"
    deadline = time.monotonic() + PATIENCE
    while not (log.exists() and b"68/68" in log.read_bytes()) and time.monotonic() < deadline:
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    child.send_signal(number)
    if kind == "docker":
        time.sleep(0.1)
        child.send_signal(number)  # impatient; the container must be stopped all the same
    _, stderr = child.communicate(timeout=PATIENCE)
    assert child.returncode == 143 if number == signal.SIGTERM else "KeyboardInterrupt" in stderr
    assert log.read_bytes().rstrip().endswith(b"68/68 0:00:00")
    if kind == "docker":
        assert ["rm", "--force", _name(stand_ins)] in stand_ins.calls("rm") and stand_ins.containers() == []
        assert stand_ins.handed_back() == [f"{out / 'build'} -hR --reference=. output"]


def _name(stand_ins: StandIns) -> str:
    (words,) = stand_ins.calls("run")
    return words[words.index("--name") + 1]


def test_a_container_that_may_still_run_is_named(docker_pulsar2: StandIns, build_inputs: list[Path]) -> None:
    docker_pulsar2.set("behaviour", "daemon goes")
    with pytest.warns(UserWarning, match="docker rm --force pulsar2-build-"):
        failure(build_inputs)


@pytest.mark.parametrize("text", [*(path.read_bytes() for path in LOGS), BROKEN_OFF], ids=len)
def test_what_is_read_while_it_runs_is_what_is_read_afterwards(text: bytes) -> None:
    (afterwards,) = parse(io.BytesIO(text), source="s")
    text = text.replace(b"\n", b"\r\n").replace("━".encode(), "\x1b[32m━\x1b[0m".encode())
    follower = pulsar2._Follower(BuildReader(source="s"))
    for line in text.splitlines(keepends=True):
        follower.read(line)
    assert follower.close() == afterwards


def test_the_bar_names_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    follower = pulsar2._Follower(BuildReader(source="s"))
    follower.read(b"[10:00:00] AX Runtime Calibration Pass Running ...\n")
    follower.read(b"Calibration Progress(Phase 1):   3%|#  | 7/32 [00:00<00:03,  9.10it/s]\r\n")
    follower.close()
    assert "calibrate:" in capsys.readouterr().err
