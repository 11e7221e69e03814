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
from helpers.graph.graph import STANDARD, Graph, GraphError, axes, load, tensors
from helpers.graph.preprocess import Preprocessing, read_metadata
from helpers.pulsar2 import config as configs
from helpers.pulsar2.archive import check_archive
from helpers.pulsar2.operators import check_operators
from helpers.pulsar2.schema import EVERY, BuildConfig, InputProcessor

# AX650 starts at 11 (pulsar2-docs-en, op_support_list_ax650). 18 was built (onnxsim/onnxsim,
# scripts/axera/README.md); 23 was refused, says one user; nobody reports on the versions between.
OPSET_FIRST, OPSET_BUILT, OPSET_REFUSED = 11, 18, 23
INT64_LIMIT = 64 * 1024  # bytes; shapes and axes need a few hundred
FLOAT32 = onnx.TensorProto.FLOAT
Verdict = tuple[Level, str]  # of one check, with what to do
IMAGENET_RGB = (123.675, 116.28, 103.53)  # means in 0–255 units; also the older 123.68, 116.779, 103.939
COLOURS = ("BGR", "RGB")
# Verified in FP32 by Pulsar2's documentation (advanced_build_guides); others were ignored without a word.
FP32_OPERATORS = {"LeakyRelu", "Sigmoid", "Relu", "Add", "Mul", "Div", "Sub", "Concat", "Softmax"}
NEAR = 2.0  # grey levels between the mean and std of one data set as different authors print them
FEEDS = {"BGR": "as the C++ board programs feed", "RGB": "as pyaxengine's example feeds"}


def preflight(
    onnx_file: Path | str,
    config: BuildConfig | Path | str | None = None,
    calibration: Path | str | None = None,
) -> list[Finding]:
    """All findings for a graph, a configuration (as an object or a file) and a calibration archive.

    Without `calibration` the archives that the configuration names are looked up, in the current folder as
    the tool does, then beside the configuration. What is wrong with a file is a finding, not an exception.
    """
    graph: Graph | None = None
    try:
        graph = Graph(load(onnx_file))
        findings = check_graph(graph)
        if findings[0].level == "fail":
            graph = None  # what onnx's checker refuses is held against nothing else
    except GraphError as error:
        findings = [Finding("file", "fail", str(error))]
    read: BuildConfig | None = None
    folder = Path()
    if isinstance(config, BuildConfig):
        read = config
    elif config is not None:
        folder = Path(config).parent
        try:
            read = configs.read(config)
        except configs.ConfigError as error:
            findings += error.findings
    if read is not None:
        findings.append(Finding("config", "ok", f"{read.target_hardware}, {read.npu_mode}"))
        findings += check_config(read, graph) if graph else []
    if read is not None or calibration is not None:
        findings += _calibrations(read, calibration, folder, graph)
    return findings


def _calibrations(
    config: BuildConfig | None, calibration: Path | str | None, folder: Path, graph: Graph | None
) -> list[Finding]:
    """One finding per archive: the given one, else each that the configuration names."""
    entries = config.quant.input_configs if config else ()
    if config is not None and not entries:
        return [
            Finding("calibration", "fail", "quant.input_configs is empty: name the input and its archive")
        ]
    if calibration is None:
        return [check_archive(_find(entry.calibration_dataset, folder), entry, graph) for entry in entries]
    given = Path(calibration)
    named = [entry for entry in entries if Path(entry.calibration_dataset).name == given.name]
    found = [check_archive(given, next(iter((*named, *entries)), None), graph)]
    if entries and not named:
        others = ", ".join(entry.calibration_dataset for entry in entries)
        text = f"{given.name} was checked, the configuration names {others}: the build reads that one"
        found.append(Finding("calibration name", "warn", text))
    return found


def _find(dataset: str, folder: Path) -> Path:
    return Path(dataset) if Path(dataset).is_file() else folder / dataset


def check_graph(graph: Graph) -> list[Finding]:
    """One finding per check of the graph alone.

    File and opset only for a graph that onnx's checker refuses: what it holds cannot be relied on.
    """
    first = [Finding("file", *_valid(graph.model)), Finding("opset", *_opset(graph))]
    if first[0].level == "fail":
        return first
    return [
        *first,
        *check_operators(graph),
        Finding("shapes", *_static(graph)),
        Finding("dtype", *_dtype(graph)),
        Finding("int64", *_int64(graph.model)),
        Finding("names", *_names(graph)),
    ]


