"""One figure of `build/bench.json`: its value with spread, both sides of a ratio, and its bar."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from helpers.timing import Timing, ratio

WARMUP = 3  # rounds that do not count, where nothing else is said


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Bar(_Plain):
    """A limit on the value of an entry; reaching it exactly holds."""

    side: Literal["at most", "at least"]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether `value` is on the right side."""
        return value <= self.limit if self.side == "at most" else value >= self.limit


class Side(_Plain):
    """One of the figures that an entry was made from; `low` to `high` is the middle half of its rounds."""

    median: float
    low: float
    high: float
    unit: str

    @classmethod
    def of(cls, spread: Timing | float, unit: str) -> "Side":
        """From all rounds, or from a figure that has no spread."""
        if isinstance(spread, Timing):
            return cls(median=spread.median, low=spread.low, high=spread.high, unit=unit)
        return cls(median=spread, low=spread, high=spread, unit=unit)


class Entry(_Plain):
    """`value` is the median of `rounds`, `low` to `high` their middle half; null where nothing was measured.

    `unit` is empty for a ratio. `held` is null where there is no bar or it does not apply, and `reason` says
    which. `group` names the case that measured it.
    """

    group: str = ""
    name: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    rounds: int
    warmup: int
    sides: dict[str, Side]
    bar: Bar | None
    held: bool | None
    reason: str


def entry(
    name: str,
    spread: Timing | float,
    *,
    unit: str,
    rounds: int,
    warmup: int = 0,
    sides: Mapping[str, Side] | None = None,
    bar: Bar | None = None,
    excuse: str = "",
) -> Entry:
    """A measured figure, held against its bar unless an `excuse` says why that does not apply here."""
    side = Side.of(spread, unit)
    return Entry(
        name=name,
        value=side.median,
        low=side.low,
        high=side.high,
        unit=unit,
        rounds=rounds,
        warmup=warmup,
        sides=dict(sides or {}),
        bar=bar,
        held=None if bar is None or excuse else bar.holds(side.median),
        reason=excuse or ("" if bar else "no bar"),
    )


def pair(
    name: str,
    seconds: Mapping[str, list[float]],
    above: str,
    below: str,
    *,
    warmup: int = WARMUP,
    bar: Bar | None = None,
    excuse: str = "",
) -> Entry:
    """The time of `above` over that of `below`, from what `timing.in_turn` gave."""
    return entry(
        name,
        ratio(seconds[above], seconds[below]),
        unit="",
        rounds=len(seconds[above]),
        warmup=warmup,
        sides={side: Side.of(Timing.of(seconds[side]), "s") for side in (above, below)},
        bar=bar,
        excuse=excuse,
    )


def growth(what: str, seconds: Mapping[str, list[float]], *, warmup: int) -> list[Entry]:
    """Each size of what `timing.in_turn` gave against the first one."""
    first, *others = seconds
    return [pair(f"{what}, {size} / {first}", seconds, size, first, warmup=warmup) for size in others]


def missing(name: str, *, unit: str, bar: Bar, reason: str) -> Entry:
    """A figure that there is none of yet."""
    return Entry(
        name=name,
        value=None,
        low=None,
        high=None,
        unit=unit,
        rounds=0,
        warmup=0,
        sides={},
        bar=bar,
        held=None,
        reason=reason,
    )
