"""Preflight: everything that can be known before `pulsar2 build`, one line per check.

The graph against what Pulsar2 needs of an ONNX file, the configuration against the graph, and the calibration
archive against both. The list of operators stands in `operators`, what an archive holds in `archive`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from helpers.finding import Finding, Level
from helpers.graph import OPSETS
from helpers.graph.graph import STANDARD, Graph, GraphError, axes, load, tensors
from helpers.graph.preprocess import Preprocessing, read_metadata
from helpers.pulsar2 import config as configs
from helpers.pulsar2.archive import check_archive
from helpers.pulsar2.operators import check_operators, removed
from helpers.pulsar2.schema import EVERY, BuildConfig

OPSET_REFUSED = 23  # says one user; 18 was built (onnxsim/onnxsim, scripts/axera/README.md), none between
INT64_LIMIT = 64 * 1024  # bytes; shapes and axes need a few hundred
IMAGENET_RGB = (123.675, 116.28, 103.53)  # means in 0–255 units; also the older 123.68, 116.779, 103.939
# Verified in FP32 by Pulsar2's documentation (advanced_build_guides); others were ignored without a word.
FP32_OPERATORS = {"LeakyRelu", "Sigmoid", "Relu", "Add", "Mul", "Div", "Sub", "Concat", "Softmax"}
NEAR = 2.0  # grey levels: different authors print the mean and std of one data set so far apart
FEEDS = {"BGR": "as the C++ board programs feed", "RGB": "as pyaxengine's example feeds"}
Verdict = tuple[Level, str]  # of one check, with what to do


def preflight(
    onnx: Path | str,
    config: Path | str | None = None,
    calibration: Path | str | None = None,
    target_hardware: str | None = None,
) -> list[Finding]:
    """All findings for the graph in the file `onnx`, a configuration and a calibration archive.

    Without `calibration` the archives that the configuration names are looked up, in the current folder as
    the tool does, then beside the configuration. `target_hardware` beats the configuration's, as on
    the tool's command line. What is wrong with a file is a finding, not an exception.
    """
    read = asked = None
    refused: list[Finding] = []
    named = {"target_hardware": target_hardware} if target_hardware else {}
    try:
        read = configs.read(config) if config is not None else None
        given = read.model_dump(exclude_unset=True) if read else {}
        asked = configs.validate(given | named) if named or read is None else read
    except configs.ConfigError as error:
        refused = [Finding("config", "fail", problem) for problem in str(error).splitlines()]
    onnxsim = asked is not None and asked.onnx_opt.enable_onnxsim
    graph: Graph | None = None
    try:
        graph = Graph(load(onnx))
        findings = check_graph(graph, onnxsim=onnxsim)
        if findings[0].level == "fail":
            graph = None  # what onnx's checker refuses is held against nothing else
    except GraphError as error:
        findings = [Finding("file", "fail", str(error))]
    findings += refused
    if asked is not None:
        findings = [_for_chip(finding, asked.target_hardware) for finding in findings]
        if config is not None:
            said = [*asked.ineffective(), *configs.doubts(config)]
            chip = f"{asked.target_hardware}, {asked.npu_mode}"
            findings.append(Finding("config", "warn" if said else "ok", "; ".join([chip, *said])))
            findings += check_config(asked, graph.simplified if onnxsim else graph) if graph else []
    if read is not None or calibration is not None:
        findings += _calibrations(read, calibration, Path(config or "").parent, graph)
    return findings


def _for_chip(finding: Finding, chip: str) -> Finding:
    """What the AX650's list of operators says is a hint for another chip, and no more."""
    if chip == "AX650" or finding.check not in ("operators", "restrictions"):
        return finding
    return Finding(finding.check, "warn", f"{chip}'s list is not held here; by AX650's: {finding.message}")


def _calibrations(
    config: BuildConfig | None, calibration: Path | str | None, folder: Path, graph: Graph | None
) -> list[Finding]:
    """One finding per archive: the given one, else each that the configuration names."""
    entries = config.quant.input_configs if config else ()
    if config is not None and not entries:
        return [Finding("calibration", "fail", "quant.input_configs is empty: name input and archive")]
    if calibration is None:
        here = [(Path(entry.calibration_dataset), entry) for entry in entries]
        return [check_archive(path if path.is_file() else folder / path, e, graph) for path, e in here]
    given = Path(calibration)
    named = [entry for entry in entries if Path(entry.calibration_dataset).name == given.name]
    found = [check_archive(given, next(iter((*named, *entries)), None), graph)]
    if entries and not named:
        others = ", ".join(entry.calibration_dataset for entry in entries)
        text = f"{given.name} was checked, the configuration names {others}: the build reads that one"
        found.append(Finding("calibration name", "warn", text))
    return found


