"""`python -m helpers …`: what the notebooks do, for a shell or a CI job."""

import json
import os
import re
import shlex
import signal
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from helpers.files import PHOTO, in_words
from helpers.graph import OPSET

OK, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130  # exit statuses

SWEPT = "--table --workers --scheduler --limit-s"
# What the examples give to options.
EXAMPLE = (
    "--model efficientvit_m0 --checkpoint my.pth --images my_pictures --onnx out/model-sim.onnx "
    "--config out/pulsar2.json --calibration out/calibration.tar --axmodel out/compiled.axmodel "
    "--host my-board --out out"
)
FLAG = "store_true"
# What is not given is not passed on: a default stands in the function that has it.
OPTIONS: dict[str, dict[str, Any]] = {
    "--model": {"help": "efficientvit_m0 to _m5, _m4_retinanet, pocket, or timm/NAME for a classifier"},
    "--out": {"type": Path, "help": "the folder to write into"},
    "--checkpoint": {
        "help": "file, timm or random (default: EFFICIENTVIT_CHECKPOINT, else cached, else random)"
    },
    "--image-size": {"type": int, "help": "pixels of a side (default 224, the detector's 448)"},
    "--images": {
        "help": "a folder of pictures (default: cuts of one photo; of a sweep: drawings and photographs); "
        "run-board: one with a folder per class; it then tells how often the model is right, and no times "
        "(needs python3 and pyaxengine there)",
    },
    "--board-input": {"help": "order of colours: bgr, of the C++ samples (default), or rgb"},
    "--target-hardware": {"help": "the chip (default AX650)"},
    "--npu-mode": {"help": "compile for one (NPU1, default), two (NPU2) or all three (NPU3) of the cores"},
    "--batch": {
        "type": int,
        "metavar": "N",
        "help": "images per run (default 1): export writes them into the graph; deploy and configure compile "
        "a graph of one for them, as --static-batch-sizes N; run-board asks ax_run_model for them",
    },
    "--static-batch-sizes": {
        "type": int,
        "nargs": "+",
        "metavar": "N",
        "help": "compile a graph of one for these batches; a run of another is split into them",
    },
    "--max-dynamic-batch-size": {
        "type": int,
        "metavar": "N",
        "help": "let the compiler double the batch up to this, for as long as it gains",
    },
    "--host": {"help": "the board: [USER@]NAME, an alias of your ssh settings, or local: this machine"},
    "--until": {"metavar": "STEP", "help": "stop after this step"},
    "--epochs": {"type": int, "help": "times through the pictures (default 20; 0: the head alone)"},
    "--seed": {"type": int, "help": "of the pictures held out, and of the training (default 0)"},
    "--opset": {"type": int, "help": f"11 to 18 (default {OPSET})"},
    "--keep-residuals": {"action": FLAG, "help": "more operators, less loss in INT8 (chapter 06)"},
    "--onnx": {"type": Path, "help": "the graph"},
    "--calibration": {"type": Path, "help": "the calibration archive: .tar, .tar.gz or .zip"},
    "--config": {"type": Path, "help": "the build configuration: .json, .yaml or .toml"},
    "--docker-image": {"help": "such as pulsar2:7.0 (default: pulsar2 on PATH, else the newest image)"},
    "--axmodel": {"type": Path, "help": "the compiled model"},
    "--photo": {"type": Path, "help": "what it looks at (default: the tutorial's cat)"},
    "--repeats": {"type": int, "help": "runs that are timed (default 100)"},
    "--affinity": {
        "type": int,
        "metavar": "MASK",
        "help": "of the cores that a model for NPU1 may take, so that three run side by side: 1, 2 or 4, or "
        "a sum (default: the cores work together, and any model runs)",
    },
    "files": {"nargs": "+", "metavar": "FILE"},
    "--macs-m": {"type": float, "help": "million MACs per image, where no graph is given"},
    "--params-m": {"type": float, "help": "million parameters"},
    "source": {"choices": ["timm"], "help": "its hub, which --checkpoint timm asks as well"},
    "numbers": {"nargs": "*", "metavar": "CHAPTER", "help": "only these, such as 05 07"},
    "--from": {"dest": "start", "metavar": "CHAPTER", "help": "only this one and those after it"},
    "--fresh": {"action": FLAG, "help": "keep none"},
    "--commit-outputs": {"action": FLAG, "help": "run all afresh, then put them into notebooks/"},
    "chapter": {"nargs": "?", "help": "its number, such as 05"},
    "stray": {"nargs": "*", "help": SUPPRESS},
    "--list": {"action": FLAG, "dest": "only_list", "help": "the chapters, or the parameters of one"},
    "--models": {"nargs": "+", "metavar": "MODEL", "help": "all (default), or names, also pocket and lite0"},
    "--precision": {"dest": "precisions", "nargs": "+", "choices": ["float", "int8", "mixed"]},
    "--labels": {"type": Path, "help": "for pictures side by side, a file: a picture and its class a line"},
    "--limit": {"type": int, "help": "judge so many pictures, spread over all"},
    "--npu-mode+": {"nargs": "+", "help": "NPU1 and NPU3 by default"},
    "--batch+": {"type": int, "nargs": "+", "help": "images per run (default 1 and 8)"},
    "--host+": {"nargs": "+", "help": "boards, each of which runs one model at a time"},
    "-p+": {"dest": "grid", "nargs": "+", "action": "append", "metavar": ("NAME", "VALUE")},
    "--table": {"type": Path, "metavar": "DIR", "help": "the folder of the table (default build/sweep)"},
    "--workers": {"type": int, "help": "processes here (default 1)"},
    "--scheduler": {"help": "a Dask cluster instead, such as tcp://host:8786"},
    "--limit-s": {"type": float, "metavar": "S", "help": "seconds that a task may take (default 4 hours)"},
    "of": {"choices": ["accuracy", "speed", "run"]},
    "--format": {"dest": "form", "choices": ["text", "markdown", "csv"]},
    "-p": {"dest": "parameters", "nargs": 2, "action": "append", "metavar": ("NAME", "VALUE")},
    "--device": {"help": "measure the networks on cuda (or cpu) instead, into data/measured/"},
}


