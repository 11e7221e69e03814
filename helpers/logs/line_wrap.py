"""Lines that a mail program or a narrow terminal has broken in two.

Only those are mended that carry a verdict or a number and that are certainly broken: a line of the compiler's
log without its text, and the samples' line of times without its last one.
"""

import re

_STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6} \| [A-Z]{4,8} *\|"
_MESSAGE_HEAD = re.compile(rf"{_STAMP}(?: [^ ]{{0,200}})? ?")
_MESSAGE = re.compile(rf"{_STAMP} [^ :]{{1,120}}:[^ :]{{1,120}}:\d{{1,6}} - \S")
BREAKABLE = frozenset("R2")  # the first characters of such lines
_REST_OF_TIMES = re.compile(r"[\w., ]{1,60}ms *")


def is_broken(line: str) -> bool:
    """Whether the end of this line must be in the next one."""
    if line[:1] == "R":
        return line.startswith("Repeat ") and " time" in line and not line.rstrip().endswith("ms")
    return line[:1] == "2" and " - " not in line and _MESSAGE_HEAD.fullmatch(line) is not None


def mended(line: str, following: str) -> str | None:
    """A broken line and its end as one; None where the following line is something else."""
    line, following = line.rstrip(), following.lstrip()
    if line[0] == "R":
        return f"{line} {following}" if _REST_OF_TIMES.fullmatch(following) else None
    whole = f"{line} {following}" if line[-1] == "|" or following[:1] == "-" else line + following
    return whole if _MESSAGE.match(whole) else None
