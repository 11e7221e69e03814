"""Stand-in executables for the tests of a build: a `pulsar2`, and a `docker` that has no daemon but a folder.

The log below is our own text in the format of published build logs.
"""

import json
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE

from helpers.pulsar2 import pulsar2

IMAGES = {"pulsar2:7.0": ["bash"], "pulsar2:6.0-lite": None}
BUILD_CONFIG = """{
  "npu_mode": "NPU1",  // comments are legal for the tool
  "quant": {"input_configs": [{"tensor_name": "input", "calibration_dataset": "/elsewhere/images.tar"}]}
}"""
DOC_STRING = b"\x32\x2dPulsar2 Version:  7.0\nPulsar2 Commit: 0123abcd\x3a\x00"

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
    (output / config.get("output_name", "compiled.axmodel")).write_bytes(bytes.fromhex(MODEL))
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
        print("[]")
        fail(f"Error response from daemon: No such image: {arguments[2]}")
    print(json.dumps([{"Id": "sha256:feed", "Config": {"Entrypoint": images[arguments[2]]}}]))
elif arguments[0] in ("kill", "rm"):
    record = STATE / "containers" / arguments[-1]
    if not record.exists():
        fail(f"Error response from daemon: No such container: {arguments[-1]}")
    os.killpg(int(record.read_text()), signal.SIGKILL)
    record.unlink()
elif arguments[0] == "run":
    options, flags, rest = {}, set(), arguments[1:]
    while rest[0].startswith("-"):
        if rest[0] in ("--rm", "-t", "-i"):
            flags.add(rest.pop(0))
        else:
            options.setdefault(rest.pop(0), []).append(rest.pop(0))
    image, *words = rest
    if "--user" in options or "-u" in options:
        fail("KeyError: 'getpwuid(): uid not found: 1000'")
    if image not in images:
        fail(f"docker: Error response from daemon: no {image}\n\nRun 'docker run --help'", 125)
    words = (options["--entrypoint"] if "--entrypoint" in options else images[image] or []) + words
    host, mount = options["--volume"][0].split(":")
    assert mount == options["--workdir"][0] == "/data" and "--rm" in flags
    if words[0] == "chown":
        sys.exit(0)
    if words[0] != "pulsar2":
        fail(f"/usr/local/bin/{words[1]}: /usr/local/bin/{words[1]}: cannot execute binary file", 126)
    name = options["--name"][0]
    output = STATE / f"{name}.output"
    with output.open("wb") as sink:  # a session of its own: it outlives this client, as a container does
        command = [sys.executable, "-SE", TOOL, *words[1:]]
        container = subprocess.Popen(command, cwd=host, stdout=sink, stderr=sink, start_new_session=True)
    record = STATE / "containers" / name
    record.write_text(str(container.pid))
    (STATE / "pid").write_text(str(container.pid))
    with output.open("rb") as source:
        ended = False
        while not ended:
            ended = container.poll() is not None
            sys.stdout.buffer.write(source.read())
            sys.stdout.buffer.flush()
            time.sleep(0.005)
    record.unlink(missing_ok=True)
    sys.exit(137 if container.returncode < 0 else container.returncode)
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

    def container_lives(self) -> bool:
        """Whether the process of the last container runs; a zombie that nobody reaped does not count."""
        try:
            pid = int((self.state / "pid").read_text())
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return False
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def install(
    folder: Path, *, native: bool = False, images: Mapping[str, Sequence[str] | None] | None = None
) -> StandIns:
    """Writes a `pulsar2` when `native`, and a `docker` that has `images` (name to entry point) when given."""
    stand_ins = StandIns(path=folder / "bin", state=folder / "state")
    for needed in (stand_ins.path, stand_ins.state / "containers"):
        needed.mkdir(parents=True)
    stand_ins.set("behaviour", "success")
    stand_ins.set("daemon", "runs")
    tool = stand_ins.state / "pulsar2"
    _write(tool, _PULSAR2, STATE=stand_ins.state, MODEL=DOC_STRING.hex())
    if native:
        _write(stand_ins.path / "pulsar2", _PULSAR2, STATE=stand_ins.state, MODEL=DOC_STRING.hex())
    if images is not None:
        stand_ins.set("images", json.dumps(images))
        _write(stand_ins.path / "docker", _DOCKER, STATE=stand_ins.state, TOOL=str(tool))
    return stand_ins


def _write(path: Path, script: str, **constants: Any) -> None:
    values = "".join(
        f"{name} = pathlib.Path({str(value)!r})\n" if isinstance(value, Path) else f"{name} = {value!r}\n"
        for name, value in constants.items()
    )
    path.write_text(f"#!{sys.executable} -SE\nimport pathlib\n{values}{script}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def read(log: Path) -> str:
    return log.read_text(encoding="utf-8")


def run(inputs: list[Path], *, timeout: float = PATIENCE, progress: bool = False) -> pulsar2.Build[str]:
    output = inputs[0].parent / "built"
    return pulsar2.build(*inputs, output, parse=read, timeout=timeout, progress=progress)


def failure(inputs: list[Path], *, timeout: float = PATIENCE) -> pulsar2.BuildFailed:
    with pytest.raises(pulsar2.BuildFailed) as caught:
        run(inputs, timeout=timeout)
    assert "\n" not in str(caught.value)
    return caught.value
