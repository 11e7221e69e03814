"""Findings: what one check found, how bad it is, and what to do. `preflight` and `doctor` print them."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One check. "fail": what follows cannot work, or would be wrong; "warn": it may, or gives less.

    `str()` is the line that is printed: level, check, message, all white space in the message as blanks.
    """

    check: str
    level: Level
    message: str

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.check}: {' '.join(self.message.split())}"
