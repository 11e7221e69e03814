"""Stand-in executables for the tests of a build: a `pulsar2`, and a `docker` that has no daemon but a folder.

The log below is our own text in the format of published build logs.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from waiting import PATIENCE

from helpers.artifacts import Made
from helpers.pulsar2.build import BuildFailed, compile_model
from helpers.pulsar2.tool import find_tool

IMAGES = ("pulsar2:7.0", "pulsar2:6.0-lite")
BUILD_CONFIG = """{
  "npu_mode": "NPU1",  // comments are legal for the tool
  "quant": {"input_configs": [{"tensor_name": "input", "calibration_dataset": "/elsewhere/images.tar"}]}
}"""

_PULSAR2 = r"""
import json, sys, time
from pathlib import Path

def say(text, end="\n"):
    sys.stdout.buffer.write((text + end).encode())
    sys.stdout.buffer.flush()
    time.sleep(0.002)

def info(where, text, level="INFO"):
    say(f"2026-08-01 10:00:00.000 | {level:<8} | {where}:77 - {text}")

behaviour = (STATE / "behaviour").read_text()
if sys.argv[1:] == ["version"]:
    if behaviour == "mute":
        time.sleep(1000)
    say("version: 6.0\ncommit: 89abcdef")
    sys.exit(0)
assert sys.argv[1] == "build", sys.argv
options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
assert options["--target_hardware"] == "AX650", options
config = json.loads(Path(options["--config"]).read_text())
archive = Path(config["quant"]["input_configs"][0]["calibration_dataset"])
for needed in (Path(options["--input"]), archive):
    if needed.is_absolute() or not needed.is_file():
        say(f"FileNotFoundError: [Errno 2] No such file or directory: '{needed}'")
        sys.exit(1)
output = Path(options["--output_dir"])
output.mkdir(exist_ok=True)
if behaviour == "no licence":
    say("Sentinel LDK Protection System: Sentinel key not found (H0007)")
    sys.exit(1)
info("yamain.command.build:fill_default", "apply default output processor to ['logits']", "WARNING")
info("yamain.common.util:extract_archive", f"extract [{archive}] to [{output}/quant/dataset/input]...")
say("4 File(s) Loaded.")
say("Building onnx ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 100% 0:00:00")
say("                               Quant Config Table")
for done in range(5):
    bar = f"{25 * done:3d}%|████      | {done}/4 [00:00<00:00,  9.10it/s]"
    say(f"\rCalibration Progress(Phase 1): {bar}", end="")
say("")
say("[10:00:01] AX Quantization Alignment Pass Running ...")
say("Building native ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 100% 0:00:00")
info("axnn.yamain.command.build:compile_ptq_model", "group 0 compiler transformation")
say("tiling op...   ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 68/68 0:00:00")
if behaviour == "hang":
    time.sleep(1000)
if behaviour == "daemon goes":
    (STATE / "daemon").write_text("absent")
    sys.exit(1)
if behaviour == "unsupported operator":
    say("Traceback (most recent call last):")
    say('  File "<frozen yamain.command.build>", line 1169, in compile_ptq_model')
    say("yasched.exceptions.TileFailException: AxMod, AxMod dont support")
    say("    op: /stage/Mod")
    say("During handling of the above exception, another exception occurred:")
    say("axnn.yamain.common.error.CodeException: (<ErrorCode.NPUBackendError: 8>, Exc('AxMod'))")
    say("    op: /stage/Mod")
    sys.exit(1)
info("yasched.test_onepass:results2model", "max_cycle = 450,154")
if behaviour == "out of memory":
    say("Killed")
    sys.exit(137)
info("yamain.compiler.npu_backend_compiler:compile", "assemble model [0] [subgraph_npu_0] b1")
if behaviour != "no model":
    (output / config.get("output_name", "compiled.axmodel")).write_text("model")
if behaviour != "no marker":
    info("axnn.yamain.command.build:compile_ptq_model", "fuse 1 subgraph(s)")
"""

_DOCKER = r"""
import json, os, signal, subprocess, sys, time
from pathlib import Path

arguments = sys.argv[1:]
with (STATE / "calls").open("a") as calls:
    calls.write(json.dumps(arguments) + "\n")
images = json.loads((STATE / "images").read_text())
daemon = (STATE / "daemon").read_text()
inside = {**os.environ, "PATH": f"{STATE}/inside:/usr/bin:/bin"}

def fail(text, status=1):
    print(text, file=sys.stderr)
    sys.exit(status)

if daemon == "hangs":
    time.sleep(1000)
if daemon == "absent":
    fail("Cannot connect to the Docker daemon at unix:///nowhere.sock. Is the docker daemon running?")
