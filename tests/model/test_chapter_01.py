"""Chapter 01's rule and its profiler call, on modules small enough to count by hand."""

import ast
from typing import Any

import pytest
import torch
from torch import nn

from helpers.lab import notebooks
from helpers.model.reference import timm_model


@pytest.fixture(scope="module")
def book() -> dict[str, Any]:
    """The chapter's imports, constants and functions; none of its measurements."""

    def kept(node: ast.stmt) -> bool:
        constant = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).replace(" ", "").isupper()
        return constant or isinstance(node, ast.ImportFrom | ast.Import | ast.FunctionDef)

    source = "\n".join(notebooks.sources(notebooks.find("01"), kind="code"))
    body = [node for node in ast.parse(source).body if kept(node)]
    names: dict[str, Any] = {"timed": {}, "counted": {}, "passes": 2, "model": "efficientvit_m0"}
    names["chosen"] = type("Chosen", (), {"short": "M0"})
    exec(compile(ast.Module(body, []), "chapter 01", "exec"), names)
    return names


def test_a_convolution_is_depth_wise_by_its_weight(book: dict[str, Any]):
    image = (1, 16, 7, 7)
    kinds = [
        book["kind_of"]("convolution", (image, weight))
        for weight in ((16, 1, 3, 3), (32, 16, 1, 1), (1, 1, 3, 3))
    ]
    assert kinds == [
        book["DEPTHWISE"],
        book["LINEAR"],
        book["LINEAR"],
    ]  # the last has one channel, but no groups


def test_operations_and_bytes_by_hand(book: dict[str, Any]):
    layer = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    book["images"] = torch.randn(2, 8, 10, 10)
    found = book["operators"](layer).set_index("kind")
    values = 2 * 8 * 10 * 10
    assert found.operations.to_dict() == {
        book["DEPTHWISE"]: 2 * 9 * values,
        "normalisation": values,
        "element-wise and pooling": values,
    }
    assert found.bytes_moved[book["DEPTHWISE"]] == 4 * (values + 8 * 9 + values)


class Cumulated(nn.Module):
    """A copy, and an operator that the rule does not know, between a view and an allocation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(2, 3).contiguous().cumsum(3) + torch.empty_like(x)


def test_an_unknown_operator_has_a_row_of_its_own_and_a_copy_computes_nothing(book: dict[str, Any]):
    book["images"] = torch.randn(1, 3, 64, 64)
    book["measure"]({"cumulated": Cumulated})
    counted, timed = book["counted"]["cumulated"], book["timed"]["cumulated"]
    assert counted.operations[book["OTHER"]] == 3 * 64 * 64
    assert counted.operations[book["COPY"]] == 0 < counted.bytes_moved[book["COPY"]]
    assert (timed[[book["OTHER"], book["COPY"], book["CALLS"]]] > 0).all(axis=None)


def test_the_profiler_meets_the_kinds_that_were_counted(book: dict[str, Any]):
    book["images"] = torch.randn(1, 3, 224, 224)
    book["measure"]({"M0": lambda: timm_model("efficientvit_m0")})
    timed = book["timed"]["M0"]
    assert len(timed) == 2
    assert {kind for kind in timed if timed[kind].all()} == {*book["counted"]["M0"].index, book["CALLS"]}
