"""Timing of things side by side: measured in turn, so that whatever else the machine does hits all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from tqdm.auto import tqdm


@dataclass(frozen=True)
class Timing:
    """Seconds per call: the median, and the range that holds the middle half of the rounds."""

    median: float
    low: float
    high: float
    rounds: int
    scale: ClassVar[float] = 1e3  # as it is printed
    unit: ClassVar[str] = " ms"

    @classmethod
    def of(cls, seconds: list[float]) -> Self:
        """From the value of each round; of a single one, all three are its value."""
        if len(seconds) == 1:
            return cls(seconds[0], seconds[0], seconds[0], 1)
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, low, high, len(seconds))

    def __str__(self) -> str:
        low, median, high = (f"{self.scale * value:.2f}" for value in (self.low, self.median, self.high))
        spread = "one round" if self.rounds == 1 else f"{low} to {high}"
        return f"{median}{self.unit} ({spread})"


class Ratio(Timing):
    """One side over the other, without a unit."""

    scale, unit = 1, ""


def in_turn(
    functions: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 20,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """The seconds of each function in each round, after `warmup` rounds that do not count.

    The order within a round turns, so that none always comes first.
    """
    names = list(functions)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for done in tqdm(range(warmup + rounds), desc="rounds", leave=False):
        turn = done % len(names)
        for name in names[turn:] + names[:turn]:
            started = clock()
            functions[name]()
            if done >= warmup:
                seconds[name].append(clock() - started)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> Ratio:
    """One side over the other, round by round."""
    return Ratio.of([above / below for above, below in zip(numerator, denominator, strict=True)])
