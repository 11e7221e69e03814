"""The AX650 list and its restrictions, on one-node graphs."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_graphs import graph, node

from helpers.finding import Finding
from helpers.graph.graph import Graph
from helpers.pulsar2 import operators

SHARED = Path(__file__).parents[3] / "shared"
FACTS = SHARED / "facts" / "ax650_operators.json"
F32 = np.float32


def listed(model: onnx.ModelProto) -> Finding:
    """Whether the operators are on the list."""
    return operators.check_operators(Graph(model))[0]


def kept(model: onnx.ModelProto) -> Finding:
    """Whether they keep to its restrictions."""
    return operators.check_operators(Graph(model))[1]


@pytest.mark.skipif(not FACTS.is_file(), reason="the printed list is not in this checkout")
def test_the_data_file_has_every_operator_and_every_restriction() -> None:
    printed = json.loads(FACTS.read_bytes())["operators"]
    table = operators.table()["operators"]
    assert set(table) == set(printed)
    for name, texts in printed.items():
        if name == "SpatialTransformer":  # not an ONNX operator: no attribute of it to look at
            continue
        limited = re.compile("only support|only setting|not supp|to:|<=", re.IGNORECASE)
        assert bool(table[name]) == any(map(limited.search, texts)), name


@pytest.mark.parametrize("operator", ["Mod", "Einsum", "LRN", "NonMaxSuppression", "Reciprocal", "IsNaN"])
def test_an_operator_off_the_list_fails(operator: str) -> None:
    finding = listed(graph(node(operator)))
    assert finding.level == "fail" and f"{operator} ×1 (it)" in finding.message


@pytest.mark.parametrize("operator", ["TopK", "Relu", "HardSwish", "PRelu"])
def test_an_operator_on_the_list_passes_however_it_is_spelt_there(operator: str) -> None:
    assert listed(graph(node(operator))).level == "ok"


@pytest.mark.parametrize("operator", ["Neg", "CumSum", "Swish", "Xor"])
def test_where_list_and_builds_disagree_there_is_a_warning(operator: str) -> None:
    assert listed(graph(node(operator))).level == "warn"


def test_a_foreign_domain_is_off_the_list() -> None:
    assert "com.microsoft::Relu" in listed(graph(node("Relu", domain="com.microsoft"))).message


def test_equal_problems_are_counted_and_failures_hide_warnings() -> None:
    nodes = [
        helper.make_node(kind, ["input"], [f"{kind}{i}"], kind) for i in (1, 2) for kind in ("Neg", "IsNaN")
    ]
    finding = listed(graph(*nodes, node("Relu")))
    assert finding.level == "fail" and "IsNaN ×2 (IsNaN)" in finding.message and "Neg" not in finding.message
    many = [helper.make_node(f"Own{i}", ["input"], [f"{i}"]) for i in range(operators.KINDS_SHOWN + 2)]
    assert "2 more kinds" in listed(graph(*many)).message


GEMM = {"b": np.ones((8, 4), F32), "c": np.ones(4, F32), "shape": [2, 8], "out": [2, 4]}
NORM = {name: np.ones(3, F32) for name in ("s", "b", "m", "v")}
WEIGHT = {"w": np.ones((3, 3, 3, 3), F32)}


@pytest.mark.parametrize(
    ("made", "extra"),
    [
        (node("Gemm", ["input", "b", "c"], alpha=1.0, beta=1.0), GEMM),
        (node("BatchNormalization", ["input", *NORM], momentum=0.9, epsilon=1e-3), NORM),
        (node("Conv", ["input", "w"], auto_pad="NOTSET", pads=[1, 1, 1, 1]), WEIGHT),
        (node("AveragePool", kernel_shape=[2, 2], count_include_pad=0, pads=[0, 0, 0, 0]), {}),
        (node("AveragePool", kernel_shape=[2, 2], count_include_pad=1, pads=[1, 1, 1, 1]), {}),
        (node("Pad", ["input", "p"], mode="constant"), {"p": np.zeros(8, np.int64)}),
        (node("ReduceMean", axes=[2, 3], keepdims=1), {"out": [1, 3, 1, 1]}),
        (node("Cast", to=TensorProto.INT32), {"out_dtype": TensorProto.INT32}),
        (node("Pow", ["input", "e"]), {"e": F32(2)}),
        (node("Gather", ["input", "i"], axis=1), {"i": np.array([0, 2])}),
        (node("LayerNormalization", ["input", "w8"], axis=3), {"w8": np.ones(8, F32), "opset": 17}),
        (node("PRelu", ["input", "s"]), {"s": np.ones((1, 3, 1, 1), F32)}),
        (node("Resize", ["input", "", "k"], mode="linear", nearest_mode="floor"), {"k": np.ones(4, F32)}),
    ],
)  # fmt: skip
def test_what_equals_the_default_or_is_allowed_passes(made: onnx.NodeProto, extra: dict[str, Any]) -> None:
    assert kept(graph(made, **extra)).level == "ok"


BROKEN: list[tuple[onnx.NodeProto, dict[str, Any], str]] = [
    (node("Gemm", ["input", "b", "c"], alpha=0.5), GEMM, "alpha"),
    (node("Gemm", ["input", "b", "c"], beta=2.0), GEMM, "beta"),
    (node("BatchNormalization", ["input", *NORM], momentum=0.5), NORM, "momentum"),
    (node("Conv", ["input", "w"], auto_pad="SAME_UPPER"), WEIGHT, "auto_pad"),
    (node("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1]), {}, "count_include_pad"),
    (node("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), {}, "dilations"),
    (node("ConvTranspose", ["input", "w"], output_padding=[1, 1]), WEIGHT, "output_padding"),
    (node("ConvTranspose", ["input", "w"], output_shape=[10, 10]), WEIGHT, "output_shape"),
    (node("Pad", ["input", "p"], mode="reflect"), {"p": np.zeros(8, np.int64)}, "mode"),
    (
        node("Pad", ["input", "p", "", "a"]),
        {"p": np.zeros(4, np.int64), "a": np.array([2, 3]), "opset": 18},
        "axes",
    ),
    (node("Cast", to=TensorProto.INT64), {"out_dtype": TensorProto.INT64}, "int64"),
    (node("Pow", ["input", "input"]), {}, "exponent"),
    (node("Gather", ["input", "i"], axis=1), {"i": np.zeros((2, 2), np.int64)}, "2-D indices"),
    (node("LayerNormalization", ["input", "w"], axis=2), {"w": np.ones(8, F32), "opset": 17}, "axis"),
    (node("LpNormalization", p=2, axis=1), {}, "axis"),
    (node("PRelu", ["input", "s"]), {"s": np.ones((3, 1, 1), F32)}, "slope"),
    (node("Resize", ["input", "", "k"], mode="nearest"), {"k": np.ones(4, F32)}, "nearest_mode"),
    (node("Resize", ["input", "", "k"], mode="cubic"), {"k": np.ones(4, F32)}, "mode"),
    (node("DepthToSpace", blocksize=2, mode="CRD"), {}, "mode"),
    (node("RoiAlign"), {}, "sampling_ratio"),
    (node("ArgMax", select_last_index=1), {"opset": 12}, "select_last_index"),
    (node("ReduceSum", noop_with_empty_axes=1), {"opset": 13}, "noop_with_empty_axes"),
    (node("LSTM", ["input", "w", "w", "", "n"]), {**WEIGHT, "n": np.ones(1)}, "sequence_lens"),
]  # fmt: skip


def resize(scale: float, *, sizes: Sequence[int] = (), **attributes: str) -> onnx.ModelProto:
    """One of an 8 x 8 map, in the form that PyTorch exports, by a scale or to sizes."""
    form = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    made = node("Resize", ["input", "", "" if sizes else "k", *(["s"] if sizes else [])], **form | attributes)
    side = sizes[-1] if sizes else int(8 * scale)
    given = {"s": np.array(sizes)} if sizes else {"k": np.array([1, 1, scale, scale], F32)}
    return graph(made, out=[1, 3, side, side], **given)


@pytest.mark.parametrize(
    ("model", "level"),
    [
        (resize(2), "warn"),  # as in the vendor's own builds of YOLO
        (resize(4), "warn"),
        (resize(0, sizes=[1, 3, 16, 16]), "warn"),
        (resize(1.5), "fail"),
        (resize(2.1), "fail"),
        (resize(0.5), "fail"),
        (resize(0, sizes=[1, 3, 12, 12]), "fail"),
        (resize(2, nearest_mode="ceil"), "fail"),
        (resize(2, coordinate_transformation_mode="half_pixel"), "fail"),
        (resize(1.5, mode="linear"), "ok"),
    ],
)
def test_a_resize_may_repeat_pixels(model: onnx.ModelProto, level: str) -> None:
    assert kept(model).level == level


def test_each_restriction_in_words_is_broken_below() -> None:
    worded = {
        name
        for name, rules in operators.table()["operators"].items()
        if any(isinstance(rule, str) and rule != "absent" for rule in rules.values())
    }
    assert worded <= {made.op_type for made, _, _ in BROKEN}


@pytest.mark.parametrize(("made", "extra", "word"), BROKEN)
def test_a_broken_restriction_fails(made: onnx.NodeProto, extra: dict[str, Any], word: str) -> None:
    finding = kept(graph(made, **extra))
    assert finding.level == "fail" and word in finding.message and "; " not in finding.message


def test_indices_that_are_computed_are_judged_by_their_inferred_shape() -> None:
    reshape = helper.make_node("Reshape", ["i", "two"], ["i2"])
    constants = {"i": np.arange(4), "two": np.array([2, 2])}
    assert "2-D" in kept(graph(reshape, node("Gather", ["input", "i2"], axis=3), **constants)).message


@pytest.mark.parametrize(
    ("made", "extra", "word"),
    [
        (node("Elu"), {}, "write alpha out"),
        (node("Gemm", ["input", "input"], transB=1), {"shape": [2, 8], "out": [2, 2]}, "MatMul"),
        (node("ReduceMean"), {"out": [1, 1, 1, 1]}, "axes"),
    ],
)
def test_what_made_real_builds_fail_is_a_warning(
    made: onnx.NodeProto, extra: dict[str, Any], word: str
) -> None:
    finding = kept(graph(made, **extra))
    assert finding.level == "warn" and word in finding.message and "; " not in finding.message
