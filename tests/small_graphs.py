"""Small ONNX graphs for the tests of operators, graph files and preflight."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT = [1, 3, 8, 8]


def node(operator: str, inputs: Sequence[str] = ("input",), **attributes: Any) -> onnx.NodeProto:
    """A node `it` that makes `logits`."""
    return helper.make_node(operator, list(inputs), ["logits"], name="it", **attributes)


def graph(
    *nodes: onnx.NodeProto,
    opset: int = 11,
    shape: Sequence[int | str] = INPUT,
    dtype: int = TensorProto.FLOAT,
    out: Sequence[int | str] | None = None,
    out_dtype: int = TensorProto.FLOAT,
    name: str = "input",
    **constants: Any,
) -> onnx.ModelProto:
    """A model of the nodes, from one input to `logits`; keyword arguments become initializers."""
    made = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, dtype, shape)],
        [helper.make_tensor_value_info("logits", out_dtype, shape if out is None else out)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
