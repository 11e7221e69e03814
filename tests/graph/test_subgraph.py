"""A head cut out of a graph, before and after the folds."""

from collections import Counter
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from helpers.graph import export
from helpers.graph.fold import FOLDS, fold
from helpers.graph.subgraph import between, first_head
from helpers.model import weights


def chain() -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("input", "out")]
    nodes = [
        helper.make_node("Relu", ["input"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Tanh", ["input"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["out"]),
    ]
    return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))


def test_only_what_lies_on_the_way():
    assert between(chain(), start="a", end="out") == [
        ("Sigmoid", ()),
        ("Add", (0,)),
    ]
    with pytest.raises(ValueError, match="no way"):
        between(chain(), start="out", end="a")


@pytest.mark.parametrize(("folds", "expected"), [((), 14), (FOLDS, 13)])
def test_the_first_head(tmp_path: Path, folds: tuple, expected: int):
    model = fold(weights.load("efficientvit_m0", "random"), folds=folds)
    head = first_head(export.simplify(export.to_onnx(model, tmp_path / "m.onnx")))
    kinds = Counter(kind for kind, _ in head)
    assert len(head) == expected
    assert (kinds["Conv"], kinds["MatMul"], kinds["Softmax"]) == (2, 2, 1)


def test_a_graph_without_attention_has_none():
    with pytest.raises(ValueError, match="no attention head"):
        first_head(chain())
