"""The unit of preflight: one check, how it went, and what to do."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of preflight. "fail": the build or its result would be wrong; "warn": it may be."""

    check: str
    level: Level
    message: str

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.check}: {' '.join(self.message.split())}"
