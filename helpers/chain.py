"""The one way, as a chain of steps: each makes what is missing, and the first that cannot go on ends it.

export → calibrate → rehearse → configure → preflight → build → run-board → parse-log
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helpers.graph.export import export
from helpers.graph.preprocess import BoardInput
from helpers.published import DATA
from helpers.pulsar2.archive import calibrate
from helpers.pulsar2.build import DOCUMENTED, Pulsar2Missing, Tool, build_command, find_tool
from helpers.pulsar2.config import configure
from helpers.pulsar2.rehearse import rehearse

STEPS = ("export", "calibrate", "rehearse", "configure", "preflight", "build", "run-board", "parse-log")
PHOTO = DATA / "images" / "chelsea.jpg"


@dataclass(frozen=True)
class Done:
    """One step that was reached: what it made, whether it had to work for it, and what to know of it."""

    step: str
    artifact: Path
    remade: bool
    summary: str

    def __str__(self) -> str:
        return f"{self.step:<10} {'made' if self.remade else 'kept'}  {self.artifact}  {self.summary}"


class CannotGoOn(RuntimeError):
    """A step that needs what is not here; the message says what to do to have it."""


def deploy(
    model: str,
    out: Path,
    *,
    checkpoint: str | Path | None = None,
    images: Path | None = None,
    board_input: BoardInput = "bgr",
    npu_mode: str = "NPU1",
    batch: int = 1,
    host: str | None = None,
    tool: Tool | None = None,
) -> Iterator[Done]:
    """Each step of STEPS when it is done, one after the other, its artifacts in `out`.

    Raises CannotGoOn before the build where Pulsar2 is missing, and before the run without a `host`; GateFailed
    where preflight fails; and what the steps raise. What was made stays, and a second call goes on from there.
    """
    exported = export(model, out, checkpoint=checkpoint, batch=batch, board_input=board_input)
    yield Done("export", exported.simplified, exported.remade, _exported(exported))
    calibrated = calibrate(out, exported.preprocessing, images=images)
    yield Done("calibrate", calibrated.path, calibrated.remade, _calibrated(calibrated))
    rehearsed = rehearse(exported.simplified, calibrated.path, out)
    yield Done("rehearse", rehearsed.quantized, rehearsed.remade, _rehearsed(rehearsed))
    config = configure(
        out,
        exported.preprocessing,
        calibration_dataset=calibrated.path.name,
        npu_mode=npu_mode,
        layer_configs=rehearsed.layer_configs,
    )
    yield Done("configure", config.path("pulsar2.json"), config.remade, npu_mode)
    checked = preflight(exported.simplified, config.path("pulsar2.json"), calibrated.path, out)
    yield Done("preflight", out / "preflight.json", checked.remade, _preflighted(checked))
    try:
        tool = tool or find_tool()
    except Pulsar2Missing as missing:
        raise CannotGoOn(f"{missing}; or run this where it is: {build_line(out, board_input)}") from missing
    built = build(exported.simplified, config.path("pulsar2.json"), calibrated.path, out, tool=tool)
    yield Done("build", built.path("compiled.axmodel"), built.remade, _built(built))
    if host is None:
        raise CannotGoOn(
            f"no board was named: `python -m helpers run-board --axmodel {built.path('compiled.axmodel')} "
            "--host HOST`, or give --host here"
        )
    ran = run_board(host, built.path("compiled.axmodel"), out, image=photo_of(images))
    yield Done("run-board", ran.path("board.log"), ran.remade, host)
    yield Done("parse-log", out / "board.json", ran.remade, _row(ran.facts))


def build_line(work: Path, board_input: str) -> str:
    """The command that builds what lies in `work`, for where no tool is installed."""
    command = build_command(
        DOCUMENTED,
        onnx=work / "model-sim.onnx",
        config=work / "pulsar2.json",
        output_dir=work / "output",
        work=work,
    )
    return shlex.join(command)