def check_graph(graph: Graph, *, onnxsim: bool = False) -> list[Finding]:
    """One finding per check of the graph alone; `onnxsim`: the configuration has it simplified first.

    File and opset only for a graph that onnx's checker refuses: what it holds cannot be relied on.
    """
    first = [Finding("file", *_valid(graph.model)), Finding("opset", *_opset(graph))]
    if first[0].level == "fail":
        return first
    found = check_operators(graph, onnxsim=onnxsim)
    for name, of in {"shapes": _static, "dtype": _dtype, "int64": _int64, "names": _names}.items():
        verdict = of(graph)
        if verdict[0] != "ok" and of(graph.simplified)[0] == "ok":
            verdict = removed(*verdict, onnxsim=onnxsim)
        found.append(Finding(name, *verdict))
    return [*first, *found]


def _valid(model: onnx.ModelProto) -> Verdict:
    try:
        onnx.checker.check_model(model, full_check=True)
        for tensor in tensors(model):
            numpy_helper.to_array(tensor)  # the checker takes more bytes than there are values
    except Exception as error:  # ValidationError, InferenceError, and ValueError for too large a model
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return "fail", f"onnx's checker refuses it: {reason}; export it again"
    written = f"{model.producer_name} {model.producer_version}".strip() or "an unnamed producer"
    return "ok", f"valid ONNX, file format (IR) {model.ir_version}, written by {written}"


def _opset(graph: Graph) -> Verdict:
    functions = [function.name for function in graph.model.functions]
    foreign = sorted({*(n.domain for n in graph.nodes if n.domain not in STANDARD), *functions})
    version, instead = graph.opset, f"export with opset {OPSETS[0]} to {OPSETS[-1]}"
    if foreign:
        return "fail", f"operators of other sets ({', '.join(foreign)}): export with standard ONNX only"
    if version < OPSETS[0]:
        return "fail", f"{version}, the AX650 needs {OPSETS[0]}: {instead}"
    if version >= OPSET_REFUSED:
        return "fail", f"{version}, and {OPSET_REFUSED} is reported as refused: {instead}"
    if version > OPSETS[-1]:
        return "warn", f"{version}: no build above {OPSETS[-1]} is reported; if it is refused, {instead}"
    return "ok", f"{version}"


def _static(graph: Graph) -> Verdict:
    shapes = ", ".join(f"{name} {list(sizes)}" for name, sizes in graph.ends.items())
    dynamic = [
        n for n, sizes in graph.ends.items() if not sizes or not all(isinstance(x, int) for x in sizes)
    ]
    if dynamic:
        return "fail", f"{', '.join(dynamic)} not fixed in {shapes}: export without dynamic_axes"
    return "ok", shapes


def _dtype(graph: Graph) -> Verdict:
    name = onnx.TensorProto.DataType.Name
    kinds = {v.name: name(v.type.tensor_type.elem_type) for v in (*graph.inputs, *graph.outputs)}
    odd = [f"{value} is {kind}" for value, kind in kinds.items() if kind != "FLOAT"]
    weights = {name(tensor.data_type) for tensor in graph.model.graph.initializer}
    if odd or (odd := sorted(weights & {"FLOAT16", "BFLOAT16", "DOUBLE"})):
        return "warn", f"{', '.join(odd)}: Pulsar2 quantises from FLOAT; export the model in float32"
    return "ok", "float32 in and out"


def _int64(graph: Graph) -> Verdict:
    wide = [tensor for tensor in tensors(graph.model) if tensor.data_type == onnx.TensorProto.INT64]
    sizes = {tensor.name: numpy_helper.to_array(tensor).nbytes for tensor in wide}
    text = f"{len(wide)} int64 tensors, {sum(sizes.values()):,} bytes"
    if sum(sizes.values()) > INT64_LIMIT:
        largest = max(sizes, key=lambda name: sizes[name])
        return "warn", f"{text} cost memory, the largest is {largest}: store indices as int32"
    return "ok", text