def _valid(model: onnx.ModelProto) -> Verdict:
    try:
        onnx.checker.check_model(model, full_check=True)
        for tensor in tensors(model):
            numpy_helper.to_array(tensor)  # the checker takes more bytes than there are values
    except Exception as error:  # ValidationError, InferenceError, and ValueError for too large a model
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = (lines or [type(error).__name__])[0][:200]
        return "fail", f"onnx's checker refuses it: {reason}; export it again"
    written = f"{model.producer_name} {model.producer_version}".strip() or "an unnamed producer"
    return "ok", f"valid ONNX, IR {model.ir_version}, written by {written}"


def _opset(graph: Graph) -> Verdict:
    functions = [function.name for function in graph.model.functions]
    foreign = sorted({*(n.domain for n in graph.nodes if n.domain not in STANDARD), *functions})
    version = graph.opset
    if foreign:
        return "fail", f"operators of other sets ({', '.join(foreign)}): export with standard ONNX only"
    if version < OPSET_FIRST:
        return "fail", f"{version}, the AX650 needs {OPSET_FIRST}: export with opset_version=11"
    if version >= OPSET_REFUSED:
        return "fail", f"{version}, and 23 is reported as refused: export with opset_version=11"
    if version > OPSET_BUILT:
        text = f"{version}: no build above {OPSET_BUILT} is reported; if it is refused, export with opset 11"
        return "warn", text
    return "ok", f"{version}"


def _static(graph: Graph) -> Verdict:
    values = [*graph.inputs, *graph.outputs]
    shapes = ", ".join(f"{value.name} {list(axes(value))}" for value in values)
    dynamic = [v.name for v in values if not axes(v) or not all(isinstance(n, int) for n in axes(v))]
    if dynamic:
        text = f"{shapes}: the shape of {', '.join(dynamic)} is not fixed; export without dynamic_axes"
        return "fail", text
    return "ok", shapes


def _dtype(graph: Graph) -> Verdict:
    name = onnx.TensorProto.DataType.Name
    odd = [v for v in (*graph.inputs, *graph.outputs) if v.type.tensor_type.elem_type != FLOAT32]
    weights = {tensor.data_type for tensor in graph.model.graph.initializer}
    wide = weights & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE}
    if odd:
        shown = ", ".join(f"{v.name} is {name(v.type.tensor_type.elem_type)}" for v in odd)
        return "warn", f"{shown}: Pulsar2 quantises from FLOAT; export the model in float32"
    if wide:
        shown = ", ".join(sorted(map(name, wide)))
        return "warn", f"weights in {shown}: export the model in float32"
    return "ok", "float32 in and out"


def _int64(model: onnx.ModelProto) -> Verdict:
    wide = [tensor for tensor in tensors(model) if tensor.data_type == onnx.TensorProto.INT64]
    total = sum(8 * int(np.prod(tensor.dims)) for tensor in wide)
    text = f"{len(wide)} int64 tensors, {total:,} bytes"
    largest = max(wide, key=lambda tensor: int(np.prod(tensor.dims)), default=None)
    limits = np.iinfo(np.int32)
    for tensor in wide:
        values = numpy_helper.to_array(tensor)
        if values.size <= 64:  # shapes, axes and their end marks
            continue
        if values.min() < limits.min or values.max() > limits.max:
            return "fail", f"{tensor.name} has values that the board's int32 cannot hold"
    if total > INT64_LIMIT:
        named = f", the largest is {largest.name} {list(largest.dims)}" if largest is not None else ""
        return "warn", f"{text}{named}: index tables cost memory; simplify the graph (onnxsim)"
    return "ok", text


def _names(graph: Graph) -> Verdict:
    odd = [v.name for v in (*graph.inputs, *graph.outputs) if "/" in v.name]
    if odd:
        return "warn", f"{', '.join(odd)}: the board's tools make file names of them; rename without a slash"
    return "ok", f"inputs {[v.name for v in graph.inputs]}"


def check_config(config: BuildConfig, graph: Graph) -> list[Finding]:
    """One finding per check of a configuration against the graph that it is to compile."""
    return [
        Finding("input name", *_input_name(config, graph)),
        Finding("board feed", *_feed(config)),
        Finding("channel order", *_channel_order(config, read_metadata(graph.model))),
        Finding("mean/std", *_mean_std(config, read_metadata(graph.model))),
        Finding("precision", *_precision(config, graph)),
        Finding("batch", *_batch(config, graph)),
    ]