Run = Callable[..., int | None]
PARSER = ArgumentParser(prog="python -m helpers", description=__doc__)
COMMANDS = PARSER.add_subparsers(dest="name", required=True, metavar="COMMAND")
_SWEEP = COMMANDS.add_parser("sweep", help="many tasks, one table, on one machine or on many")
SWEEPS = _SWEEP.add_subparsers(dest="kind", required=True, metavar="WHAT")


def command(options: str = "", example: str = "", *, sweep: str = "", does: str = "") -> Callable[[Run], Run]:
    """Makes a function a command, or a `sweep`, that does what `does` says, if not its docstring.

    An option with a ! must be given; these and those with a * stand in the example, before `example`.
    """

    def add(run: Run) -> Run:
        name, does_it = sweep or run.__name__.strip("_").replace("_", "-"), does or run.__doc__
        shown = {option[:-1] for option in options.split() if option[-1] in "!*"}
        given = [one for one in re.findall(r"--\S+ \S+", EXAMPLE) if one.split()[0] in shown]
        told = " ".join([f"example: python -m helpers {'sweep ' * bool(sweep)}{name}", *given, example])
        made = (SWEEPS if sweep else COMMANDS).add_parser(
            name, help=does_it, description=does_it, epilog=told, argument_default=SUPPRESS
        )
        for option in options.split():
            needed: dict[str, Any] = {"required": True} if option.endswith("!") else {}
            made.add_argument(option.rstrip("!*+"), **OPTIONS[option.rstrip("!*")], **needed)
        made.set_defaults(run=run)
        return run

    return add


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit status; a refusal is one sentence on stderr.

    Its status is 2, but for `deploy`, which answers 1 where a step failed and 2 for wrong arguments.
    """
    given = vars(PARSER.parse_args(arguments))
    name, run = given.pop("name"), given.pop("run")
    try:
        return run(**given) or OK
    except (ValueError, RuntimeError, OSError) as refusal:
        print(f"{name}: {in_words(refusal) if isinstance(refusal, OSError) else refusal}", file=sys.stderr)
        return FAILED if name == "deploy" and not isinstance(refusal, ValueError) else WRONG
    except KeyboardInterrupt:
        print(f"{name}: interrupted; what was finished before stays", file=sys.stderr)
        return INTERRUPTED


# Each command imports what it needs: reading a log must not wait for torch. None stands for OK.


@command(
    "--model! --out! --checkpoint* --image-size --images* --board-input --target-hardware --npu-mode --batch "
    "--static-batch-sizes --max-dynamic-batch-size --host* --until"
)
def _deploy(until: str = "", **given: Any) -> int:
    """The whole way, from a checkpoint to the board's log, as far as the tools at hand allow."""
    from helpers.chain import STEPS, CannotGoOn, deploy

    if until not in ("", *STEPS):
        raise ValueError(f"--until {until}: choose one of {', '.join(STEPS)}")
    artifact = None
    try:
        for done in deploy(**given):
            print(done, flush=True)
            artifact = done.artifact
            if done.step == until:
                break
    except CannotGoOn as stop:
        print(f"next: {stop}", file=sys.stderr)
        if until or "host" in given:
            return FAILED
    print(artifact)
    return OK


