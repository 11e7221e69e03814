"""What stands before each line of a block: time stamps, the name of a service, a margin.

CI systems (GitHub Actions, GitLab), `ts`, `journalctl`, `docker logs -t`, docker compose, Python's logging
and serial terminals write the first two; a block of code in Markdown has the third.
"""

import re
from collections.abc import Iterator

_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_STAMP = rf"\[?(?:\d{{4}}-\d\d-\d\d[T ])?{_CLOCK}\]?|[A-Z][a-z]{{2}} [ \d]\d {_CLOCK}|\d{{10}}\.\d{{3,9}}"
_PREFIX = re.compile(
    r"(?:"
    r"(?:[^\t\n]{1,100}+\t){0,2}"  # job and step, from `gh run view --log`
    rf"(?:{_STAMP})(?: \d\d[OE]\+?)?"  # GitLab: the stream's name
    # not the compiler's own time stamps, `2025-01-31 10:00:00.123 | INFO` and `[10:00:00] AX … Pass Running`
    r"(?: (?!\| |AX )(?:\S{1,64} [\w./@-]{1,64}\[\d{1,9}\]: ?"  # syslog: host and program[process]
    r"|- (?:[\w.]{1,60} - )?(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) - )?|$)"  # Python's logging
    r"|[\w.-]{1,60}[-_]\d{1,3} +\|(?: |$)"  # docker compose
    r")+"
)
_FIRST_CHARACTERS = frozenset("0123456789[JFMASOND")
_TABLE = frozenset("|+│├└┌┃┡┏╭╰")


def bare(lines: Iterator[str]) -> Iterator[str]:
    """Lines as the program printed them; one before which nothing known stands is left as it is.

    The margin is the indentation of a paragraph's first line.
    """
    margin: str | None = None  # None at the begin of a paragraph
    for line in lines:
        first = line[:1]
        if first in _TABLE or (first == "2" and line[23:26] == " | "):  # most lines of a build's log
            margin = ""
        else:
            marked = first in _FIRST_CHARACTERS or "\t" in line or "  | " in line
            if marked and (found := _PREFIX.match(line)):
                line = line[found.end() :]
            if not line:
                margin = None
            elif margin is None:
                margin = line[: len(line) - len(line.lstrip(" \t"))]
        yield line.removeprefix(margin) if margin else line
