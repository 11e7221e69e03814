"""What stands around the lines of a log: time stamps, marks of quotation, HTML entities, a margin.

CI systems (GitHub Actions, GitLab), `ts`, `journalctl`, `docker logs -t`, docker compose, logcat and serial
terminals write a prefix before each line; mail and forums quote lines with `>` and escape `<`, `>` and `&`.
"""

import html
import re

_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_CLOCK = r"\d\d:\d\d:\d\d(?:\.\d{1,9})?"
_SENDER = r"(?:\S{1,64} [\w./@-]{1,64}\[\d{1,9}\]: ?)?"  # syslog: host and program[process]
_PREFIX = re.compile(
    r"(?:"
    r"(?:> ?){1,8}"
    # not the compiler's own time stamps, `2025-01-31 10:00:00.123 | INFO` and `[10:00:00] AX … Pass Running`
    rf"|(?:[^\t\n]{{1,100}}+\t){{0,2}}\[?{_ISO}\]?(?: \d\d[OE]\+?)?(?: (?!\| ){_SENDER}|$)"
    rf"|[A-Z][a-z]{{2}} [ \d]\d {_CLOCK}(?: {_SENDER}|$)"
    rf"|\[?{_CLOCK}\]?(?: (?!AX )|$)"
    r"|\d{10}\.\d{3,9} "
    r"|\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +\d{1,7} +\d{1,7} [VDIWEF] .{1,40}?: "  # logcat
    r"|[\w.-]{1,60}[-_]\d{1,3} +\| "  # docker compose
    r"|[A-Z]{4,8}\[\d{4,9}\] "  # logrus, in which some docker clients log
    r"){1,3}"
)
_FIRST_CHARACTERS = frozenset("0123456789[>JFMASONDIWE")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#\d{2,4}|#[xX][0-9a-fA-F]{2,3});")
# Lines that the compiler and Python print without indentation; the last of them may stand in a message, too.
_UNINDENTED = re.compile(
    rf"([ \t]+)(?:{_ISO} \| [A-Z]|\[{_CLOCK}\] AX |Traceback \(most recent"
    r"|(?P<raised>[\w.]{1,120}(?:Error|Exception)(?::|$)))"
)
_BLANKS = frozenset(" \t")
_TABLE = frozenset("|+│├└┌┃┡┏╭╰")


class Bare:
    """Lines as the program printed them; one before which nothing known stands is left as it is.

    The margin, the indentation of a block of code in Markdown, shows in its lines one after the other.
    """

    def __init__(self) -> None:
        self._blanks = ""
        self._in_text = False  # the lines since the last empty one have no margin

    def line(self, line: str) -> str:
        """The next line, bare."""
        first = line[:1]
        stamped = first == "2" and line[23:26] == " | "
        if (first in _TABLE or stamped) and "&" not in line:  # most lines of a build's log
            self._in_text, self._blanks = True, ""
            return line
        if first in _FIRST_CHARACTERS or "&" in line or "\t" in line or "  | " in line:
            line = _without_prefix(line)
        if line[:1] in _BLANKS:
            if (found := _UNINDENTED.match(line)) and not (found["raised"] and self._in_text):
                self._blanks = found[1]
            return line.removeprefix(self._blanks)
        self._in_text = bool(line)
        if line:
            self._blanks = ""
        return line


def _without_prefix(line: str) -> str:
    if "&" in line:
        line = _ENTITY.sub(lambda entity: html.unescape(entity[0]).replace("\xa0", " "), line)
    found = _PREFIX.match(line)
    return line[found.end() :] if found else line