@command("--model! --out! --checkpoint* --image-size --board-input --batch --opset --keep-residuals")
def _export(**given: Any) -> None:
    """Writes the gated ONNX files of chapter 05."""
    from helpers.detect.export import export

    made = export(**given)
    print(f"{made.simplified}: {made.nodes_simplified} nodes ({made.nodes_plain} before simplification)")
    print(f"{made.preprocessing.format} input, weights: {made.weights}")
    print(f"differs from PyTorch by at most {made.parity:.1e} of the logits' standard deviation")


@command("--onnx! --out! --images* --config")
def _calibrate(onnx: Path, config: Path | None = None, **given: Any) -> None:
    """Cuts pictures for the compiler."""
    from helpers.graph.graph import load
    from helpers.pulsar2.archive import calibrate
    from helpers.pulsar2.rehearse import preprocessing_of

    print(calibrate(preprocessing=preprocessing_of(load(onnx), config), **given))


@command("--onnx! --calibration! --out! --config")
def _rehearse(**given: Any) -> None:
    """Simulates INT8 in ONNX Runtime, a stand-in for the NPU: one JSON object."""
    from helpers.pulsar2.rehearse import rehearse

    made = rehearse(**given).facts
    shown = ("sqnr_db", "cosine_median", "agreement", "pictures", "layer_configs")
    print(json.dumps({key: made[key] for key in shown}))


@command()
def _second_opinion() -> int:
    """Measures what that simulation and ONNX Runtime's quantiser leave of a trained network's answers."""
    from helpers.quant import second_opinion

    return second_opinion.main()


@command(
    "--onnx! --calibration! --out! --target-hardware --npu-mode --batch --static-batch-sizes "
    "--max-dynamic-batch-size"
)
def _configure(onnx: Path, out: Path, **given: Any) -> None:
    """Writes pulsar2.json, with the 16 bits that a rehearsal of this graph in the same folder chose."""
    from helpers.artifacts import file_hash
    from helpers.graph.graph import load
    from helpers.pulsar2.config import configure
    from helpers.pulsar2.rehearse import preprocessing_of

    graph = load(onnx)
    rehearsal = out / "rehearsal.json"
    said = json.loads(rehearsal.read_text()) if rehearsal.is_file() else {}
    ours = said and said["made_from"]["inputs"]["onnx"] == file_hash(onnx)
    if said and not ours:
        print(f"{rehearsal} is of another graph: no 16 bits were taken from it", file=sys.stderr)
    chosen = said["facts"]["layer_configs"] if ours else []
    fed = {"preprocessing": preprocessing_of(graph), "tensor_name": graph.graph.input[0].name}
    print(configure(out, layer_configs=chosen, **fed, **given).path("pulsar2.json"))


