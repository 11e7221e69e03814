"""`python -m helpers …`: what the notebooks do, for a shell or a CI job."""

import argparse
import sys
from pathlib import Path
from typing import Any

from helpers.files import in_words


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit status; a refusal is one sentence on stderr and status 2."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except OSError as refusal:
        print(f"{options.name}: {in_words(refusal)}", file=sys.stderr)
        return 2
    except (ValueError, RuntimeError) as refusal:
        print(f"{options.name}: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{options.name}: interrupted; what was finished before stays", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(name: str, function: Any, summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(command=function)
        return added

    tutorial = command("tutorial", _tutorial, "run every notebook, in order")
    tutorial.add_argument(
        "--commit-outputs", action="store_true", help="then put their outputs into notebooks/"
    )

    run = command("run", _run, "run one notebook with your own values")
    run.add_argument("chapter", help="its number, such as 05")
    run.add_argument(
        "-p",
        dest="parameters",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="a parameter",
    )

    command("doctor", _doctor, "say what this machine has of what the tutorial needs")

    command("bench", _bench, "measure the ratios that the chapters rest on, and hold each against its bar")

    export = command("export", _export, "write the gated ONNX files of chapter 05")
    export.add_argument("--model", required=True, help="efficientvit_m0 to efficientvit_m5")
    export.add_argument(
        "--checkpoint",
        help="a weights file, or one of random, timm (default: EFFICIENTVIT_CHECKPOINT, else random)",
    )
    export.add_argument("--out", required=True, type=Path, help="the folder to write into")
    export.add_argument("--opset", type=int, default=11, help="11 to 18 (default 11)")
    export.add_argument("--batch", type=int, default=1, help="images per run (default 1)")
    export.add_argument(
        "--board-input", choices=("rgb", "bgr"), default="rgb", help="channel order it takes (default rgb)"
    )
    export.add_argument(
        "--keep-residuals", action="store_true", help="more operators, less loss in INT8 (chapter 06)"
    )

    preflight = command("preflight", _preflight, "check a graph, its configuration and its pictures")
    preflight.add_argument("--onnx", required=True, type=Path, help="the graph to compile")
    preflight.add_argument("--config", type=Path, help="the build configuration: .json, .yaml or .toml")
    preflight.add_argument("--calibration", type=Path, help="the calibration archive: .tar, .tar.gz or .zip")

    forecast = command("forecast", _forecast, "predict images/s on the AX650N at batch 8")
    forecast.add_argument("--onnx", type=Path, help="an EfficientViT's graph, to count in it both of these:")
    forecast.add_argument("--macs-m", type=float, help="million MACs per image")
    forecast.add_argument("--params-m", type=float, help="million parameters")

    parse_log = command("parse-log", _parse_log, "read board and build logs: one JSON object a line")
    parse_log.add_argument("files", nargs="+", metavar="FILE")
    layout = parse_log.add_mutually_exclusive_group()
    layout.add_argument("--table", action="store_true", help="a table instead of JSON")
    layout.add_argument("--csv", action="store_true", help="CSV instead of JSON")
    return parser


# Each command imports what it needs: reading a log must not wait for torch.


def _tutorial(options: argparse.Namespace) -> int:
    from helpers.artifacts import alone
    from helpers.lab import notebooks
    from helpers.lab.paths import BUILD

    with alone(BUILD):
        return notebooks.tutorial(commit_outputs=options.commit_outputs)


def _run(options: argparse.Namespace) -> int:
    from helpers.lab import notebooks

    return notebooks.run_one(options.chapter, dict(options.parameters))


def _doctor(options: argparse.Namespace) -> int:
    from helpers.lab import doctor

    return doctor.main()


def _bench(options: argparse.Namespace) -> int:
    from helpers.lab import bench

    return bench.main()


def _export(options: argparse.Namespace) -> int:
    from helpers.graph import export
    from helpers.graph.fold import FOLDS

    made = export.board_ready(
        options.model,
        options.out,
        checkpoint=options.checkpoint,
        opset=options.opset,
        batch=options.batch,
        board_input=options.board_input,
        folds=tuple(fold for fold in FOLDS if fold != "residuals" or not options.keep_residuals),
    )
    print(f"{made.simplified}: {made.nodes_simplified} nodes ({made.nodes_plain} before simplification)")
    print(f"opset {options.opset}, batch {options.batch}, {made.made_from.board_input} input")
    print(f"weights: {made.made_from.weights}")
    print(f"differs from PyTorch by at most {made.parity:.1e} of the logits' standard deviation")
    return 0


def _preflight(options: argparse.Namespace) -> int:
    from helpers.pulsar2.preflight import preflight

    findings = preflight(options.onnx, options.config, options.calibration)
    for finding in findings:
        print(finding)
    return int(any(finding.level == "fail" for finding in findings))


def _forecast(options: argparse.Namespace) -> int:
    from helpers.board import forecast

    numbers = (options.macs_m, options.params_m)
    if options.onnx and numbers == (None, None):
        from helpers.graph import graph_file, macs

        found = macs.graph_cost(graph_file.load(options.onnx))
        numbers = (found.macs / 1e6, found.parameters / 1e6)
    elif options.onnx or None in numbers:
        raise ValueError("give either --onnx, or --macs-m and --params-m")
    return forecast.main(macs_m=numbers[0], params_m=numbers[1])


def _parse_log(options: argparse.Namespace) -> int:
    from helpers.logs import parse_log

    return parse_log.main(options.files, table=options.table, csv=options.csv)


if __name__ == "__main__":
    sys.exit(main())
