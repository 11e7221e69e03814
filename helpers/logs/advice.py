"""Known failures of Pulsar2 builds and of runs on the board: what each means and what to do about it."""

import re
from dataclasses import dataclass
from typing import Literal

from helpers.logs.build_failures_known import BUILD_FAILURES
from helpers.logs.run_failures_known import RUN_FAILURES

_MAX_TEXT = 16_384

Where = Literal["build", "run"]


@dataclass(frozen=True, slots=True)
class Advice:
    """A failure known by its text: its meaning, the way out, and where that is documented."""

    pattern: re.Pattern[str]
    meaning: str
    action: str
    source: str

    def __str__(self) -> str:
        return f"{self.meaning} {self.action} [{self.source}]"


def _compiled(rows: tuple[tuple[str, str, str, str], ...]) -> tuple[Advice, ...]:
    return tuple(
        Advice(re.compile(pattern, re.MULTILINE), meaning, action, source)
        for pattern, meaning, action, source in rows
    )


# Searched in order: a special case stands before the general one that would also match it.
KNOWN_FAILURES: dict[Where, tuple[Advice, ...]] = {
    "build": _compiled(BUILD_FAILURES),
    "run": _compiled((*RUN_FAILURES, *BUILD_FAILURES)),  # a full disk is a full disk in both
}


def find(text: str, where: Where) -> Advice | None:
    """The first known failure of a build or a run that the text shows, None if it shows none."""
    return next((advice for advice in KNOWN_FAILURES[where] if advice.pattern.search(text[:_MAX_TEXT])), None)


def advise(text: str, where: Where) -> str | None:
    """The advice for the first known failure in the text as one line, None if there is none."""
    return str(found) if (found := find(text, where)) else None