def _input_name(config: BuildConfig, graph: Graph) -> Verdict:
    names, outputs = {v.name for v in graph.inputs}, {v.name for v in graph.outputs}
    quantised = [entry.tensor_name for entry in config.quant.input_configs]
    used = quantised + [entry.tensor_name for entry in config.input_processors]
    if unknown := [name for name in used if name not in names | {EVERY}]:
        text = f"configuration: {', '.join(unknown)}, graph: {', '.join(sorted(names))}; use that, or DEFAULT"
        return "fail", text
    strange = [e.tensor_name for e in config.output_processors if e.tensor_name not in outputs | {EVERY}]
    if strange:
        text = f"outputs in the configuration: {', '.join(strange)}, graph: {', '.join(sorted(outputs))}"
        return "fail", text
    uncalibrated = sorted(names - set(quantised)) if EVERY not in quantised else []
    if uncalibrated:
        text = f"{', '.join(uncalibrated)} has no entry in quant.input_configs: add one, or use DEFAULT"
        return "fail", text
    return "ok", f"{', '.join(dict.fromkeys(used))} in the configuration fits the graph"


def _feed(config: BuildConfig) -> Verdict:
    """uint8 in HWC order and float32 out, which is all that sample_npu_classification can feed and read."""
    problems = []
    if not config.input_processors:
        problems.append("no input_processors, so the board must feed float32 NCHW")
    for processor in config.input_processors:
        if (processor.src_dtype, processor.src_layout) != ("U8", "NHWC"):
            problems.append(f"src_dtype {processor.src_dtype}, src_layout {processor.src_layout}")
    problems += [
        f"output_dtype {o.output_dtype}" for o in config.output_processors if o.output_dtype != "FP32"
    ]
    if problems:
        text = f"{'; '.join(problems)}: sample_npu_classification takes U8, NHWC and an FP32 output only"
        return "warn", text
    return "ok", "uint8 HWC pictures in, float32 scores out"


def _channel_order(config: BuildConfig, exported: Preprocessing | None) -> Verdict:
    def fail(text: str) -> Verdict:
        return "fail", f"{text}; build the configuration with the board_input of the export"

    for processor in config.input_processors:
        tensor, source = processor.tensor_format, processor.src_format
        if tensor in COLOURS and source in COLOURS and tensor != source:
            return fail(f"tensor_format is {tensor} and src_format {source}, but Pulsar2 swaps no channels")
        if exported and tensor in COLOURS and tensor != exported.format:
            return fail(f"tensor_format is {tensor}, but the graph was exported for {exported.format}")
        mean = _mean_of(config, processor)
        if tensor in COLOURS and (order := _order_of(mean)) not in (None, tensor):
            return fail(
                f"tensor_format is {tensor}, but the mean {list(mean)} is ImageNet's in {order} order"
            )
    orders = {p.tensor_format for p in config.input_processors}
    named = orders.pop() if len(orders) == 1 else None
    if named not in COLOURS:
        text = "tensor_format does not say BGR or RGB: calibration images and board may differ; name it"
        return "warn", text
    if exported is None:
        text = f"{named}, {FEEDS[named]}; the graph does not say which order it takes: check its export"
        return "warn", text
    return "ok", f"{named} in graph and configuration, {FEEDS[named]}"


def _mean_of(config: BuildConfig, processor: InputProcessor) -> tuple[float, ...]:
    """The mean that an input gets: its own, else that of its calibration."""
    wanted = (processor.tensor_name, EVERY)
    calibrated = (e.calibration_mean for e in config.quant.input_configs if e.tensor_name in wanted)
    return processor.mean or next(calibrated, ())


def _order_of(mean: Sequence[float]) -> str | None:
    """The order of an ImageNet mean; None for any other."""
    for order, expected in (("RGB", IMAGENET_RGB), ("BGR", IMAGENET_RGB[::-1])):
        if len(mean) == 3 and np.allclose(mean, expected, atol=1.0):
            return order
    return None