@command("--onnx! --config* --calibration* --target-hardware")
def _preflight(**given: Any) -> int:
    """Checks a graph, its configuration and its pictures."""
    from helpers.pulsar2.preflight import preflight

    findings = preflight(**given)
    print(*findings, sep="\n")
    return FAILED if any(finding.level == "fail" for finding in findings) else OK


@command("--onnx! --config! --calibration! --out! --docker-image")
def _build(docker_image: str | None = None, **given: Any) -> None:
    """Compiles with Pulsar2."""
    from helpers.pulsar2.build import compile_model
    from helpers.pulsar2.tool import find_tool

    print(compile_model(tool=find_tool(docker_image), **given).path("compiled.axmodel"))


@command("--axmodel! --host! --out! --photo --repeats --batch --affinity --images --board-input")
def _run_board(host: str, photo: Path = PHOTO, images: str = "", **given: Any) -> int:
    """Runs a compiled model on a board over ssh, or on this machine's card."""
    from helpers.board.detection import detect, whole
    from helpers.board.run import run, speed
    from helpers.board.ssh import Board

    if images:
        from helpers.board.accuracy import accuracy

        if idle := given.keys() & {"repeats", "batch", "affinity"}:
            raise ValueError(f"{', '.join(sorted(idle))}: for times, and --images asks for accuracy")
        print(json.dumps(accuracy(Board.at(host), images=Path(images), **given)))
        return OK
    given.pop("board_input", None)
    if fed := whole(given["axmodel"]):
        print(json.dumps(asdict(detect(Board.at(host), photo=photo, fed=fed, **given)), allow_nan=False))
        return OK
    runs = run(Board.at(host), photo=photo, **given)
    for record in runs.records:
        print(json.dumps(asdict(record), allow_nan=False))
    if ms := runs.records[-1].latency_ms.avg:
        print(f"{runs.records[-1].program}: {speed(runs.images, ms)}", file=sys.stderr)
    print(f"log: {runs.log}", file=sys.stderr)
    return OK if all(record.ok for record in runs.records) else FAILED


@command("files", "board.log")
def _parse_log(files: list[str]) -> int:
    """Reads board and build logs: one JSON object a line; times are of a run, whatever its batch."""
    from helpers.logs import parse_log

    return parse_log.main(files)


@command("--onnx* --macs-m --params-m")
def _forecast(onnx: Path | None = None, **given: float) -> None:
    """Predicts images/s on the AX650N at batch 8."""
    from helpers.board.forecast import counts, doubts, forecast

    if (onnx is None) != (len(given) == 2) or (onnx and given):
        raise ValueError("give either --onnx, or --macs-m and --params-m")
    size = {}
    if onnx:
        from helpers.graph.graph import load

        graph = load(onnx)
        given = dict(zip(("macs_m", "params_m"), counts(graph), strict=True))
        size = {"image_size": graph.graph.input[0].type.tensor_type.shape.dim[-1].dim_value}
    predicted = {npu: asdict(one) for npu, one in forecast(**given).items()}
    rounded = {npu: {name: round(x, 1) for name, x in one.items()} for npu, one in predicted.items()}
    print(json.dumps(rounded | {"warnings": doubts(macs_m=given["macs_m"], **size)}))


@command("numbers --from --fresh --commit-outputs", "05 07")
def _tutorial(**given: Any) -> int:
    """Runs the notebooks in order, and keeps those that ran and are still what they were."""
    from helpers.artifacts import alone
    from helpers.files import BUILD
    from helpers.lab import notebooks

    with alone(BUILD):
        return notebooks.tutorial(**given)


