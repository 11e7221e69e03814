"""How fast an EfficientViT will be on the AX650N at batch 8, from its MACs and parameters.

Time per image is a fixed cost, plus a cost per million MACs, plus on one core a cost per million
parameters: least squares on the relative error over the six models that AXERA measured
(data/published/ax650n_fps.json). NPU3 has no cost of parameters: with one, models left out of the fit are
forecast worse. That is how the terms were chosen; what this one stands for is not known. The forecast knows
this family at batch 8 only: one image at a time has other fixed costs, and so has a network of other
operators, whose graph is refused. Outside M0 to M5 the interval assumes that the line goes on, and it says
so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from helpers.graph.cost import graph_cost
from helpers.graph.graph import Graph
from helpers.published import published

CONFIDENCE = 0.90
"""What `low` to `high` claims, nominally: it does not know that the terms were chosen by these six models.

Each model left out of the fit in turn, 11 of the 12 speeds lie inside.
"""

COUNTED = {
    "efficientvit_m0": (79.2, 2.349),
    "efficientvit_m1": (167.1, 2.981),
    "efficientvit_m2": (201.0, 4.188),
    "efficientvit_m3": (262.7, 6.901),
    "efficientvit_m4": (299.3, 8.804),
    "efficientvit_m5": (521.6, 12.474),
}
"""Million MACs and parameters, counted by helpers.model.cost; a test counts them again."""

_MACS = [macs_m for macs_m, _ in COUNTED.values()]
RANGE = math.floor(min(_MACS)), math.ceil(max(_MACS))
"""Million MACs of the smallest and the largest of them: outside, the forecast is a guess."""

# Between an attention's convolutions and its products, and between these and their softmax.
_PASS_ON = frozenset([
    *("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Add", "Mul", "Div"),
    *("BatchNormalization", "QuantizeLinear", "DequantizeLinear"),
])  # fmt: skip
_TERMS = {"NPU1": 3, "NPU3": 2}  # of: fixed cost, MACs, parameters
_T_QUANTILE = {2: 2.920, 3: 2.353, 4: 2.132}  # Student's t, two-sided 90 %, by degrees of freedom


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Images/s at batch 8, with the bounds of an interval of nominally 90 %: it takes the terms for given."""

    fps: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a forecast is made of, in plain numbers, so that a live picture can make it too.

    Costs are microseconds: of an image, of a million MACs and, as a third, of a million parameters.
    """

    costs: list[float]
    variance: float
    inverse: list[list[float]]
    quantile: float

    def at(self, macs_m: float, params_m: float) -> Forecast:
        """The forecast for an image of so many million MACs, and so many million parameters."""
        point = np.array((1, macs_m, params_m))[: len(self.costs)]
        time = point @ self.costs
        leverage = point @ np.array(self.inverse) @ point
        half = self.quantile * math.sqrt(self.variance * (time**2 + leverage))
        return Forecast(
            fps=float(1e6 / time), low=float(1e6 / (time + half)), high=float(1e6 / (time - half))
        )


def fits() -> dict[str, Fit]:
    """The fit of each NPU mode over all six models."""
    return {npu: fitted(npu, list(COUNTED)) for npu in _TERMS}


def forecast(*, macs_m: float, params_m: float) -> dict[str, Forecast]:
    """Images/s at batch 8 on NPU1 and NPU3 of an EfficientViT; MACs per image and parameters in millions."""
    return {npu: fit.at(macs_m, params_m) for npu, fit in fits().items()}


def doubts(*, macs_m: float, image_size: int = 224) -> list[str]:
    """What to hold against a forecast at so many million MACs: nothing within RANGE at 224 pixels."""
    low, high = RANGE
    found = []
    if not low <= macs_m <= high:
        found.append(
            f"{macs_m:.1f} million MACs lie outside the {low} to {high} of the fitted models: a guess"
        )
    if image_size != 224:
        found.append(
            f"the fitted models take 224 pixels, this one {image_size}: larger maps were not measured"
        )
    return found


def counts(model: onnx.ModelProto) -> tuple[float, float]:
    """Million MACs per image and million parameters of an EfficientViT's graph, to forecast it by.

    Raises ValueError for a network of another family, and for what `graph_cost` cannot count. The family is
    told by its attention: the queries of each, and they alone, come out of a depth-wise convolution.
    """
    graph = Graph(model)

    def grouped(name: str) -> bool:
        node = _origin(graph, name)
        return node is not None and node.op_type == "Conv" and graph.attribute(node, "group") > 1

    made = [_origin(graph, node.input[0]) for node in graph.nodes if node.op_type == "Softmax"]
    products = [node.input for node in made if node is not None and node.op_type == "MatMul"]
    attentions = [pair for pair in products if not graph.constants.keys() & set(pair)]
    if not attentions or any(sum(map(grouped, pair)) != 1 for pair in attentions):
        raise ValueError(
            "this graph is no EfficientViT (M0 to M5 and their like), and the forecast is for no other "
            "family: measure it on the board"
        )
    found = graph_cost(model)
    return found.macs / 1e6, found.parameters / 1e6


def _origin(graph: Graph, name: str) -> onnx.NodeProto | None:
    """The node that computes a tensor, layout, scale and bias aside; None for an input or a constant."""
    while (node := graph.writer.get(name)) is not None and node.op_type in _PASS_ON:
        name = next((name for name in node.input if name not in graph.constants), "")
    return node


def fitted(npu: str, models: Sequence[str]) -> Fit:
    """Least squares over the measured speeds of `models`, names of COUNTED, in an NPU mode."""
    terms = np.array([(1, *COUNTED[model]) for model in models])[:, : _TERMS[npu]]
    measured = {row["model"]: row["fps"] for row in published("ax650n_fps").rows if row["npu"] == npu}
    # Each row is divided by its measured time, so that the right-hand side is 1 for all.
    rows = terms * [[measured[model] / 1e6] for model in models]
    costs, squares, *_ = np.linalg.lstsq(rows, np.ones(len(rows)), rcond=None)
    freedom = len(rows) - len(costs)
    return Fit(
        costs=costs.tolist(),
        variance=float(squares[0] / freedom),
        inverse=np.linalg.inv(rows.T @ rows).tolist(),
        quantile=_T_QUANTILE[freedom],
    )
