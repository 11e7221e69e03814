"""Preflight of the graph alone: what Pulsar2 needs of an ONNX file, whatever the configuration says."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from helpers.finding import Finding
from helpers.graph.graph_file import tensors
from helpers.pulsar2 import operators
from helpers.pulsar2.operators import Issue

# AX650 starts at 11 (pulsar2-docs-en, op_support_list_ax650). 18 was built (onnxsim/onnxsim,
# scripts/axera/README.md); 23 was refused, says one user; nobody reports on the versions between.
OPSET_FIRST, OPSET_BUILT, OPSET_REFUSED = 11, 18, 23
INT64_LIMIT = 64 * 1024  # bytes; shapes and axes need a few hundred
FLOAT32 = onnx.TensorProto.FLOAT


def check_graph(model: onnx.ModelProto) -> list[Finding]:
    """One finding per check: file, opset, operators, restrictions, shapes, dtype, int64, names.

    File and opset alone for a graph that onnx's checker refuses: what it holds cannot be relied on.
    """
    valid, version = _valid(model), _opset(model)
    if valid.level == "fail":
        return [valid, version]
    return [
        valid,
        version,
        _operators(model),
        _restrictions(model),
        _static(model),
        _dtype(model),
        _int64(model),
        _names(model),
    ]


def inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What is fed: the graph inputs that no initializer fills."""
    filled = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in filled]


def sizes(value: onnx.ValueInfoProto) -> list[int | str]:
    """The shape of an input or output; a dynamic axis by its name, or "?"."""
    axes = value.type.tensor_type.shape.dim
    return [axis.dim_value if axis.dim_value > 0 else axis.dim_param or "?" for axis in axes]


def _valid(model: onnx.ModelProto) -> Finding:
    try:
        onnx.checker.check_model(model, full_check=True)
        for tensor in tensors(model):
            numpy_helper.to_array(tensor)  # the checker takes more bytes than there are values
    except Exception as error:  # ValidationError, InferenceError, and ValueError for too large a model
        return Finding("file", "fail", f"onnx's checker refuses it: {_first_line(error)}; export it again")
    written = f"{model.producer_name} {model.producer_version}".strip() or "an unnamed producer"
    return Finding("file", "ok", f"valid ONNX, IR {model.ir_version}, written by {written}")


def _opset(model: onnx.ModelProto) -> Finding:
    used = {node.domain or "ai.onnx" for node in model.graph.node}
    if model.functions or used - {"ai.onnx"}:
        foreign = ", ".join(sorted({*(used - {"ai.onnx"}), *(f.name for f in model.functions)}))
        return Finding(
            "opset", "fail", f"operators of other sets ({foreign}): export with standard ONNX only"
        )
    version = operators.opset(model)
    if version < OPSET_FIRST:
        return Finding(
            "opset", "fail", f"{version}, the AX650 needs {OPSET_FIRST}: export with opset_version=11"
        )
    if version >= OPSET_REFUSED:
        return Finding(
            "opset", "fail", f"{version}, and 23 is reported as refused: export with opset_version=11"
        )
    if version > OPSET_BUILT:
        text = f"{version}: no build above {OPSET_BUILT} is reported; if it is refused, export with opset 11"
        return Finding("opset", "warn", text)
    return Finding("opset", "ok", f"{version}")


def _operators(model: onnx.ModelProto) -> Finding:
    issues = operators.unlisted(model)
    counts = operators.count(model)
    text = f"{counts.total()} nodes of {len(counts)} operators, all on the AX650 list"
    return _summary("operators", issues, text)


def _restrictions(model: onnx.ModelProto) -> Finding:
    return _summary(
        "restrictions", operators.restricted(model), "every node keeps to those of the AX650 list"
    )


def _summary(check: str, issues: Sequence[Issue], fine: str) -> Finding:
    """One line for all issues of one kind: the failures if there are any, grouped by what is wrong."""
    if not issues:
        return Finding(check, "ok", fine)
    level = "fail" if any(issue.level == "fail" for issue in issues) else "warn"
    groups: dict[tuple[str, str], list[str]] = {}
    for issue in issues:
        if issue.level == level:
            groups.setdefault((issue.operator, issue.reason), []).append(issue.node)
    shown = [
        f"{operator} ×{len(nodes)} ({nodes[0]}): {reason}"
        for (operator, reason), nodes in list(groups.items())[:5]
    ]
    more = [f"and {len(groups) - 5} more kinds"] if len(groups) > 5 else []
    return Finding(check, "fail" if level == "fail" else "warn", "; ".join(shown + more))


def _static(model: onnx.ModelProto) -> Finding:
    values = [*inputs(model), *model.graph.output]
    shapes = ", ".join(f"{value.name} {sizes(value)}" for value in values)
    dynamic = [v.name for v in values if not sizes(v) or not all(isinstance(n, int) for n in sizes(v))]
    if dynamic:
        text = f"{shapes}: the shape of {', '.join(dynamic)} is not fixed; export without dynamic_axes"
        return Finding("shapes", "fail", text)
    return Finding("shapes", "ok", shapes)


def _dtype(model: onnx.ModelProto) -> Finding:
    name = onnx.TensorProto.DataType.Name
    odd = [v for v in (*inputs(model), *model.graph.output) if v.type.tensor_type.elem_type != FLOAT32]
    weights = {tensor.data_type for tensor in model.graph.initializer}
    wide = weights & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE}
    if odd:
        shown = ", ".join(f"{v.name} is {name(v.type.tensor_type.elem_type)}" for v in odd)
        return Finding("dtype", "warn", f"{shown}: Pulsar2 quantises from FLOAT; export the model in float32")
    if wide:
        shown = ", ".join(sorted(map(name, wide)))
        return Finding("dtype", "warn", f"weights in {shown}: export the model in float32")
    return Finding("dtype", "ok", "float32 in and out")


def _int64(model: onnx.ModelProto) -> Finding:
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
            return Finding("int64", "fail", f"{tensor.name} has values that the board's int32 cannot hold")
    if total > INT64_LIMIT:
        named = f", the largest is {largest.name} {list(largest.dims)}" if largest is not None else ""
        return Finding(
            "int64", "warn", f"{text}{named}: index tables cost memory; simplify the graph (onnxsim)"
        )
    return Finding("int64", "ok", text)


def _names(model: onnx.ModelProto) -> Finding:
    odd = [v.name for v in (*inputs(model), *model.graph.output) if "/" in v.name]
    if odd:
        text = f"{', '.join(odd)}: the board's tools make file names of them; rename without a slash"
        return Finding("names", "warn", text)
    return Finding("names", "ok", f"inputs {[v.name for v in inputs(model)]}")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]
