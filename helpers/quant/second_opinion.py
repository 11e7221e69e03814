"""`python -m helpers second-opinion`: what INT8 leaves of a trained network's answers, by two quantisers.

The other one is ONNX Runtime's. Its rules beside Pulsar2's in `quantize`: tensors are U8, the operands of a
product of activations too, and a channel's largest weight is code 127, where Pulsar2's falls half a step
beyond it.
"""

import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

from helpers.graph.convert import simplify, to_onnx
from helpers.graph.metrics import Array, cosines, nsr, sqnr_db
from helpers.graph.preprocess import Preprocessing
from helpers.model import lite0
from helpers.paired import difference
from helpers.quant import photographs
from helpers.quant.params import Values
from helpers.quant.quantize import calibrate, quantize
from helpers.quant.simulate import logits

BARS = {"cosine_median": 0.985, "agreement": 0.8}  # the least that Pulsar2's rules must leave


def main() -> int:
    """Prints one JSON object for each quantiser, of EfficientNet-Lite0; 1 where Pulsar2's rules miss BARS."""
    network = lite0.load()
    fed = photographs.fed(photographs.CROPS, Preprocessing.trained(network, "rgb"))
    graph = simplify(to_onnx(network))
    exact = logits(graph, [picture for several in fed.values() for picture in several])
    quantizers: dict[str, Callable[[list[Values]], onnx.ModelProto]] = {
        "Pulsar2's rules": lambda seen: quantize(calibrate(graph, seen)),
        "ONNX Runtime": lambda seen: by_onnxruntime(graph, seen),
    }
    rows = [
        {"quantizer": name} | kept(photographs.crossed(fed, quantizer), exact, of=len(fed))
        for name, quantizer in quantizers.items()
    ]
    print(*map(json.dumps, rows), sep="\n")
    return int(any(rows[0][name] < least for name, least in BARS.items()))


def kept(found: Array, exact: Array, *, of: int) -> dict[str, Any]:
    """What `found` keeps of the `exact` logits, both [n, classes], as many pictures of each `of` photographs.

    `agreement`: the share with the same best class; `agreement_95`: the interval that photographs like these
    leave open (Student's, over each one's share, since pictures of one are alike).
    """
    same = found.argmax(axis=1) == exact.argmax(axis=1)
    _, low, high = difference(same.reshape(of, -1).mean(axis=1), [0.0] * of)
    return {
        "sqnr_db": sqnr_db(nsr(found, exact)),
        "cosine_median": float(np.median(cosines(found, exact))),
        "agreement": float(same.mean()),
        "agreement_95": (max(low, 0.0), min(high, 1.0)),
        "pictures": len(exact),
        "photographs": of,
    }


def by_onnxruntime(graph: onnx.ModelProto, pictures: Sequence[Values]) -> onnx.ModelProto:
    """`graph`, of opset 13 or later, with QDQ operators: U8 tensors by MinMax, S8 weights per channel."""
    fed = iter([{graph.graph.input[0].name: picture} for picture in pictures])
    log = logging.getLogger()
    level = log.level
    with tempfile.TemporaryDirectory() as scratch:
        exact, path = Path(scratch, "exact.onnx"), Path(scratch, "quantized.onnx")
        onnx.save(graph, exact)  # by way of a file, or it holds copies
        log.setLevel(logging.ERROR)  # its advice to simplify the graph, which ours are
        try:
            quantize_static(
                exact,
                path,
                SimpleNamespace(get_next=lambda: next(fed, None)),  # a CalibrationDataReader
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        finally:
            log.setLevel(level)
        return onnx.load(path)