def _mean_std(config: BuildConfig, exported: Preprocessing | None) -> Verdict:
    entries = config.quant.input_configs
    given = [
        (f"quant.input_configs[{index}].calibration_", entry.calibration_mean, entry.calibration_std)
        for index, entry in enumerate(entries)
    ]
    given += [(f"input_processors[{i}].", p.mean, p.std) for i, p in enumerate(config.input_processors)]
    given = [(path, mean, std) for path, mean, std in given if mean or std]
    if not given:
        return "warn", "none given, so the model gets 0–255: give the model's own unless it was trained so"
    for path, mean, std in given:
        if problem := _implausible(mean, std) or _unlike(exported, mean, std, tolerance=NEAR):
            return "fail", f"{path}{problem}"
    for path, mean, std in given:
        if problem := _unlike(exported, mean, std, tolerance=0.01):
            return "warn", f"{path}{problem}; near, but take those"
    arrays = [entry for entry in entries if entry.calibration_format != "Image"]
    if idle := [e.tensor_name for e in arrays if e.calibration_mean or e.calibration_std]:
        names = ", ".join(idle)
        return (
            "warn",
            f"calibration_mean and _std of {names} are not applied to arrays: store them normalised",
        )
    _, mean, std = given[0]
    return "ok", f"mean {list(mean)}, std {list(std)} in 0–255 units"


def _implausible(mean: Sequence[float], std: Sequence[float]) -> str | None:
    if std and min(std) < 1:
        return (
            f"std = {list(std)}: units are 0–255, so a std below 1 blows pixels up; multiply by 255 "
            "(a model that divides by 255 has mean 0 and std 255)"
        )
    if any(0 < value < 1 for value in mean):
        return f"mean = {list(mean)}: units are 0–255; multiply by 255"
    if any(not 0 <= value <= 255 for value in mean) or any(value > 510 for value in std):
        return f"mean = {list(mean)}, std = {list(std)}: pixels are 0–255, these lie outside"
    return None


def _unlike(
    exported: Preprocessing | None, mean: Sequence[float], std: Sequence[float], *, tolerance: float
) -> str | None:
    """Where mean or std are not those that the graph was exported for; None when they are, or if unknown."""
    if exported is None:
        return None
    for name, given, own in (("mean", mean, exported.mean), ("std", std, exported.std)):
        if given and (len(given) != 3 or not np.allclose(given, own, rtol=0, atol=tolerance)):
            return f"{name} = {list(given)}, but the graph was exported for {list(own)}"
    return None


def _precision(config: BuildConfig, graph: Graph) -> Verdict:
    """Entries of layer_configs that Pulsar2 ignores without a word, or refuses late."""
    present = graph.operators
    problems = []
    for index, entry in enumerate(config.quant.layer_configs):
        if missing := [name for name in entry.operators if name not in present]:
            problems.append(f"layer_configs[{index}]: no {', '.join(missing)} in the graph, so no effect")
        elif entry.data_type == "FP32" and (bold := [n for n in entry.operators if n not in FP32_OPERATORS]):
            problems.append(f"layer_configs[{index}]: FP32 is not verified for {', '.join(bold)}")
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
    if batches - {1} and max(wanted) == 1:
        text = f"{held} in the graph, the board program feeds one picture: export with batch 1"
        return "warn", text
    if max(wanted) == 1:
        return "ok", "1, as in the graph"
    if batches != {1}:
        text = f"{max(wanted)} is asked for, but the graph has batch {held}: export with batch 1"
        return "fail", text
    shown = ", ".join(map(str, wanted)) if compiler.static_batch_sizes else f"1 to {max(wanted)}"
    asked = f"{shown} with opset {graph.opset}"
    fixed, literal = _fixed_reshapes(graph)
    if literal:  # allowzero came with opset 14
        text = f"{asked}: in Reshape {literal[0]} a 0 is not the batch (allowzero); export with opset 11"
        return "fail", text
    if fixed and compiler.disable_ir_fix:
        text = f"{asked}: {len(fixed)} Reshapes hold batch 1 and disable_ir_fix keeps them; set it to false"
        return "fail", text
    if fixed:
        text = (
            f"{asked}: {len(fixed)} Reshapes hold batch 1, which the compiler has to rewrite; check the log "
            "line 'batchs', and set those shapes to -1 by const_processors if a size is missing there"
        )
        return "warn", text
    return "ok", f"{asked}: no Reshape holds the batch"


def _fixed_reshapes(graph: Graph) -> tuple[list[str], list[str]]:
    """The Reshapes whose constant shape starts with 1, and those whose 0 does not mean "as before"."""
    fixed, literal = [], []
    for node in graph.nodes:
        standard = node.op_type == "Reshape" and node.domain in STANDARD
        shape = graph.constant(node.input[1]) if standard else None
        if shape is None:
            continue
        if shape.size and shape.ravel()[0] == 1:
            fixed.append(node.name or node.output[0])
        if 0 in shape and graph.attribute(node, "allowzero"):
            literal.append(node.name or node.output[0])
    return fixed, literal
