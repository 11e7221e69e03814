"""Which range of values does each tensor use? What calibration pictures show, and four ways to cut it.

The four are those of Pulsar2's `calibration_method`. MinMax keeps every value; the others clip rare ones
to give the rest finer steps. They are written after their definitions, not after Pulsar2's code: what the
compiler does inside each is not documented, MinMax apart
(onnxsim/onnxsim, docs/axera-pulsar-free-calibration.md).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
from tqdm.auto import tqdm

from helpers.graph.session import session_of
from helpers.quant.params import Method, QuantParams, Range, Values

BINS = 2048  # of a tensor's histogram
LEVELS = 256  # values that an 8-bit tensor can take
KEPT = 99.99  # per cent of the values that Percentile keeps, half of the rest cut on each side
SHARES = np.linspace(0.3, 1.0, 36)  # of the whole range, that MSE and KL try


@dataclass(frozen=True)
class TensorStats:
    """One tensor over all pictures: smallest and largest value, and how many fell into each of BINS.

    Without `counts`, which take most of the time, only MinMax can say what to keep.
    """

    low: float
    high: float
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @cached_property
    def middles(self) -> npt.NDArray[np.float64]:
        """The value in the middle of each bin."""
        edges = np.linspace(self.low, self.high, BINS + 1)
        return np.asarray((edges[:-1] + edges[1:]) / 2)


def collect_stats(
    graph: onnx.ModelProto, pictures: Sequence[Values], tensors: Iterable[str], *, histograms: bool
) -> dict[str, TensorStats]:
    """Runs each picture (float32 [1, 3, h, w]) through `graph` and notes what `tensors` hold.

    Once for the ends, and for `histograms` once more to count between them: memory does not grow with the
    number of pictures. Raises ValueError without a picture.
    """
    if not len(pictures):
        raise ValueError("no calibration picture was given: give one or more")
    names = list(tensors)
    runs = TensorReader(graph, names)
    low = dict.fromkeys(names, np.inf)
    high = dict.fromkeys(names, -np.inf)
    for picture in tqdm(pictures, desc="ranges", unit="picture", leave=False):
        for name, values in runs(picture).items():
            low[name], high[name] = min(low[name], float(values.min())), max(high[name], float(values.max()))
    if not histograms:
        return {name: TensorStats(low[name], high[name]) for name in names}
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for picture in tqdm(pictures, desc="histograms", unit="picture", leave=False):
        for name, values in runs(picture).items():
            width = high[name] - low[name]
            finest = np.spacing(np.float32(max(-low[name], high[name])))  # what float32 can tell apart there
            span = (low[name], high[name] if width > BINS * finest else low[name] + 1)
            counts[name] += np.histogram(values, bins=BINS, range=span)[0]
    return {name: TensorStats(low[name], high[name], counts[name]) for name in names}


class TensorReader:
    """A session that also gives what lies between the operators."""

    def __init__(self, graph: onnx.ModelProto, tensors: Sequence[str]) -> None:
        ends = {value.name for value in [*graph.graph.input, *graph.graph.output]}
        more = onnx.ModelProto()
        more.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in ends)
        self._inside = [name for name in tensors if name not in {value.name for value in graph.graph.input}]
        self._fed = [name for name in tensors if name not in self._inside]
        self._session = session_of(graph, more)

    def __call__(self, picture: Values) -> dict[str, Values]:
        found = self._session.run(self._inside, {self._session.get_inputs()[0].name: picture})
        return dict.fromkeys(self._fed, picture) | dict(zip(self._inside, found, strict=True))


def clip_range(stats: TensorStats, method: Method) -> Range:
    """The range that `method` keeps of a tensor; 0 is always in it."""
    low, high = METHODS[method](stats)
    return min(low, 0.0), max(high, 0.0)


def _min_max(stats: TensorStats) -> Range:
    return stats.low, stats.high


def _percentile(stats: TensorStats) -> Range:
    share = np.cumsum(stats.counts) / stats.counts.sum()
    cut = (1 - KEPT / 100) / 2
    first, last = np.searchsorted(share, [cut, 1 - cut])
    return float(stats.middles[first]), float(stats.middles[min(last, BINS - 1)])


def _least_squares(stats: TensorStats) -> Range:
    """The share of the range whose 256 steps lose the least squared error: clipping against rounding."""

    def error(kept: Range) -> float:
        params = QuantParams.over(kept, "U8")
        rounded = params.dequantize(params.quantize(stats.middles))
        return float((stats.counts * (stats.middles - rounded) ** 2).sum())

    return min(_shares(stats), key=error)


def _relative_entropy(stats: TensorStats) -> Range:
    """The share of the range whose 256 levels keep the distribution best (Kullback–Leibler divergence)."""

    def divergence(kept: Range) -> float:
        first, end = np.searchsorted(stats.middles, kept[0]), np.searchsorted(stats.middles, kept[1], "right")
        if end - first < LEVELS:
            return np.inf
        clipped = stats.counts[first:end].astype(np.float64)
        reference = clipped.copy()
        reference[0] += stats.counts[:first].sum()
        reference[-1] += stats.counts[end:].sum()
        level = np.arange(len(clipped)) * LEVELS // len(clipped)
        filled = clipped > 0
        sums, occupied = np.bincount(level, clipped, LEVELS), np.bincount(level, filled, LEVELS)
        spread = np.where(filled, (sums / np.maximum(occupied, 1))[level], 0.0)
        p, q = reference / reference.sum(), spread / max(spread.sum(), 1.0)
        known = (p > 0) & (q > 0)
        missing = p[(p > 0) & (q == 0)].sum()  # mass that the levels cannot give back at all
        return float((p[known] * np.log(p[known] / q[known])).sum() + 10 * missing)

    return min(reversed(_shares(stats)), key=divergence)  # the wider one where two are alike


def _shares(stats: TensorStats) -> list[Range]:
    return [(share * min(stats.low, 0.0), share * max(stats.high, 0.0)) for share in SHARES]


METHODS: dict[Method, Callable[[TensorStats], Range]] = {
    "MinMax": _min_max,
    "Percentile": _percentile,
    "MSE": _least_squares,
    "KL": _relative_entropy,
}
