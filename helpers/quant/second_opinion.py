"""`python -m helpers second-opinion`: what INT8 leaves of a trained network's answers, by two quantisers.

The other one is ONNX Runtime's. Its rules beside Pulsar2's in `quantize`: tensors are U8, the operands of a
product of activations too, and a channel's largest weight is code 127, where Pulsar2's falls half a step
beyond it.
"""

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from helpers.graph.convert import simplify, to_onnx
from helpers.graph.metrics import cosines, nsr, sqnr_db
from helpers.graph.preprocess import Preprocessing
from helpers.model import lite0
from helpers.model.reference import mean_and_std
from helpers.paired import difference
from helpers.quant import photographs
from helpers.quant.params import Values
from helpers.quant.quantize import calibrate, quantize
from helpers.quant.simulate import logits

COSINE, AGREEMENT = 0.985, 0.8  # the least that Pulsar2's rules must leave of EfficientNet-Lite0


@dataclass(frozen=True)
class Opinion:
    """What one quantiser leaves of float: SQNR, median cosine of the logits, share of the same best class.

    `agreement_95`: the interval that `photographs` as these leave open (Student's, over their shares).
    """

    quantizer: str
    sqnr_db: float
    cosine_median: float
    agreement: float
    agreement_95: tuple[float, float]
    pictures: int
    photographs: int

    @property
    def holds(self) -> bool:
        """Whether both bars are reached."""
        return self.cosine_median >= COSINE and self.agreement >= AGREEMENT


def opinions(*, cuts: int = 5) -> list[Opinion]:
    """On EfficientNet-Lite0 by Pulsar2's rules and by ONNX Runtime, judged on `cuts` of each photograph."""
    network = lite0.load()
    mean, std = mean_and_std(network)
    fed = photographs.fed(cuts, Preprocessing.of(mean=mean, std=std, board_input="rgb"))
    graph = simplify(to_onnx(network))
    exact = logits(graph, [picture for several in fed.values() for picture in several])

    def opinion(name: str, quantizer: Callable[[list[Values]], onnx.ModelProto]) -> Opinion:
        found = photographs.crossed(fed, quantizer)
        same = found.argmax(axis=1) == exact.argmax(axis=1)
        _, low, high = difference(same.reshape(len(fed), cuts).mean(axis=1), [0.0] * len(fed))
        noise, alike = sqnr_db(nsr(found, exact)), float(np.median(cosines(found, exact)))
        interval = (max(low, 0.0), min(high, 1.0))
        return Opinion(name, noise, alike, float(same.mean()), interval, len(exact), len(fed))

    return [
        opinion("Pulsar2's rules", lambda seen: quantize(calibrate(graph, seen))),
        opinion("ONNX Runtime", lambda seen: by_onnxruntime(graph, seen)),
    ]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, pictures: Sequence[Values]) -> None:
        self._fed = iter([{name: picture} for picture in pictures])

    def get_next(self) -> dict[str, Values] | None:
        return next(self._fed, None)


def by_onnxruntime(graph: onnx.ModelProto, pictures: Sequence[Values]) -> onnx.ModelProto:
    """`graph`, of opset 13 or later, with QDQ operators: U8 tensors by MinMax, S8 weights per channel."""
    exact = onnx.ModelProto()
    exact.CopyFrom(graph)  # it writes into what it gets
    log = logging.getLogger()
    level = log.level
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "quantized.onnx")
        log.setLevel(logging.ERROR)  # its advice to simplify the graph, which ours are
        try:
            quantize_static(
                exact,
                path,
                _Reader(graph.graph.input[0].name, pictures),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        finally:
            log.setLevel(level)
        return onnx.load(path)
