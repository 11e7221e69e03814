"""How far two runs of one network agree: on the scores that a board prints, and on all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]


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


def agreement(listed: Sequence[tuple[int, float]], logits: Logits) -> Agreement:
    """The listed (class, score), best first, against all logits [classes] of another run."""
    classes = [number for number, _ in listed]
    pairs = list(combinations(classes, 2))
    return Agreement(
        listed=len(listed),
        shared=len(set(classes) & {number for number, _ in best(logits, len(listed))}),
        pairs=len(pairs),
        pairs_kept=sum(bool(logits[first] > logits[second]) for first, second in pairs),
        distance=float(np.mean([abs(logits[number] - score) for number, score in listed])),
    )


def best(logits: Logits, count: int = 5) -> list[tuple[int, float]]:
    """The highest logits as (class, score), best first; of equal ones the lower class."""
    return [(int(number), float(logits[number])) for number in np.argsort(-logits, kind="stable")[:count]]


def rank_correlation(one: Logits, other: Logits) -> float:
    """Spearman's: 1 when both put all classes in the same order, 0 when the orders have nothing in common."""
    ranks = [np.argsort(np.argsort(logits, kind="stable")) for logits in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
