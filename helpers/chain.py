"""The one way, as a chain of steps: each makes what is missing, and the first that cannot go on ends it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.artifacts import Facts, GateFailed, file_hash
from helpers.board.forecast import COUNTED, forecast
from helpers.board.run import run_once, speed
from helpers.board.ssh import Board
from helpers.detect.export import export
from helpers.graph.preprocess import BoardInput
from helpers.logs.parse_log import parse
from helpers.pulsar2.archive import calibrate
from helpers.pulsar2.build import build_command, compile_model
from helpers.pulsar2.config import batches, configure, validate
from helpers.pulsar2.preflight import preflight
from helpers.pulsar2.rehearse import rehearse
from helpers.pulsar2.schema import Hardware, NpuMode
from helpers.pulsar2.tool import DOCUMENTED, Pulsar2Missing, find_tool
from helpers.quant import NoRule

STEPS = ("export", "calibrate", "rehearse", "configure", "preflight", "build", "run-board", "parse-log")
WORDS = {True: "made", False: "kept", None: "read"}


@dataclass(frozen=True)
class Done:
    """One step that was done: what it left, whether it had to work for it (None: it made nothing)."""

    step: str
    artifact: Path
    remade: bool | None
    summary: str

    def __str__(self) -> str:
        return f"{self.step:<9}  {WORDS[self.remade]}  {self.artifact}  ({self.summary})"


class CannotGoOn(RuntimeError):
    """A step needs what is not here; the message says what, and how to go on elsewhere."""


def deploy(
    model: str,
    out: Path,
    *,
    checkpoint: str | Path | None = None,
    images: Path | str = "",
    board_input: BoardInput = "bgr",
    target_hardware: Hardware = "AX650",
    npu_mode: NpuMode = "NPU1",
    batch: int = 1,
    static_batch_sizes: Sequence[int] = (),
    max_dynamic_batch_size: int = 0,
    image_size: int | None = None,
    host: str = "",
) -> Iterator[Done]:
    """Each of STEPS when it is done, with its artifacts in `out`; a second call keeps what is the same.

    The arguments are those of the steps; the graph has one image, of which the compiler makes the batch.
    Raises CannotGoOn where Pulsar2 or a board is missing, GateFailed where preflight fails or the board's run
    did, and what the steps raise; what was made before stays.
    """
    sizes = batches(batch, static_batch_sizes, max_dynamic_batch_size)
    validate({"target_hardware": target_hardware, "npu_mode": npu_mode, "compiler": sizes})  # before work
    board = Board.at(host) if host else None
    exported = export(model, out, checkpoint=checkpoint, image_size=image_size, board_input=board_input)
    graph, made = exported.simplified, file_hash(exported.simplified)
    told = f"{exported.nodes_simplified} nodes, weights {exported.weights}, parity {exported.parity:.1e}"
    yield Done("export", graph, exported.remade, told)

    archive = calibrate(out, exported.preprocessing, images=images)
    told = f"{archive.count} pictures" + (", stand-ins: cuts of one photo" if archive.stand_in else "")
    yield Done("calibrate", archive.path, archive.remade, told)

    layer_configs: list[Facts] = []
    try:
        rehearsed = rehearse(graph, archive.path, out)
    except NoRule as error:
        yield Done("rehearse", graph, None, f"left out: {error}")
    else:
        layer_configs = rehearsed.facts["layer_configs"]
        told = f"INT8 in ONNX Runtime, a stand-in for the NPU: SQNR {rehearsed.facts['sqnr_db']:.1f} dB"
        yield Done("rehearse", rehearsed.path("model-int8.onnx"), rehearsed.remade, told)

    configured = configure(
        out,
        exported.preprocessing,
        calibration=archive.path,
        target_hardware=target_hardware,
        npu_mode=npu_mode,
        batch=batch,
        static_batch_sizes=static_batch_sizes,
        max_dynamic_batch_size=max_dynamic_batch_size,
        layer_configs=layer_configs,
    )
    config = configured.path("pulsar2.json")
    yield Done("configure", config, configured.remade, f"{npu_mode}, fed {board_input}")

    findings = preflight(graph, config, archive.path)
    if wrong := [str(finding) for finding in findings if finding.level == "fail"]:
        raise GateFailed("\n".join(wrong))
    if file_hash(graph) != made:
        raise GateFailed(f"another process has made {graph} anew: give each deploy a folder of its own")
    warnings = [str(finding) for finding in findings if finding.level == "warn"]
    told = "; ".join([f"{len(findings)} checks, {len(warnings)} warnings", *warnings])
    yield Done("preflight", config, None, told)

    try:
        tool = find_tool()
    except Pulsar2Missing as missing:
        raise CannotGoOn(
            f"{missing}\nor build where it is, in {out}: {elsewhere(out, target_hardware)}"
        ) from None
    built = compile_model(graph, config, archive.path, out, tool=tool)
    axmodel = built.path("compiled.axmodel")
    yield Done("build", axmodel, built.remade, f"Pulsar2 {tool.version}, {built.facts['macs']} MACs")

    if board is None:
        given = shlex.join(["--axmodel", str(axmodel), "--host", "HOST", "--out", str(out)])
        raise CannotGoOn(f"no board was named: give --host here, or `python -m helpers run-board {given}`")
    ran = run_once(board, axmodel, out, batch=batch if batch > 1 else 0)
    log = ran.path("board.log")
    yield Done("run-board", log, ran.remade, host)
    times = [record.latency_ms.avg or 0 for record in parse(log) if record.kind == "board_run"]
    yield Done("parse-log", log, None, f"{speed(ran.facts['images'], times[-1])}, engine NPU, device {host}")


def row(
    out: Path,
    inputs: Mapping[str, Path],
    *,
    model: str,
    npu_mode: NpuMode,
    batch: int,
    host: str,
    **given: Any,
) -> Facts:
    """A sweep's row: of `host`, else of the compiler, else of the forecast, which knows batch 8 only.

    Tasks that differ in the board share a build. Raises CannotGoOn where a board was named and Pulsar2 is
    missing, and what `deploy` and `run_once` raise.
    """
    macs_m, params_m = COUNTED[model]
    predicted = forecast(macs_m=macs_m, params_m=params_m) if batch == 8 else {}
    found: Facts = {"forecast": predicted[npu_mode].fps if npu_mode in predicted else None}
    folder = out.parents[1] / "deploy" / f"{model}-{npu_mode}-{batch}"
    given["checkpoint"] = inputs.get("checkpoint", given["checkpoint"])
    try:
        tool = find_tool()
    except Pulsar2Missing as missing:
        if host:
            raise CannotGoOn(str(missing)) from None
        return found | {"engine": "forecast", "device": "Pulsar2 is missing", "state": "stand-in"}
    with suppress(CannotGoOn):  # as it is not told of a board
        for _ in deploy(model, folder, npu_mode=npu_mode, batch=batch, **given):
            pass
    if not host:
        return found | {"engine": f"Pulsar2 {tool.version}", "device": "compiled only"}
    axmodel = folder / "compiled.axmodel"
    ran = run_once(Board.at(host), axmodel, out, batch=batch if batch > 1 else 0).facts
    ms = ran["runs"][-1]["latency_ms"]["avg"]
    return found | {"engine": "NPU", "device": host, "ms": ms, "fps": 1000 * ran["images"] / ms}


def elsewhere(out: Path, target_hardware: Hardware) -> str:
    """The command that builds what lies in `out`, for a machine that has Pulsar2."""
    command = build_command(
        DOCUMENTED,
        onnx=out / "model-sim.onnx",
        config=out / "pulsar2.json",
        output_dir=out / "output",
        work=out,
        target_hardware=target_hardware,
    )
    return shlex.join(command).replace(str(out.resolve()), "$PWD")
