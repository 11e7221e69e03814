"""What the AX650 compiler takes: its operator list, and the restrictions on single operators.

The list (`data/ax650_operators.json`, with its source) is a pre-screen, not a proof: real builds took an
operator that it lacks and refused two that it has. An attribute written at its ONNX default counts as absent.
"""

import functools
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
from onnx import helper

from helpers.files import DATA
from helpers.finding import Finding, Level
from helpers.graph.graph import STANDARD, Graph, input_of

Problem = tuple[Level, str, str, str]  # level, operator, what is wrong and what to do, the node
KINDS_SHOWN = 5


@functools.cache
def table() -> dict[str, Any]:
    """The data file: operators with their restrictions, and what was measured beyond the list."""
    loaded: dict[str, Any] = json.loads((DATA / "ax650_operators.json").read_text(encoding="utf-8"))
    return loaded


def check_operators(graph: Graph, *, onnxsim: bool = False) -> list[Finding]:
    """Two findings: operators off the AX650 list, and nodes that break a restriction of the list.

    A warning where a real build contradicts the list, or where a form made a real build fail, and for what
    simplification removes if the configuration asks for that (`onnxsim`). Shapes come from ONNX's shape
    inference; a rule that needs an unknown one is not applied.
    """
    counts = graph.operators
    listed = f"{counts.total()} nodes of {len(counts)} operators, all on the AX650 list"
    kept = "every node keeps to those of the AX650 list"
    return [
        _summary("operators", _lasting(_unlisted, graph, onnxsim=onnxsim), listed),
        _summary("restrictions", _lasting(_restricted, graph, onnxsim=onnxsim), kept),
    ]


def removed(level: Level, problem: str, *, onnxsim: bool) -> tuple[Level, str]:
    """A problem that simplification removes, with that as its remedy in place of its own after the colon."""
    how = "the configuration has it simplified away" if onnxsim else "simplify the graph (onnxsim)"
    return "warn" if onnxsim else level, f"{problem.partition(': ')[0]}: {how}"


def _lasting(find: Callable[[Graph], Iterable[Problem]], graph: Graph, *, onnxsim: bool) -> Iterable[Problem]:
    """Problems of what simplification leaves, which the compiler will see, then those that it removes."""
    found = list(find(graph))
    if all(level == "warn" for level, *_ in found):
        return found
    left = list(find(graph.simplified))
    gone = [problem for problem in found if problem not in left]
    for level, operator, text, node in gone:
        level, text = removed(level, text, onnxsim=onnxsim)
        left.append((level, operator, text, node))
    return left


def _unlisted(graph: Graph) -> Iterable[Problem]:
    known = {name.lower() for name in table()["operators"]}  # the list spells TopK "Topk"
    for node in graph.nodes:
        operator = node.op_type if node.domain in STANDARD else f"{node.domain}::{node.op_type}"
        if seen := table()["unlisted_but_seen"].get(operator):
            yield "warn", operator, f"not on the AX650 list, but {seen}", name_of(node)
        elif operator.lower() not in known:
            yield "fail", operator, "not on the AX650 list: replace it", name_of(node)
        elif refused := table()["listed_but_refused"].get(operator):
            yield "warn", operator, f"on the AX650 list, but {refused}", name_of(node)


def _restricted(graph: Graph) -> Iterable[Problem]:
    for node in (node for node in graph.nodes if node.domain in STANDARD):
        for text in (*_by_table(node, graph), *_in_words(node, graph)):
            yield "fail", node.op_type, text, name_of(node)
        for text in _by_experience(node, graph):
            yield "warn", node.op_type, text, name_of(node)


def _summary(check: str, problems: Iterable[Problem], fine: str) -> Finding:
    """One line for all problems of one check: the failures if there are any, grouped by what is wrong."""
    problems = list(problems)
    level: Level = "fail" if any(problem[0] == "fail" for problem in problems) else "warn"
    groups: dict[tuple[str, str], list[str]] = {}
    for _, operator, reason, node in (problem for problem in problems if problem[0] == level):
        groups.setdefault((operator, reason), []).append(node)
    shown = [f"{operator} ×{len(nodes)} ({nodes[0]}): {why}" for (operator, why), nodes in groups.items()]
    more = [f"and {len(groups) - KINDS_SHOWN} more kinds"] if len(groups) > KINDS_SHOWN else []
    return (
        Finding(check, level, "; ".join(shown[:KINDS_SHOWN] + more)) if groups else Finding(check, "ok", fine)
    )