def _names(graph: Graph) -> Verdict:
    if odd := [name for name in graph.ends if "/" in name]:
        return "warn", f"{', '.join(odd)}: the board's tools make file names of them; rename without a slash"
    return "ok", f"inputs {[v.name for v in graph.inputs]}"


def check_config(config: BuildConfig, graph: Graph) -> list[Finding]:
    """One finding per check of a configuration against the graph that it is to compile."""
    exported = read_metadata(graph.model)
    return [
        Finding("input name", *_input_name(config, graph)),
        Finding("board feed", *_feed(config)),
        Finding("channel order", *_channel_order(config, exported)),
        Finding("mean/std", *_mean_std(config, exported)),
        Finding("precision", *_precision(config, graph)),
        Finding("batch", *_batch(config, graph)),
    ]


def _input_name(config: BuildConfig, graph: Graph) -> Verdict:
    names, outputs = {v.name for v in graph.inputs}, {v.name for v in graph.outputs}
    quantised = {entry.tensor_name for entry in config.quant.input_configs}
    used = quantised | {entry.tensor_name for entry in config.input_processors}
    written = {entry.tensor_name for entry in config.output_processors}
    for there, here in ((used, names), (written, outputs)):
        if unknown := there - here - {EVERY}:
            return "fail", f"configuration: {_listed(unknown)}, graph: {_listed(here)}; use that, or DEFAULT"
    if EVERY not in quantised and (missing := names - quantised):
        return "fail", f"{_listed(missing)} has no entry in quant.input_configs: add one, or use DEFAULT"
    return "ok", f"{_listed(used)} in the configuration fits the graph"


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _feed(config: BuildConfig) -> Verdict:
    """uint8 in HWC order and float32 out, which is all that sample_npu_classification can feed and read."""
    fed = {f"{entry.src_dtype} {entry.src_layout}" for entry in config.input_processors} or {"FP32 NCHW"}
    given = {f"output {entry.output_dtype}" for entry in config.output_processors}
    if odd := (fed | given) - {"U8 NHWC", "output FP32"}:
        named = "input_processors" if config.input_processors else "no input_processors, so"
        return "warn", f"{named} {_listed(odd)}: sample_npu_classification takes U8 NHWC, output FP32 only"
    return "ok", "uint8 HWC pictures in, float32 scores out"


def _channel_order(config: BuildConfig, exported: Preprocessing | None) -> Verdict:
    for processor in config.input_processors:
        tensor, (mean, _) = processor.tensor_format, config.mean_and_std(processor)
        for other, order in (
            ("src_format, and Pulsar2 swaps no channels", processor.src_format),
            ("what the graph was exported for", exported.format if exported else None),
            (f"the order of ImageNet's mean in {list(mean)}", _order_of(mean)),
        ):
            if tensor in FEEDS and order in FEEDS and order != tensor:
                text = f"tensor_format is {tensor}, but {order} is {other}"
                return "fail", f"{text}; build the configuration with the board_input of the export"
    orders = {processor.tensor_format for processor in config.input_processors}
    named = orders.pop() if len(orders) == 1 else None
    if named not in FEEDS:
        return "warn", "tensor_format does not say BGR or RGB: images and board may differ; name it"
    if exported is None:
        return "warn", f"{named}, {FEEDS[named]}; the graph does not say which order it takes: check it"
    return "ok", f"{named} in graph and configuration, {FEEDS[named]}"


def _order_of(mean: Sequence[float]) -> str | None:
    """The order of an ImageNet mean; None for any other."""
    for order, expected in (("RGB", IMAGENET_RGB), ("BGR", IMAGENET_RGB[::-1])):
        if len(mean) == 3 and np.allclose(mean, expected, atol=1.0):
            return order
    return None