@command("chapter stray -p --list", "05 -p model efficientvit_m0")
def _run(
    chapter: str = "",
    stray: Sequence[str] = (),
    parameters: Sequence[tuple[str, str]] = (),
    only_list: bool = False,
) -> int:
    """Runs one notebook with your own values."""
    from helpers.lab import notebooks

    for word in stray:
        name, _, value = word.partition("=")
        raise ValueError(f"{word}: a parameter is given as -p {name} {value or 'VALUE'}")
    if only_list:
        print(notebooks.listed(chapter))
        return OK
    if not chapter:
        raise ValueError("name a chapter, such as 05; --list shows all")
    return notebooks.run_one(chapter, dict(parameters))


@command("--model! --images! --out! --checkpoint* --epochs --seed")
def _finetune(model: str, **given: Any) -> None:
    """Trains on your own pictures, a folder per class: a checkpoint for deploy."""
    from helpers.pocket.finetune import finetune

    made = finetune(model, **given)
    file = made.path("finetuned.safetensors")
    print(json.dumps(made.facts), file, sep="\n")
    told = ["--model", model, "--checkpoint", file, "--images", given["images"], "--out", given["out"]]
    print(f"next: python -m helpers deploy {shlex.join(map(str, told))}", file=sys.stderr)


@command("source", "timm")
def _weights(source: str) -> None:
    """Fetches timm's trained weights of all six once, for every later run."""
    from helpers.model.weights import fetch_all

    for name, file, fetched in fetch_all():
        print(f"{name}  {'fetched' if fetched else 'kept'}  {file}", flush=True)


@command("of --table --format", "speed --format markdown", sweep="show", does="Prints what sweeps found.")
@command(
    f"chapter -p+ {SWEPT}",
    "05 -p model all -p opset 11 18",
    sweep="run",
    does="One notebook with every combination of your values; all of model are the six.",
)
@command(
    f"--models --npu-mode+ --batch+ --host+ --images --checkpoint {SWEPT}",
    "--models all --npu-mode NPU1 NPU3 --batch 1 8 --host my-board",
    sweep="speed",
    does="The chain for each model, mode and batch: forecast, build, and each board's speed.",
)
@command(
    f"--models --precision --images --labels --checkpoint --limit {SWEPT}",
    "--models all --images imagenet/val --workers 2",
    sweep="accuracy",
    does="Judges models in float, INT8 and mixed, on pictures with or without labels.",
)
def _sweep(
    kind: str,
    of: str = "",
    table: Path | None = None,
    workers: int = 1,
    scheduler: str = "",
    limit_s: float | None = None,
    form: str = "text",
    **given: Any,
) -> int:
    from helpers.lab import sweep, tables, tasks

    folder = table or sweep.FOLDER
    if kind == "show":
        rows = sweep.read(folder)
    else:
        if "grid" in given:
            given["grid"] = {name: values for name, *values in given["grid"]}
        plans: dict[str, Any] = {"accuracy": tasks.accuracies, "speed": tasks.speeds, "run": tasks.chapters}
        engine = sweep.dask(scheduler) if scheduler else sweep.processes(workers)
        rows = sweep.sweep(plans[kind](**given), folder, engine=engine, limit_s=limit_s or sweep.LIMIT_S)
    shown = {"accuracy": tables.accuracy, "speed": tables.speed, "run": tables.chapters}[of or kind]
    print(tables.written(shown(rows), form))
    return FAILED if any(row.state == "failed" for row in rows) else OK


@command()
def _doctor() -> int:
    """Says what this machine has of what the tutorial needs."""
    from helpers.lab import doctor

    return doctor.main()


@command("--device")
def _bench(device: str = "") -> int:
    """Measures the ratios that the chapters rest on against their bars."""
    from helpers.lab import bench, device_bench

    return device_bench.main(device) if device else bench.main()


def _interrupt(*_: object) -> None:
    """Ctrl-C ends a command in order; a second one, while it does so, ends it at once."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _interrupt)
    sys.exit(main())