def _by_table(node: onnx.NodeProto, graph: Graph) -> Iterable[str]:
    """The restrictions that the data file states as allowed values, or as absent."""
    for name, rule in table()["operators"].get(node.op_type, {}).items():
        if rule == "absent" and graph.given(node, name):
            yield f"{name} is not supported: leave it out"
        elif isinstance(rule, list):
            value = graph.attribute(node, name)
            if node.op_type == "Cast":
                value = helper.tensor_dtype_to_np_dtype(value).name
            values = value if isinstance(value, list) else [] if value is None else [value]
            if any(single not in rule for single in values):
                yield f"{name} is {value}, only {', '.join(map(str, rule))} can be compiled"


def _in_words(node: onnx.NodeProto, graph: Graph) -> Iterable[str]:
    """The restrictions that the data file states in words."""
    first, second = (graph.shape(input_of(node, place)) for place in (0, 1))
    value = functools.partial(graph.attribute, node)
    match node.op_type:
        case "AveragePool":
            if any(value("pads", [])) and value("count_include_pad") != 1:
                yield "count_include_pad must be 1 where there is padding"
        case "ConvTranspose":
            extra = value("output_padding", [])
            ends = value("pads", [0] * 2 * len(extra))[len(extra) :]
            if any(more > end for more, end in zip(extra, ends, strict=False)):
                yield f"output_padding {extra} is larger than the end pads {ends}"
        case "Gather":
            if second is not None and len(second) != 1:
                instead = "make them 1-D by Reshape, and the result what it was by another"
                if not second:
                    instead = "select with Slice and Squeeze, or give the index the shape [1] and Squeeze"
                yield f"{len(second)}-D indices, only 1-D ones can be compiled: {instead}"
        case "LayerNormalization" | "LpNormalization":
            if (axis := value("axis")) not in (-1, None) and (first is None or axis != len(first) - 1):
                yield f"axis is {axis}, only the last one can be compiled"
        case "Pow":
            exponent = graph.constant(input_of(node, 1))
            if exponent is None or exponent.size != 1:
                yield "the exponent must be one constant number"
        case "PRelu":
            fits = () if first is None or len(first) != 4 else ((first[1],), (1, first[1], 1, 1))
            if fits and second is not None and second not in fits:
                yield f"the slope has shape {second}, only {fits[0]} and {fits[1]} can be compiled"
        case "Resize":
            nearest = value("nearest_mode") if value("mode") == "nearest" else "round_prefer_ceil"
            if nearest != "round_prefer_ceil" and not _repeats_pixels(node, graph):
                yield f"nearest_mode is {nearest}, only round_prefer_ceil can be compiled"
        case "RoiAlign":
            if value("sampling_ratio") == 0:
                yield "sampling_ratio must not be 0"


def _repeats_pixels(node: onnx.NodeProto, graph: Graph) -> bool:
    """Whether a Resize makes each pixel a whole number of equal ones, in the form that PyTorch exports."""
    form = ("mode", "coordinate_transformation_mode", "nearest_mode")
    if [graph.attribute(node, name) for name in form] != ["nearest", "asymmetric", "floor"]:
        return False
    scales = graph.constant(input_of(node, 2))
    if scales is None or not scales.size:  # the sizes are given instead
        with suppress(ValueError):  # not known
            before, after = (graph.static_shape(name) for name in (node.input[0], node.output[0]))
            scales = np.divide(after, before)
    return scales is not None and scales.size > 0 and bool(np.all((scales >= 1) & (scales % 1 == 0)))


def _by_experience(node: onnx.NodeProto, graph: Graph) -> Iterable[str]:
    """Failures that a third party saw in real builds, told as warnings.

    onnxsim/onnxsim, scripts/axera/README.md and docs/axera-on-device-training-handoff.md.
    """
    written = {attribute.name for attribute in node.attribute}
    for name in table()["write_out"].get(node.op_type, []):
        if name not in written:
            yield f"write {name} out: a build failed where it was left to its default"
    if node.op_type == "Resize" and _repeats_pixels(node, graph):
        yield "nearest_mode floor is not on the list, but the vendor's own YOLOv5s and YOLO11s builds hold it"
    if node.op_type == "Gemm" and not any(name in graph.constants for name in node.input[:2]):
        yield "both factors are computed, which a build refused: use MatMul"
    if node.op_type == "ReduceMean" and not graph.attribute(node, "axes") and not input_of(node, 1):
        yield "without axes a build reduced the last one only: name them"


def name_of(node: onnx.NodeProto) -> str:
    """A node's name in a message."""
    return node.name or f"{node.op_type} of {node.output[0] if node.output else 'nothing'}"
