"""Preflight of a configuration against the graph it is to compile."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from helpers.finding import Finding
from helpers.graph.preprocess import Preprocessing, marked
from helpers.pulsar2 import operators
from helpers.pulsar2.graph_checks import inputs, sizes
from helpers.pulsar2.pulsar2_quant import InputQuantConfig, LayerConfig
from helpers.pulsar2.pulsar2_schema import BuildConfig, InputProcessor

EVERY = "DEFAULT"  # Pulsar2's name for all inputs or outputs
IMAGENET_RGB = (123.675, 116.28, 103.53)  # means in 0–255 units; also the older 123.68, 116.779, 103.939
COLOURS = ("BGR", "RGB")
# Verified in FP32 by Pulsar2's documentation (advanced_build_guides); others were ignored without a word.
FP32_OPERATORS = {"LeakyRelu", "Sigmoid", "Relu", "Add", "Mul", "Div", "Sub", "Concat", "Softmax"}
NEAR = 2.0  # grey levels between the mean and std of one data set as different authors print them
FEEDS = {"BGR": "as the C++ board programs feed", "RGB": "as pyaxengine's example feeds"}


def check_config(config: BuildConfig, model: onnx.ModelProto) -> list[Finding]:
    """One finding per check: input name, board feed, channel order, mean/std, precision, batch."""
    return [
        _input_name(config, model),
        _feed(config),
        _channel_order(config, model),
        _mean_std(config, model),
        _precision(config, model),
        _batch(config, model),
    ]


def _input_name(config: BuildConfig, model: onnx.ModelProto) -> Finding:
    names, outputs = {v.name for v in inputs(model)}, {v.name for v in model.graph.output}
    quantised = [entry.tensor_name for entry in config.quant.input_configs]
    used = quantised + [entry.tensor_name for entry in config.input_processors]
    if unknown := [name for name in used if name not in names | {EVERY}]:
        text = f"configuration: {', '.join(unknown)}, graph: {', '.join(sorted(names))}; use that, or DEFAULT"
        return Finding("input name", "fail", text)
    strange = [e.tensor_name for e in config.output_processors if e.tensor_name not in outputs | {EVERY}]
    if strange:
        text = f"outputs in the configuration: {', '.join(strange)}, graph: {', '.join(sorted(outputs))}"
        return Finding("input name", "fail", text)
    uncalibrated = sorted(names - set(quantised)) if EVERY not in quantised else []
    if uncalibrated:
        text = f"{', '.join(uncalibrated)} has no entry in quant.input_configs: add one, or use DEFAULT"
        return Finding("input name", "fail", text)
    return Finding(
        "input name", "ok", f"{', '.join(dict.fromkeys(used))} in the configuration fits the graph"
    )


def _feed(config: BuildConfig) -> Finding:
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
        return Finding("board feed", "warn", text)
    return Finding("board feed", "ok", "uint8 HWC pictures in, float32 scores out")


def _channel_order(config: BuildConfig, model: onnx.ModelProto) -> Finding:
    def fail(text: str) -> Finding:
        return Finding(
            "channel order", "fail", f"{text}; build the configuration with the board_input of the export"
        )

    mark = marked(model)
    for processor in config.input_processors:
        tensor, source = processor.tensor_format, processor.src_format
        if tensor in COLOURS and source in COLOURS and tensor != source:
            return fail(f"tensor_format is {tensor} and src_format {source}, but Pulsar2 swaps no channels")
        if mark and tensor in COLOURS and tensor != mark.format:
            return fail(f"tensor_format is {tensor}, but the graph was exported for {mark.format}")
        mean = _mean_of(config, processor)
        if tensor in COLOURS and (order := _order_of(mean)) not in (None, tensor):
            return fail(
                f"tensor_format is {tensor}, but the mean {list(mean)} is ImageNet's in {order} order"
            )
    orders = {p.tensor_format for p in config.input_processors}
    named = orders.pop() if len(orders) == 1 else None
    if named not in COLOURS:
        text = "tensor_format does not say BGR or RGB: calibration images and board may differ; name it"
        return Finding("channel order", "warn", text)
    if mark is None:
        text = f"{named}, {FEEDS[named]}; the graph does not say which order it takes: check its export"
        return Finding("channel order", "warn", text)
    return Finding("channel order", "ok", f"{named} in graph and configuration, {FEEDS[named]}")


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


def _mean_std(config: BuildConfig, model: onnx.ModelProto) -> Finding:
    mark = marked(model)
    given = [
        (f"quant.input_configs[{index}].calibration_", entry.calibration_mean, entry.calibration_std)
        for index, entry in enumerate(config.quant.input_configs)
    ]
    given += [(f"input_processors[{i}].", p.mean, p.std) for i, p in enumerate(config.input_processors)]
    given = [(path, mean, std) for path, mean, std in given if mean or std]
    if not given:
        text = "none given, so the model gets 0–255: give the model's own unless it was trained so"
        return Finding("mean/std", "warn", text)
    for path, mean, std in given:
        if problem := _implausible(path, mean, std, mark):
            return Finding("mean/std", "fail", problem)
    for path, mean, std in given:
        if problem := _unlike_export(path, mean, std, mark, tolerance=0.01):
            return Finding("mean/std", "warn", f"{problem}; near, but take those")
    if idle := [entry.tensor_name for entry in config.quant.input_configs if _not_applied(entry)]:
        text = (
            f"calibration_mean and _std of {', '.join(idle)} are not applied to arrays: store them normalised"
        )
        return Finding("mean/std", "warn", text)
    _, mean, std = given[0]
    return Finding("mean/std", "ok", f"mean {list(mean)}, std {list(std)} in 0–255 units")


def _not_applied(entry: InputQuantConfig) -> bool:
    return entry.calibration_format != "Image" and bool(entry.calibration_mean or entry.calibration_std)


def _implausible(
    path: str, mean: Sequence[float], std: Sequence[float], mark: Preprocessing | None
) -> str | None:
    if std and min(std) < 1:
        return (
            f"{path}std = {list(std)}: units are 0–255, so a std below 1 blows pixels up; multiply by 255 "
            "(a model that divides by 255 has mean 0 and std 255)"
        )
    if any(0 < value < 1 for value in mean):
        return f"{path}mean = {list(mean)}: units are 0–255; multiply by 255"
    if any(not 0 <= value <= 255 for value in mean) or any(value > 510 for value in std):
        return f"{path}mean = {list(mean)}, std = {list(std)}: pixels are 0–255, these lie outside"
    return _unlike_export(path, mean, std, mark, tolerance=NEAR)


def _unlike_export(
    path: str, mean: Sequence[float], std: Sequence[float], mark: Preprocessing | None, *, tolerance: float
) -> str | None:
    """Where mean or std are not those that the graph was exported for; None when they are, or if unknown."""
    if mark is None:
        return None
    for name, given, exported in (("mean", mean, mark.mean), ("std", std, mark.std)):
        if given and (len(given) != 3 or not np.allclose(given, exported, rtol=0, atol=tolerance)):
            return f"{path}{name} = {list(given)}, but the graph was exported for {list(exported)}"
    return None


def _precision(config: BuildConfig, model: onnx.ModelProto) -> Finding:
    """Entries of layer_configs that Pulsar2 ignores without a word, or refuses late."""
    present = operators.count(model)
    problems = []
    for index, entry in enumerate(config.quant.layer_configs):
        if missing := [name for name in entry.operators if name not in present]:
            problems.append(f"layer_configs[{index}]: no {', '.join(missing)} in the graph, so no effect")
        elif unverified := _unverified(entry):
            problems.append(f"layer_configs[{index}]: FP32 is not verified for {', '.join(unverified)}")
    if config.quant.highest_mix_precision:
        problems.append("highest_mix_precision makes everything FP32, which failed on real graphs")
    if problems:
        return Finding("precision", "warn", "; ".join(problems))
    return Finding("precision", "ok", f"{len(config.quant.layer_configs)} entries in layer_configs")


def _unverified(entry: LayerConfig) -> list[str]:
    return [name for name in entry.operators if entry.data_type == "FP32" and name not in FP32_OPERATORS]


def _batch(config: BuildConfig, model: onnx.ModelProto) -> Finding:
    """Batches beside the one in the graph: the tool changes the input shape and needs shapes that follow."""
    compiler = config.compiler
    wanted = list(compiler.static_batch_sizes) or [compiler.max_dynamic_batch_size or 1]
    batches = {shape[0] for v in inputs(model) if (shape := sizes(v))}
    if batches - {1} and max(wanted) == 1:
        text = f"{_listed(batches)} in the graph, the board program feeds one picture: export with batch 1"
        return Finding("batch", "warn", text)
    if max(wanted) == 1:
        return Finding("batch", "ok", "1, as in the graph")
    if batches != {1}:
        text = f"{max(wanted)} is asked for, but the graph has batch {_listed(batches)}: export with batch 1"
        return Finding("batch", "fail", text)
    shown = ", ".join(map(str, wanted)) if compiler.static_batch_sizes else f"1 to {max(wanted)}"
    asked = f"{shown} with opset {operators.opset(model)}"
    fixed, literal = _fixed_reshapes(model)
    if literal:  # allowzero came with opset 14
        text = f"{asked}: in Reshape {literal[0]} a 0 is not the batch (allowzero); export with opset 11"
        return Finding("batch", "fail", text)
    if fixed and compiler.disable_ir_fix:
        text = f"{asked}: {len(fixed)} Reshapes hold batch 1 and disable_ir_fix keeps them; set it to false"
        return Finding("batch", "fail", text)
    if fixed:
        text = (
            f"{asked}: {len(fixed)} Reshapes hold batch 1, which the compiler has to rewrite; check the log "
            "line 'batchs', and set those shapes to -1 by const_processors if a size is missing there"
        )
        return Finding("batch", "warn", text)
    return Finding("batch", "ok", f"{asked}: no Reshape holds the batch")


def _listed(batches: set[int | str]) -> str:
    return ", ".join(map(str, sorted(batches, key=str)))


def _fixed_reshapes(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    """The Reshapes whose constant shape starts with 1, and those whose 0 does not mean "as before"."""
    constants = operators.constants(model)
    fixed, literal = [], []
    for node in model.graph.node:
        standard = node.op_type == "Reshape" and node.domain in operators.STANDARD
        if not standard or node.input[1] not in constants:
            continue
        shape = numpy_helper.to_array(constants[node.input[1]]).ravel()
        if shape.size and shape[0] == 1:
            fixed.append(node.name or node.output[0])
        if 0 in shape and any(a.name == "allowzero" and a.i for a in node.attribute):
            literal.append(node.name or node.output[0])
    return fixed, literal
