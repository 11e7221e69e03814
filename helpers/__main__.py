"""`python -m helpers …`: what the notebooks do, for a shell or a CI job."""

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from helpers.files import in_words
from helpers.graph import OPSET

OK, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130  # exit statuses

# Name: what it does, an example, and its options; one with a ! must be given.
COMMANDS = {
    "deploy": (
        "the whole way, from a checkpoint to the board's log, as far as the tools at hand allow",
        "--model efficientvit_m5 --checkpoint my.pth --images my_pictures --out out --host my-board",
        "--model! --out! --checkpoint --images --board-input --npu-mode --batch --host --until",
    ),
    "export": (
        "write the gated ONNX files of chapter 05",
        "--model efficientvit_m0 --checkpoint my.pth --out out",
        "--model! --out! --checkpoint --board-input --batch --opset --keep-residuals",
    ),
    "calibrate": (
        "cut pictures for the compiler",
        "--onnx out/model-sim.onnx --images my_pictures --out out",
        "--onnx! --out! --images",
    ),
    "rehearse": (
        "simulate INT8 in ONNX Runtime, a stand-in for the NPU: one JSON object",
        "--onnx out/model-sim.onnx --calibration out/calibration.tar --out out",
        "--onnx! --calibration! --out! --config",
    ),
    "configure": (
        "write pulsar2.json, with the 16 bits that a rehearsal in the same folder chose",
        "--onnx out/model-sim.onnx --calibration out/calibration.tar --out out",
        "--onnx! --calibration! --out! --npu-mode",
    ),
    "preflight": (
        "check a graph, its configuration and its pictures",
        "--onnx out/model-sim.onnx --config out/pulsar2.json --calibration out/calibration.tar",
        "--onnx! --config --calibration",
    ),
    "build": (
        "compile with Pulsar2",
        "--onnx out/model-sim.onnx --config out/pulsar2.json --calibration out/calibration.tar --out out",
        "--onnx! --config! --calibration! --out! --docker-image",
    ),
    "run-board": (
        "run a compiled model on a board over ssh",
        "--axmodel out/compiled.axmodel --host my-board --out out",
        "--axmodel! --host! --out! --photo --repeats --affinity",
    ),
    "parse-log": ("read board and build logs: one JSON object a line", "board.log", "files --table --csv"),
    "forecast": (
        "predict images/s on the AX650N at batch 8",
        "--onnx out/model-sim.onnx",
        "--onnx --macs-m --params-m",
    ),
    "tutorial": ("run every notebook, in order", "", "--commit-outputs"),
    "run": ("run one notebook with your own values", "05 -p model efficientvit_m0", "chapter -p"),
    "doctor": ("say what this machine has of what the tutorial needs", "", ""),
    "bench": ("measure the ratios that the chapters rest on against their bars", "", "--device"),
}
FLAG = "store_true"
OPTIONS: dict[str, dict[str, Any]] = {
    "--model": {"help": "efficientvit_m0 to efficientvit_m5"},
    "--out": {"type": Path, "help": "the folder to write into"},
    "--checkpoint": {"help": "a file, or random, or timm (default: EFFICIENTVIT_CHECKPOINT, else random)"},
    "--images": {"default": "", "help": "a folder of pictures (default: cuts of one photo)"},
    "--board-input": {
        "choices": ("bgr", "rgb"),
        "default": "bgr",
        "help": "order of colours (default bgr, of the C++ samples)",
    },
    "--npu-mode": {
        "choices": ("NPU1", "NPU2", "NPU3"),
        "default": "NPU1",
        "help": "cores in use (default NPU1)",
    },
    "--batch": {"type": int, "default": 1, "help": "images per run (default 1)"},
    "--host": {"default": "", "help": "the board: [USER@]NAME, or an alias of your ssh settings"},
    "--until": {"metavar": "STEP", "help": "stop after this step"},
    "--opset": {"type": int, "default": OPSET, "help": f"11 to 18 (default {OPSET})"},
    "--keep-residuals": {"action": FLAG, "help": "more operators, less loss in INT8 (chapter 06)"},
    "--onnx": {"type": Path, "help": "the graph"},
    "--calibration": {"type": Path, "help": "the calibration archive: .tar, .tar.gz or .zip"},
    "--config": {"type": Path, "help": "the build configuration: .json, .yaml or .toml"},
    "--docker-image": {"help": "such as pulsar2:7.0 (default: pulsar2 on PATH, else the newest image)"},
    "--axmodel": {"type": Path, "help": "the compiled model"},
    "--photo": {"type": Path, "help": "what it looks at (default: the tutorial's cat)"},
    "--repeats": {"type": int, "default": 100, "help": "runs that are timed (default 100)"},
    "--affinity": {"type": int, "default": 1, "help": "mask of NPU cores, 1 to 7 (default 1)"},
    "files": {"nargs": "+", "metavar": "FILE"},
    "--table": {"action": FLAG, "help": "a table instead of JSON"},
    "--csv": {"action": FLAG, "help": "CSV instead of JSON"},
    "--macs-m": {"type": float, "help": "million MACs per image, where no graph is given"},
    "--params-m": {"type": float, "help": "million parameters"},
    "--commit-outputs": {"action": FLAG, "help": "then put them into notebooks/"},
    "chapter": {"help": "its number, such as 05"},
    "-p": {
        "dest": "parameters",
        "nargs": 2,
        "action": "append",
        "default": [],
        "metavar": ("NAME", "VALUE"),
        "help": "a parameter",
    },
    "--device": {"help": "measure the networks on cuda (or cpu) instead, into data/measured/"},
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit status; a refusal is one sentence on stderr and status 2."""
    options = parser().parse_args(arguments)
    try:
        return int(globals()[f"_{options.name.replace('-', '_')}"](options))
    except OSError as refusal:
        print(f"{options.name}: {in_words(refusal)}", file=sys.stderr)
    except (ValueError, RuntimeError) as refusal:
        print(f"{options.name}: {refusal}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"{options.name}: interrupted; what was finished before stays", file=sys.stderr)
        return INTERRUPTED
    return WRONG


def parser() -> ArgumentParser:
    """The commands, the steps of the way first; each one's help ends in an example."""
    top = ArgumentParser(prog="python -m helpers", description=__doc__)
    commands = top.add_subparsers(dest="name", required=True, metavar="COMMAND")
    for name, (summary, example, options) in COMMANDS.items():
        shown = f"example: python -m helpers {name} {example}".rstrip()
        command = commands.add_parser(name, help=summary, description=summary, epilog=shown)
        for option in options.split():
            needed: dict[str, Any] = {"required": True} if option.endswith("!") else {}
            command.add_argument(option.rstrip("!"), **OPTIONS[option.rstrip("!")], **needed)
    return top


# Each command imports what it needs: reading a log must not wait for torch.


def _deploy(options: Namespace) -> int:
    from helpers.chain import STEPS, CannotGoOn, deploy

    if options.until not in (None, *STEPS):
        raise ValueError(f"--until {options.until}: choose one of {', '.join(STEPS)}")
    last = None
    try:
        for done in deploy(
            options.model,
            options.out,
            checkpoint=options.checkpoint,
            images=options.images,
            board_input=options.board_input,
            npu_mode=options.npu_mode,
            batch=options.batch,
            host=options.host,
        ):
            print(done, flush=True)
            last = done
            if done.step == options.until:
                break
    except CannotGoOn as stop:
        print(f"next: {stop}", file=sys.stderr)
        if options.until or options.host:
            return FAILED
    except (RuntimeError, OSError) as failure:
        print(f"deploy: {in_words(failure) if isinstance(failure, OSError) else failure}", file=sys.stderr)
        return FAILED
    if last:
        print(last.artifact)
    return OK


def _export(options: Namespace) -> int:
    from helpers.graph.export import export

    made = export(
        options.model,
        options.out,
        checkpoint=options.checkpoint,
        opset=options.opset,
        batch=options.batch,
        board_input=options.board_input,
        keep_residuals=options.keep_residuals,
    )
    print(f"{made.simplified}: {made.nodes_simplified} nodes ({made.nodes_plain} before simplification)")
    print(f"opset {options.opset}, batch {options.batch}, {options.board_input} input")
    print(f"weights: {made.weights}")
    print(f"differs from PyTorch by at most {made.parity:.1e} of the logits' standard deviation")
    return OK


def _calibrate(options: Namespace) -> int:
    from helpers.graph.graph import load
    from helpers.pulsar2.archive import calibrate
    from helpers.pulsar2.rehearse import preprocessing_of

    made = calibrate(options.out, preprocessing_of(load(options.onnx)), images=options.images)
    print(made)
    return OK


def _rehearse(options: Namespace) -> int:
    from helpers.pulsar2.rehearse import rehearse

    made = rehearse(options.onnx, options.calibration, options.out, config=options.config)
    shown = ("sqnr_db", "cosine_median", "agreement", "pictures", "layer_configs")
    print(json.dumps({key: value for key, value in asdict(made).items() if key in shown}))
    return OK


def _configure(options: Namespace) -> int:
    from helpers.graph.graph import load
    from helpers.pulsar2.config import configure
    from helpers.pulsar2.rehearse import preprocessing_of

    graph = load(options.onnx)
    rehearsal = options.out / "rehearsal.json"
    chosen = json.loads(rehearsal.read_text())["facts"]["layer_configs"] if rehearsal.is_file() else []
    made = configure(
        options.out,
        preprocessing_of(graph),
        calibration=options.calibration,
        tensor_name=graph.graph.input[0].name,
        npu_mode=options.npu_mode,
        layer_configs=chosen,
    )
    print(made.path("pulsar2.json"))
    return OK


def _preflight(options: Namespace) -> int:
    from helpers.pulsar2.preflight import preflight

    findings = preflight(options.onnx, options.config, options.calibration)
    for finding in findings:
        print(finding)
    return FAILED if any(finding.level == "fail" for finding in findings) else OK


def _build(options: Namespace) -> int:
    from helpers.pulsar2.build import compile_model
    from helpers.pulsar2.tool import find_tool

    tool = find_tool(options.docker_image)
    made = compile_model(options.onnx, options.config, options.calibration, options.out, tool=tool)
    print(made.path("compiled.axmodel"))
    return OK


def _run_board(options: Namespace) -> int:
    from helpers.board.run import run
    from helpers.board.ssh import Board
    from helpers.chain import PHOTO

    runs = run(
        Board.at(options.host),
        options.axmodel,
        out=options.out,
        image=options.photo or PHOTO,
        repeats=options.repeats,
        affinity=options.affinity,
    )
    for record in runs.records:
        print(json.dumps(record.to_json(), allow_nan=False))
    print(f"log: {runs.log}", file=sys.stderr)
    return OK if all(record.ok for record in runs.records) else FAILED


def _parse_log(options: Namespace) -> int:
    from helpers.logs import parse_log

    if options.table and options.csv:
        raise ValueError("give --table or --csv, not both")
    return parse_log.main(options.files, table=options.table, csv=options.csv)


def _forecast(options: Namespace) -> int:
    from helpers.board import forecast

    numbers = (options.macs_m, options.params_m)
    if options.onnx and numbers == (None, None):
        from helpers.graph.cost import graph_cost
        from helpers.graph.graph import load

        found = graph_cost(load(options.onnx))
        numbers = (found.macs / 1e6, found.parameters / 1e6)
    elif options.onnx or None in numbers:
        raise ValueError("give either --onnx, or --macs-m and --params-m")
    return forecast.main(macs_m=numbers[0], params_m=numbers[1])


def _tutorial(options: Namespace) -> int:
    from helpers.artifacts import alone
    from helpers.files import BUILD
    from helpers.lab import notebooks

    with alone(BUILD):
        return notebooks.tutorial(commit_outputs=options.commit_outputs)


def _run(options: Namespace) -> int:
    from helpers.lab import notebooks

    return notebooks.run_one(options.chapter, dict(options.parameters))


def _doctor(options: Namespace) -> int:
    from helpers.lab import doctor

    return doctor.main()


def _bench(options: Namespace) -> int:
    from helpers.lab import bench, device_bench

    return device_bench.main(options.device) if options.device else bench.main()


if __name__ == "__main__":
    sys.exit(main())
