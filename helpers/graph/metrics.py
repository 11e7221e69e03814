"""How near two results are: one name for each measure, and what it says."""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


def parity(found: Array, exact: Array) -> float:
    """Largest absolute difference, in units of the exact values' standard deviation."""
    return float(np.abs(found - exact).max() / exact.std())


def nsr(found: Array, exact: Array) -> float:
    """Noise over signal, 1/SQNR: the mean squared error over the variance of the exact values.

    0.01 means that the error adds a hundredth of what the values themselves vary by.
    """
    return float(np.mean((found - exact) ** 2) / np.var(exact))


def sqnr_db(noise: float) -> float:
    """Signal to quantisation noise ratio in decibels, from `nsr`."""
    return -10 * math.log10(noise) if noise else math.inf


def cosine(product: float, exact: float, found: float, error: float) -> float:
    """Of two tensors, by the sums of exact·found, exact², found² and error²; 1 where all are zero."""
    return float(product / (math.sqrt(exact * found) or 1.0)) if error else 1.0