if arguments[0] == "images":
    print("\n".join(images))
elif arguments[:2] == ["image", "inspect"]:
    if arguments[2] not in images:
        fail(f"Error response from daemon: No such image: {arguments[2]}")
elif arguments[0] in ("exec", "rm"):
    record = STATE / "containers" / arguments[2 if arguments[0] == "rm" else 1]
    if not record.exists():
        fail(f"Error response from daemon: No such container: {record.name}")
    pid, host = json.loads(record.read_text())
    if arguments[0] == "exec":
        sys.exit(subprocess.call(arguments[2:], cwd=host, env=inside))
    os.killpg(pid, signal.SIGKILL)
    record.unlink()
elif arguments[0] == "run":
    options, rest = {}, arguments[2:]
    while rest[0].startswith("-"):
        options.setdefault(rest.pop(0), []).append(rest.pop(0))
    image, *words = rest
    host, mount = options["--volume"][0].split(":")
    assert mount == options["--workdir"][0] == "/data" and arguments[1] == "--rm"
    name = options["--name"][0]
    output = STATE / f"{name}.output"
    with output.open("wb") as sink:  # a session of its own: it outlives this client, as a container does
        command = [*options["--entrypoint"], *words]
        container = subprocess.Popen(
            command, cwd=host, stdout=sink, stderr=sink, start_new_session=True, env=inside
        )
    record = STATE / "containers" / name
    record.write_text(json.dumps([container.pid, host]))
    with output.open("rb") as source:
        ended = False
        while not ended:
            ended = container.poll() is not None
            sys.stdout.buffer.write(source.read())
            sys.stdout.buffer.flush()
            time.sleep(0.005)
    record.unlink(missing_ok=True)
    sys.exit(container.returncode)
else:
    fail(f"unknown command: docker {arguments[0]}")
"""


@dataclass(frozen=True)
class StandIns:
    """The folder to put on PATH, and the folder in which the stand-ins keep their state."""

    path: Path
    state: Path

    def set(self, name: str, value: str) -> None:
        (self.state / name).write_text(value)

    def calls(self, command: str) -> list[list[str]]:
        """The argument lists with which `docker COMMAND` was called."""
        lines = (self.state / "calls").read_text().splitlines() if (self.state / "calls").exists() else []
        return [words for words in map(json.loads, lines) if words[0] == command]

    def containers(self) -> list[str]:
        return [record.name for record in (self.state / "containers").iterdir()]

    def handed_back(self) -> list[str]:
        """What `chown` was called with in a container, after the folder that it was called in."""
        return (self.state / "chown").read_text().splitlines() if (self.state / "chown").exists() else []


def install(folder: Path, *, native: bool = False, images: Sequence[str] | None = None) -> StandIns:
    """Writes a `pulsar2` when `native`, and a `docker` that has `images` when given."""
    stand_ins = StandIns(path=folder / "bin", state=folder / "state")
    for needed in (stand_ins.path, stand_ins.state / "containers", stand_ins.state / "inside"):
        needed.mkdir(parents=True)
    stand_ins.set("behaviour", "success")
    stand_ins.set("daemon", "runs")
    for place in (stand_ins.state / "inside", *([stand_ins.path] if native else [])):
        _write(place / "pulsar2", f"#!{sys.executable} -SE", _PULSAR2, stand_ins.state)
    if images is not None:
        stand_ins.set("images", json.dumps(images))
        _write(stand_ins.path / "docker", f"#!{sys.executable} -SE", _DOCKER, stand_ins.state)
        chown = stand_ins.state / "inside" / "chown"
        chown.write_text(f'#!/bin/sh\necho "$PWD" "$@" >> {shlex.quote(str(stand_ins.state))}/chown\n')
        chown.chmod(0o755)
    return stand_ins


def _write(path: Path, shebang: str, script: str, state: Path) -> None:
    constants = f"import pathlib\nSTATE = pathlib.Path({str(state)!r})\n"
    path.write_text(f"{shebang}\n{constants}{script}", encoding="utf-8")
    path.chmod(0o755)


def run(inputs: list[Path], *, timeout: float = PATIENCE) -> Made:
    return compile_model(*inputs, inputs[0].parent / "built here", tool=find_tool(), timeout=timeout)


def failure(inputs: list[Path], *, timeout: float = PATIENCE) -> str:
    """What a build that fails says: one line, which names the log that stays."""
    with pytest.raises(BuildFailed) as caught:
        run(inputs, timeout=timeout)
    log = inputs[0].parent / "built here" / "build" / "build.log"
    assert log.is_file() and str(log) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)
