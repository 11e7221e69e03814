"""Shares, and two sides measured on the same things: what chance leaves open about them."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

# 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom (NIST/SEMATECH e-Handbook, 1.3.6.7.2).
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


class Difference(NamedTuple):
    """The mean of the differences, and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        said = f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})"
        return said.replace("-", "\N{MINUS SIGN}")


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """`first` minus `second`, pair by pair: the same seed, or the same picture, on both sides.

    The interval is Student's (a paired t-test), so it takes differences to be roughly normal, or many.
    Raises ValueError below two pairs, or when the sides have different lengths.
    """
    differences = [float(a) - float(b) for a, b in zip(first, second, strict=True)]
    freedom = len(differences) - 1
    # Beyond the table, the first terms of the series in 1/freedom: exact to a thousandth.
    t = _T[freedom - 1] if freedom <= len(_T) else 1.960 + 2.372 / freedom + 2.822 / freedom**2
    mean = statistics.fmean(differences)
    half = t * statistics.stdev(differences) / math.sqrt(len(differences))
    return Difference(mean, mean - half, mean + half)


def interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, 0 to 1: Wilson's, which holds for few pictures and near 0 and 1."""
    z = 1.959964
    middle, scale = share + z * z / (2 * count), 1 + z * z / count
    half = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided: how probable so unequal a split of differing pairs is by chance."""
    differ = only_first + only_second
    tail = sum(math.comb(differ, count) for count in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / (1 << differ))