def _mean_std(config: BuildConfig, exported: Preprocessing | None) -> Verdict:
    held = {f"input_processors[{i}].": (p.mean, p.std) for i, p in enumerate(config.input_processors)}
    for index, entry in enumerate(config.quant.input_configs):
        held[f"quant.input_configs[{index}].calibration_"] = entry.calibration_mean, entry.calibration_std
    given = {path: pair for path, pair in held.items() if any(pair)}
    if not given:
        return "warn", "none given, so the model gets 0–255: give the model's own unless it was trained so"
    for path, (mean, std) in given.items():
        if problem := _implausible(mean, std) or _unlike(exported, mean, std):
            return "fail", f"{path}{problem}"
    return "ok", f"mean {list(mean)}, std {list(std)} in 0–255 units"


def _implausible(mean: Sequence[float], std: Sequence[float]) -> str | None:
    if std and min(std) < 1:
        return f"std = {list(std)}: units are 0–255, and a model that divides by 255 has 255: multiply"
    if any(0 < value < 1 for value in mean):
        return f"mean = {list(mean)}: units are 0–255; multiply by 255"
    if any(not 0 <= value <= 255 for value in mean) or any(value > 510 for value in std):
        return f"mean = {list(mean)}, std = {list(std)}: pixels are 0–255, these lie outside"
    return None


def _unlike(exported: Preprocessing | None, mean: Sequence[float], std: Sequence[float]) -> str | None:
    """Where mean or std are not those that the graph was exported for; None when they are, or if unknown."""
    if exported is None:
        return None
    for name, given, own in (("mean", mean, exported.mean), ("std", std, exported.std)):
        if given and (len(given) != 3 or not np.allclose(given, own, rtol=0, atol=NEAR)):
            return f"{name} = {list(given)}, but the graph was exported for {list(own)}"
    return None


def _precision(config: BuildConfig, graph: Graph) -> Verdict:
    """Entries of layer_configs that Pulsar2 ignores without a word, or refuses late."""
    problems = []
    for index, entry in enumerate(config.quant.layer_configs):
        if missing := set(entry.operators) - graph.operators.keys():
            problems.append(f"layer_configs[{index}]: no {_listed(missing)} in the graph, so no effect")
        elif entry.data_type == "FP32" and (bold := set(entry.operators) - FP32_OPERATORS):
            problems.append(f"layer_configs[{index}]: FP32 is not verified for {_listed(bold)}")
        if config.target_hardware == "AX620E" and {"U16", "S16"} & {entry.data_type, entry.output_data_type}:
            problems.append(
                f"layer_configs[{index}]: 16 bits fail on AX620E with small models (pulsar2-docs#10)"
            )
    if config.quant.highest_mix_precision:
        problems.append("highest_mix_precision makes everything FP32, which failed on real graphs")
    if problems:
        return "warn", "; ".join(problems)
    return "ok", f"{len(config.quant.layer_configs)} entries in layer_configs"


def _batch(config: BuildConfig, graph: Graph) -> Verdict:
    """Batches beside the one in the graph: the tool changes the input shape and needs shapes that follow."""
    compiler = config.compiler
    wanted = list(compiler.static_batch_sizes) or [compiler.max_dynamic_batch_size or 1]
    batches = {shape[0] for v in graph.inputs if (shape := axes(v))}
    held = ", ".join(map(str, sorted(batches, key=str)))
    if batches - {1} and (compiler.static_batch_sizes or compiler.max_dynamic_batch_size):
        return "fail", f"{max(wanted)} is asked for, but the graph has {held}: export it with batch 1"
    if batches - {1}:
        text = f"{held} in the graph: sample_npu_classification feeds one picture, ax_run_model times any"
        return "warn", f"{text}; how Pulsar2 groups calibration pictures for it is not documented"
    if max(wanted) == 1:
        return "ok", "1, as in the graph"
    shown = ", ".join(map(str, wanted)) if compiler.static_batch_sizes else f"1 to {max(wanted)}"
    asked = f"{shown} with opset {graph.opset}"
    reshapes = [node for node in graph.nodes if node.op_type == "Reshape" and node.domain in STANDARD]
    shapes = [graph.constant(node.input[1]) for node in reshapes]
    fixed = sum(shape is not None and shape[:1].tolist() == [1] for shape in shapes)
    if not fixed:
        return "ok", f"{asked}: no Reshape holds the batch"
    advice = "if the log's line 'batchs' lacks a size, set them to -1 by const_processors or export the batch"
    return "warn", f"{asked}: {fixed} Reshapes hold batch 1, which the compiler has to rewrite; {advice}"
