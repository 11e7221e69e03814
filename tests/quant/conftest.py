"""The graph that the tests of this room round."""

import onnx
import pytest

from helpers.graph import convert
from helpers.graph.fold import fold
from helpers.model import weights


@pytest.fixture(scope="package")
def graph() -> onnx.ModelProto:
    return convert.simplify(convert.to_onnx(fold(weights.load("efficientvit_m0", "random"))))
