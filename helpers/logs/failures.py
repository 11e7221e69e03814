"""Failures: what a build printed about its own, and what is known of those of builds and of the board."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from helpers.logs.records import BuildError

Where = Literal["build", "run"]

_KNOWN = Path(__file__).resolve().parents[2] / "data" / "known_failures.json"
_MAX_TEXT = 16_384  # characters in which a known failure is looked for
_MAX_MESSAGE = 2_000
_MAX_LINES = 40  # of one message, and of the chain of exceptions

_NAME = r"(?:[A-Za-z_]\w{0,80}\.){0,12}"
_RAISED = re.compile(rf"(?:→ *)?({_NAME}[A-Za-z_]\w{{0,80}}?(?:Error|Exception|Interrupt))(?::(.*)|\s*$)")
_RAISED_AT_END = re.compile(rf"({_NAME}[A-Za-z_]\w{{0,80}})(?:: ?(.*)|\s*$)")
_CODE = re.compile(r"ErrorCode\.(\w{1,80})(?:: (\d{1,9}))?")
_INNER = re.compile(r">?[,:]? *([A-Za-z_][\w.]{0,160})(?:\((.*))?")
_LITERAL = re.compile(r"""[bru]{0,2}("(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')""")
_ESCAPE = re.compile(r"\\([nt\\'\"])")
_ESCAPED = {"n": "\n", "t": "\t"}
_LINK = re.compile(r"During handling of the above exception|The above exception was the direct cause")
_PLAIN = re.compile(
    r"^\s*Killed\b|\bline \d{1,9}: +\d{1,9} Killed\b|Sentinel key not found|cannot execute binary file"
    r"|command not found|\bpulsar2(?: \w{1,20})?: error: |^docker: |Error response from daemon"
    r"|(?i:to the docker (?:daemon|api))|Unable to find image|No space left on device"
    r"|Segmentation fault|\bAborted\b|Illegal instruction|^\^C|std::bad_alloc|\bexit code 137\b"
)
# Without one of these in a line nothing above matches it; the patterns themselves are slow on each line.
_HINTS = (
    *("rror", "xception", "illed", "found", "execute", "Unable", "No space"),
    *("fault", "Abort", "Illegal", "Interrupt", "docker", "^C", "bad_alloc", "code 137"),
)


@cache
def known_failures(where: Where) -> list[dict[str, str]]:
    """The failures of `data/known_failures.json`, in the order in which they are looked for.

    Each has its pattern, its meaning, the way out, where that is documented, and a line of it. A special case
    stands before the general one that would also match it. After those of a run come those of a build: a full
    disk is a full disk in both.
    """
    rows = json.loads(_KNOWN.read_text(encoding="utf-8"))
    return [*(rows["run"] if where == "run" else ()), *rows["build"]]


def advise(text: str, where: Where) -> str | None:
    """What the first known failure in the text means and what to do, as one line; None if there is none."""
    text = text[:_MAX_TEXT]
    for known in known_failures(where):
        if re.search(known["pattern"], text, re.MULTILINE):
            return f"{known['meaning']} {known['action']} [{known['source']}]"
    return None


@dataclass(slots=True)
class _Raised:
    name: str
    lines: list[str]

    @property
    def message(self) -> str:
        return "\n".join(line for line in self.lines if line)[:_MAX_MESSAGE]


class FailureReader:
    """Collects what a build prints about its failure."""

    def __init__(self) -> None:
        self.in_traceback = False
        self.code: re.Match[str] | None = None  # Pulsar2's own, the last that a build prints
        self._inner: _Raised | None = None  # the exception that the error code wraps
        self._chain: list[_Raised] = []
        self._open: _Raised | None = None  # whose message may go on in the next line
        self._linked = False
        self._plain: list[str] = []

    def feed(self, line: str) -> bool:
        """Take in a line; False if it says nothing about a failure."""
        if line.startswith("Traceback (most recent call last)"):
            if not self._linked:
                self._chain.clear()
            self.in_traceback, self._linked, self._open = True, False, None
        elif _LINK.match(line):
            self._linked = True
        elif "ErrorCode." in line and not line[0].isspace() and (found := _CODE.search(line)):
            self._read_code(line, found)
        elif self.in_traceback and line[:1].isspace():
            pass
        elif not (self.in_traceback or self._open or any(hint in line for hint in _HINTS)):
            return False
        elif found := (_RAISED_AT_END if self.in_traceback else _RAISED).match(line):
            self.in_traceback = False
            self._open = _Raised(found[1].rpartition(".")[2], [_unquoted((found[2] or "").strip())])
            if len(self._chain) < _MAX_LINES:
                self._chain.append(self._open)
        elif _PLAIN.search(line[:1000]):
            self.add_plain(line.strip())
        elif self._open:
            if len(self._open.lines) < _MAX_LINES:
                self._open.lines.append(line.strip()[:_MAX_MESSAGE])
        else:
            return False
        return True

    def add_plain(self, text: str) -> None:
        """A line that tells of a failure without an exception."""
        if len(self._plain) < _MAX_LINES:
            self._plain.append(text[:_MAX_MESSAGE])

    def pause(self) -> None:
        """A blank line or a line of the build's own: messages and tracebacks end here."""
        self._open = None
        self.in_traceback = False

    def result(self) -> BuildError | None:
        """The failure as one record; None if none was printed."""
        shown = self._inner or next(iter(self._chain), None)
        message = shown.message if shown else next(iter(self._plain), "")
        if self._inner and not message:
            message = next((one.message for one in self._chain if one.name == self._inner.name), "")
        if not (shown or message or self.code):
            return None
        name = shown.name if shown else ""
        printed = [f"{name}: {message}", *(f"{one.name}: {one.message}" for one in self._chain), *self._plain]
        return BuildError(
            code=self.code[1] if self.code else None,
            number=int(self.code[2]) if self.code and self.code[2] else None,
            exception=name or None,
            message=message or None,
            advice=advise("\n".join(printed), "build"),
        )

    def _read_code(self, line: str, found: re.Match[str]) -> None:
        self.pause()
        self.code, self._inner = found, None
        if inner := _INNER.match(line, found.end()):
            literal = _LITERAL.match(inner[2] or "")
            text = _unquoted(literal[1]) if literal else (inner[2] or "").rstrip(")")
            self._open = self._inner = _Raised(inner[1].rpartition(".")[2], [text])


def _unquoted(text: str) -> str:
    """The inside of a Python string literal, such as the key of a KeyError; other texts as they are."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        return text
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text[1:-1])
