"""How near two results are: one name for each measure, and what it says."""

import math
from collections.abc import Sequence
from itertools import combinations

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


def mean_nsr(found: Sequence[Array], exact: Sequence[Array]) -> float:
    """Of several outputs, each with its own scale, the mean of their `nsr`."""
    return float(np.mean([nsr(*pair) for pair in zip(found, exact, strict=True)]))


def sqnr_db(noise: float) -> float:
    """Signal to quantisation noise ratio in decibels, from `nsr`."""
    return -10 * math.log10(noise) if noise else math.inf


def cosine(product: float, exact: float, found: float, error: float) -> float:
    """Of two tensors, by the sums of exact·found, exact², found² and error²; 1 where all are zero."""
    return float(product / (math.sqrt(exact * found) or 1.0)) if error else 1.0


def cosines(found: Array, exact: Array) -> Array:
    """Of each picture's logits, both [n, classes]: 1 where both point the same way."""
    sizes = np.linalg.norm(found, axis=1) * np.linalg.norm(exact, axis=1)
    return np.asarray((found * exact).sum(axis=1) / sizes)


def best(logits: Array, count: int = 5) -> list[tuple[int, float]]:
    """The highest logits as (class, score), best first; of equal ones the lower class."""
    return [(int(number), float(logits[number])) for number in np.argsort(-logits, kind="stable")[:count]]


def agreement(listed: Sequence[tuple[int, float]], logits: Array) -> str:
    """In words: the (class, score) that a board lists, best first, against another run's logits [classes].

    How many are among the other's best, how many of their pairs stand in its order, and the mean difference
    of the scores, in logits, without its sign.
    """
    classes = [number for number, _ in listed]
    pairs = list(combinations(classes, 2))
    shared = len(set(classes) & {number for number, _ in best(logits, len(listed))})
    kept = sum(bool(logits[first] > logits[second]) for first, second in pairs)
    apart = np.mean([abs(logits[number] - score) for number, score in listed])
    return (
        f"{shared} of {len(listed)} classes shared, {kept} of {len(pairs)} pairs in the same order, "
        f"scores {apart:.2f} apart on average"
    )
