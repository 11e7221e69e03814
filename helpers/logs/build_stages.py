"""How long each stage of a build took, from the time stamps of its log."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

_DAY = 86_400.0

# The stage that a message begins, by its text; module names and line numbers differ between versions.
_BEGINNINGS = (
    ("save optimized onnx", "quantize"),
    ("compiler transformation", "compile"),
    ("preprocess tensor", "compile"),
    ("subgraph [", "compile"),
    ("npu subgraph [", "compile"),
    ("max_cycle", "assemble"),
    ("generate gt of npu graph", "check"),
    ("simulate npu graph", "check"),
)
_CALIBRATION = "AX Runtime Calibration Pass"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the build and its seconds, at the resolution of the log: a second inside quantisation."""

    name: str
    seconds: float


class StageClock:
    """Credits the time between two time stamps to the stage that was running."""

    def __init__(self) -> None:
        self._now: float | None = None
        self._dated = False  # pass lines have no date; before the first dated line there may be some
        self._stage = "frontend"
        self._seconds: dict[str, float] = {}

    def jump(self, stamp: float) -> float:
        """Seconds from the last time stamp to this one; 0 where there was none with a date."""
        return stamp - self._now if self._dated and self._now is not None else 0.0

    def message(self, stamp: float, text: str) -> None:
        """A log line with date and milliseconds."""
        if not self._dated:
            self._dated = True
            if self._now is not None:
                self._now += stamp // _DAY * _DAY
        # this line ends its stage; nothing dated begins it
        self._tick(stamp, "analyse precision" if "precision analysis" in text else self._stage)
        for beginning, stage in _BEGINNINGS:
            if beginning in text:
                self._stage = stage
                self._seconds.setdefault(stage, 0.0)

    def pass_line(self, time: str, name: str) -> None:
        """A line `[HH:MM:SS] AX … Pass Running`, without date and with whole seconds."""
        stamp = _seconds(time)
        if self._now is not None:
            stamp += self._now // _DAY * _DAY
            if stamp < self._now - _DAY / 2:  # past midnight
                stamp += _DAY
        self._tick(stamp, self._stage)
        self._stage = "calibrate" if name.startswith(_CALIBRATION) else "quantize"

    def stages(self) -> list[Stage]:
        """The stages in order of appearance; empty if the log has no time stamps."""
        return [Stage(name=name, seconds=round(seconds, 3)) for name, seconds in self._seconds.items()]

    def _tick(self, stamp: float, stage: str) -> None:
        elapsed = 0.0 if self._now is None else max(0.0, stamp - self._now)
        self._now = stamp if self._now is None else max(stamp, self._now)
        self._seconds[stage] = self._seconds.get(stage, 0.0) + elapsed


def timestamp(day: str, time: str) -> float:
    """Seconds since the year 1 of a date and a time of day; an impossible date counts as no date."""
    return _days(day) * _DAY + _seconds(time)


@lru_cache(maxsize=16)
def _days(day: str) -> int:
    try:
        return date.fromisoformat(day).toordinal()
    except ValueError:
        return 0


def _seconds(time: str) -> float:
    return int(time[:2]) * 3600 + int(time[3:5]) * 60 + float(time[6:])
