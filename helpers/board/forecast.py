"""How fast an EfficientViT will be on the AX650N at batch 8, from its MACs and parameters.

Time per image is taken as a fixed cost, plus a cost per million MACs, plus on one core a cost per million
parameters: least squares on the relative error over the six models that AXERA measured
(data/published/ax650n_fps.json). Not on NPU3, where with them a model left out of the fit was forecast worse.
It knows this family at batch 8 only: a network of other operators, or one image at a time, has other fixed
costs. Outside M0 to M5 the interval assumes that the line goes on.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from helpers.published import published

CONFIDENCE = 0.90
"""What `low` to `high` claims. Each model left out of the fit in turn, 11 of the 12 speeds lay inside."""

_COUNTED = {  # million MACs and parameters, counted by helpers.model.cost; a test counts them again
    "efficientvit_m0": (79.2, 2.349),
    "efficientvit_m1": (167.1, 2.981),
    "efficientvit_m2": (201.0, 4.188),
    "efficientvit_m3": (262.7, 6.901),
    "efficientvit_m4": (299.3, 8.804),
    "efficientvit_m5": (521.6, 12.474),
}
_TERMS = {"NPU1": 3, "NPU3": 2}  # of: fixed cost, MACs, parameters
_T_QUANTILE = {2: 2.920, 3: 2.353, 4: 2.132}  # Student's t, two-sided 90 %, by degrees of freedom

Row = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Images/s at batch 8; in 90 of 100 such forecasts the board should lie between `low` and `high`."""

    fps: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """One measured model, and the forecast for it by a fit that never saw it."""

    model: str
    measured: float
    forecast: Forecast

    @property
    def error(self) -> float:
        """Relative error of the forecast speed: 0.02 is two percent too fast."""
        return self.forecast.fps / self.measured - 1


@dataclass(frozen=True)
class _Fit:
    """Microseconds of each term, their scatter, and the inverse normal matrix that the interval needs."""

    costs: Row
    spread: float
    inverse: Sequence[Row]
    freedom: int

    def at(self, terms: Row) -> Forecast:
        time = _dot(self.costs, terms)
        leverage = _dot(terms, [_dot(row, terms) for row in self.inverse])
        half = _T_QUANTILE[self.freedom] * self.spread * math.sqrt(time * time + leverage)
        return Forecast(fps=1e6 / time, low=1e6 / (time + half), high=1e6 / (time - half))


def forecast(*, macs_m: float, params_m: float) -> dict[str, Forecast]:
    """Images/s at batch 8 on NPU1 and NPU3 of an EfficientViT; MACs per image and parameters in millions.

    Raises ValueError for numbers that are not positive.
    """
    for name, value in (("macs_m", macs_m), ("params_m", params_m)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(
                f"{name} is {value}: give millions, such as 522 MACs and 12.474 parameters for M5"
            )
    return {npu: _fit(npu, list(_COUNTED)).at(_terms(npu, macs_m, params_m)) for npu in _TERMS}


def leave_one_out() -> dict[str, list[LeftOut]]:
    """For each NPU mode, every measured model forecast from the other five."""
    return {
        npu: [
            LeftOut(
                model=model,
                measured=measured,
                forecast=_fit(npu, [name for name in _COUNTED if name != model]).at(
                    _terms(npu, *_COUNTED[model])
                ),
            )
            for model, measured in _measured(npu).items()
        ]
        for npu in _TERMS
    }


def main(*, macs_m: float, params_m: float) -> int:
    """Prints the forecast as one JSON object and returns the exit status."""
    found = forecast(macs_m=macs_m, params_m=params_m)
    print(
        json.dumps(
            {npu: {name: round(fps, 1) for name, fps in asdict(one).items()} for npu, one in found.items()}
        )
    )
    return 0


def _measured(npu: str) -> dict[str, float]:
    return {row["model"]: float(row["fps"]) for row in published("ax650n_fps").rows if row["npu"] == npu}


def _terms(npu: str, macs_m: float, params_m: float) -> Row:
    return (1.0, macs_m, params_m)[: _TERMS[npu]]


def _fit(npu: str, models: Sequence[str]) -> _Fit:
    """Least squares on the relative error of the time per image."""
    measured = _measured(npu)
    # Each row is divided by its measured time, so that the right-hand side is 1 for all.
    rows = [[term * measured[model] / 1e6 for term in _terms(npu, *_COUNTED[model])] for model in models]
    columns = list(zip(*rows, strict=True))
    inverse = _inverse([[_dot(left, right) for right in columns] for left in columns])
    costs = [_dot(row, [sum(column) for column in columns]) for row in inverse]
    freedom = len(rows) - len(costs)
    spread = math.sqrt(sum((_dot(costs, row) - 1) ** 2 for row in rows) / freedom)
    return _Fit(costs, spread, inverse, freedom)


def _dot(left: Row, right: Row) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def _inverse(matrix: Sequence[Row]) -> list[Row]:
    """Gauss-Jordan, without pivoting: normal matrices are positive definite."""
    size = len(matrix)
    rows = [[*row, *(float(place == index) for place in range(size))] for index, row in enumerate(matrix)]
    for pivot in range(size):
        rows[pivot] = [value / rows[pivot][pivot] for value in rows[pivot]]
        for other in range(size):
            if other != pivot:
                factor = rows[other][pivot]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[pivot], strict=True)]
    return [row[size:] for row in rows]
