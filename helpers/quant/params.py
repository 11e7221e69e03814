"""Quantisation parameters: which values an integer tensor can hold, and the way there and back."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

DType = Literal["U8", "S8", "U16", "S16", "S32"]
Method = Literal["MinMax", "Percentile", "MSE", "KL"]  # Pulsar2's names of the ways to choose a range
Range = tuple[float, float]
Values = npt.NDArray[np.float32]
Codes = npt.NDArray[np.integer]
WEIGHT_TOP = 127.5  # Pulsar2's: half a step beyond the last code, 127, which the largest weight gets
NUMPY: dict[DType, type[np.integer]] = {
    "U8": np.uint8,
    "S8": np.int8,
    "U16": np.uint16,
    "S16": np.int16,
    "S32": np.int32,
}


@dataclass(frozen=True)
class QuantParams:
    """The values of a tensor are (code - zero_point) · scale, for every code of `dtype`.

    `scale` is one float32, or one for each position of `axis`.
    """

    dtype: DType
    scale: Values
    zero_point: int = 0
    axis: int | None = None

    @classmethod
    def over(cls, ends: Range, dtype: DType) -> "QuantParams":
        """Pulsar2's for a range with 0 in it: symmetric around 0 if signed, from end to end if not."""
        low, high = ends
        top = int(np.iinfo(NUMPY[dtype]).max)
        signed = dtype.startswith("S")
        scale = np.float32(max(-low, high) / (top + 0.5) if signed else (high - low) / top) or np.float32(1)
        return cls(dtype, np.asarray(scale), 0 if signed else round(-low / float(scale)))

    @classmethod
    def per_channel(cls, weights: Values, *, axis: int, top: float = WEIGHT_TOP) -> "QuantParams":
        """Those of a weight: S8, symmetric, one scale for each output channel along `axis`.

        `top`: where the largest weight of a channel lies, in codes.
        """
        others = tuple(other for other in range(weights.ndim) if other != axis)
        scales = (np.abs(weights).max(axis=others) / top).astype(np.float32)
        return cls("S8", np.where(scales == 0, np.float32(1), scales), axis=axis)

    def quantize(self, values: npt.NDArray[np.floating]) -> Codes:
        """The codes of the nearest values; what lies beyond the ends gets the code of the end."""
        kind = NUMPY[self.dtype]
        limits = np.iinfo(kind)
        codes = np.rint(values / self._along(values.ndim)) + self.zero_point
        return np.asarray(np.clip(codes, limits.min, limits.max), kind)

    def dequantize(self, codes: Codes) -> Values:
        """What the codes stand for."""
        scaled = (codes.astype(np.int64) - self.zero_point) * self._along(codes.ndim)
        return np.asarray(scaled, np.float32)

    def _along(self, dimensions: int) -> Values:
        if self.axis is None:
            return self.scale
        return self.scale.reshape([-1 if axis == self.axis else 1 for axis in range(dimensions)])
