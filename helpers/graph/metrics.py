"""How near two results are: one name for each measure, and what it says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
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


def rank_correlation(one: Array, other: Array) -> float:
    """Spearman's: 1 when both put all classes in the same order, 0 when the orders have nothing in common."""
    ranks = [np.argsort(np.argsort(logits, kind="stable")) for logits in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def best(logits: Array, count: int = 5) -> list[tuple[int, float]]:
    """The highest logits as (class, score), best first; of equal ones the lower class."""
    return [(int(number), float(logits[number])) for number in np.argsort(-logits, kind="stable")[:count]]


@dataclass(frozen=True)
class Agreement:
    """Of `listed` classes, how many are among the other run's best; of their pairs, how many in its order.

    `distance` is the mean difference of the listed scores, in logits, without its sign.
    """

    listed: int
    shared: int
    pairs: int
    pairs_kept: int
    distance: float

    def __str__(self) -> str:
        return (
            f"{self.shared} of {self.listed} classes shared, {self.pairs_kept} of {self.pairs} pairs in the "
            f"same order, scores {self.distance:.2f} apart"
        )


def agreement(listed: Sequence[tuple[int, float]], logits: Array) -> Agreement:
    """The (class, score) that a board lists, best first, against all logits [classes] of another run."""
    classes = [number for number, _ in listed]
    pairs = list(combinations(classes, 2))
    return Agreement(
        listed=len(listed),
        shared=len(set(classes) & {number for number, _ in best(logits, len(listed))}),
        pairs=len(pairs),
        pairs_kept=sum(bool(logits[first] > logits[second]) for first, second in pairs),
        distance=float(np.mean([abs(logits[number] - score) for number, score in listed])),
    )
