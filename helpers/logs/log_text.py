"""Raw bytes of a captured terminal in, clean lines of text out, in constant memory."""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal

MAX_LINE = (
    16_384  # characters kept of one line: the longest real ones, a compiler's repr of an operator, stay below
)
_BLOCK = 1 << 18

_ANSI = re.compile(
    r"\x1b\[[0-?]*+[ -/]*+[@-~]"  # colours and cursor movements
    r"|\x1b\][^\x07\x1b\n]*+(?:\x07|\x1b\\)"  # window titles and links
    r"|\x1b[@-Z\\^_=>]"
)
_CONTROL = bytes({*range(0x20), 0x7F} - {*b"\n\r\t\x07\x08\x1b"})
_CR_TO_LF = bytes.maketrans(b"\r", b"\n")
_UTF16 = b"\xff\xfe"  # the mark at the start of what a Windows shell writes
_WIDE = re.compile(rb"(?<=\0)(?:[^\0]{2})++(?=[^\0]\0)")  # in it, characters beyond Latin-1 between others
# A character typed and taken back, as a recorded terminal shows it.
_TAKEN_BACK = re.compile(r"[^\n\x08](?:\x08 \x08|\x08(?=\x08*\x1b\[[JK]))")
_MAX_TAKEN_BACK = 80

# What the board's log daemon and kernel print over a program's own output. The exact forms come first, so
# that text glued behind one of them survives; the open ones take the rest of the line.
_NOISE = re.compile(
    r"\[AX_SYS_LOG\] (?:AX_SYS_Log2ConsoleThread_Start|AX_Log2ConsoleRoutine terminated!!!"
    r"|Waiting thread\(\d{1,20}\) to exit|join thread\(\d{1,20}\) ret:-?\d{1,10})"
    r"|__sys_logctl_deinit!!!"
    r"|(?:WARN|ERROR),Func\(__(?:is_valid_file|syslog_parma_cfg_get)\), ?NOT find(?: file)? = '[^'\n]{0,200}'"
    r"|\[Axera version\]: libax_sys\.so V\S{1,80} +\w{3} +\d{1,2} \d{4} \d\d:\d\d:\d\d(?: JK)?"
    r"|\[AX_SYS_LOG\].*"
    r"|\[ {0,8}\d{1,8}\.\d{6}\] .*"
    r"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d "
    r"(?:\S{1,64} ){1,2}\S{1,64}: .*"
)
# One of these stands in every noise: blocks and lines without them need no closer look.
_NOISE_HINTS = (
    "AX_SYS_LOG]",
    "__sys_logctl",
    ",Func(__",
    "libax_sys",
    " kernel: ",
    " user.",
    " kern.",
    " daemon.",
)
_KERNEL_TIME = re.compile(r"\[ {0,8}\d{1,8}\.\d{6}\] ")
_DIGITS = re.compile(r"[\d.]{1,40}(?: ms\b.*)?")
_NUMBERS = re.compile(r"\s{0,8}-?[\d., ]{1,40}")


Shape = Literal["unknown", "open", "complete"]


def iter_lines(stream: BinaryIO, *, shape: Callable[[str], Shape]) -> Iterator[str]:
    """Yield the lines of a byte stream as text, blank ones included, without their line ends.

    A carriage return ends a line too, so each state of a progress bar is a line of its own. Bytes that are
    not UTF-8 become U+FFFD; colours, cursor movements and control characters are removed, and what was typed
    and taken back; NUL bytes too, which makes UTF-16 from a Windows shell readable. A line keeps its first
    `MAX_LINE` characters.

    The messages of the board's log daemon are taken out, also from the middle of a line. Whether its head is
    joined with the next line depends on the `shape` of both: "unknown" to the reader, "open" (it ends in
    free text) or "complete".
    """
    mend = _Mender(shape)
    for text in _blocks(stream):
        position = 0
        for start in _noisy_lines(text):
            if start > position:
                yield from mend.clean(text[position : start - 1].split("\n"))
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
            yield from mend.noisy(text[start : min(end, start + MAX_LINE)])
            position = end + 1
        if position <= len(text):
            yield from mend.clean(text[position:].split("\n"))
    if mend.head:
        yield mend.head


def _noisy_lines(text: str) -> list[int]:
    """Where the lines begin that may hold noise, in order."""
    starts = {text.rfind("\n", 0, found.start()) + 1 for found in _KERNEL_TIME.finditer(text)}
    for hint in _NOISE_HINTS:
        position = text.find(hint)
        while position >= 0:
            starts.add(text.rfind("\n", 0, position) + 1)
            end = text.find("\n", position)
            position = text.find(hint, end) if end >= 0 else -1
    return sorted(starts)


def _blocks(stream: BinaryIO) -> Iterator[str]:
    """Text of many whole lines at a time: decoding per block costs far less than per line."""
    read = getattr(stream, "read1", stream.read)  # a pipe's lines are read as they come
    rest = b""
    skipping = False  # inside a line whose kept part has gone out already
    wide: bool | None = None
    while block := read(_BLOCK):
        if wide is None:
            wide = block.startswith(_UTF16)
            block = b"\0" + block[2:] if wide else block.removeprefix(b"\xfe\xff")
        if wide:
            block = _WIDE.sub(lambda text: text[0].decode("utf-16-le", "replace").encode(), block)
        if b"\0" in block:
            block = block.replace(b"\0", b"")
        block = block.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").translate(_CR_TO_LF, _CONTROL)
        if skipping:
            _, newline, block = block.partition(b"\n")
            skipping = not newline
        whole, newline, tail = block.rpartition(b"\n")
        if newline:
            yield _decode(rest + whole)
            rest = tail
        else:
            rest += tail
        if len(rest) > 4 * MAX_LINE:
            yield _decode(rest)
            rest, skipping = b"", True
    if rest:
        yield _decode(rest)


def _decode(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    if "\x08" in text:
        for _ in range(_MAX_TAKEN_BACK):
            text, count = _TAKEN_BACK.subn("", text)
            if not count:
                break
        text = text.replace("\x08", "")
    if "\x1b" in text:
        text = _ANSI.sub("", text).replace("\x1b", "")
    return text.replace("\x07", "").replace("\xa0", " ").removeprefix("\ufeff")


class _Mender:
    """Takes noise out of lines; `head` is the first part of a line that noise has cut."""

    def __init__(self, shape: Callable[[str], Shape]) -> None:
        self.head = ""
        self._shape = shape

    def clean(self, lines: list[str]) -> list[str]:
        """Lines without noise; the first may be the end of a line that noise has cut."""
        if max(map(len, lines)) > MAX_LINE:
            lines = [line[:MAX_LINE] for line in lines]
        return [*self._emit(lines[0], whole=True), *lines[1:]] if self.head else lines

    def noisy(self, line: str) -> Iterator[str]:
        """A line that may hold noise, without it."""
        noise = _NOISE.search(line)
        if noise and "engine ver" not in line[: noise.start()]:  # there a library's version is the value
            before, after = line[: noise.start()], line[noise.end() :]
            if not after.strip():
                if before.strip():
                    yield from self._emit(before, whole=False)
                return
            line = before + after
        yield from self._emit(line, whole=True)

    def _emit(self, line: str, *, whole: bool) -> Iterator[str]:
        head, self.head = self.head, ""
        if head and self._continues(head, line):
            line = head + line
        elif head:
            yield head
        if whole:
            yield line
        else:
            self.head = line

    def _continues(self, head: str, line: str) -> bool:
        """Whether a line is the rest of the one that noise has cut."""
        known = self._shape(head)
        if known == "unknown" and _NUMBERS.fullmatch(
            head
        ):  # a score line: half of one can look like a whole one
            return _NUMBERS.fullmatch(line) is not None or self._shape(line) == "unknown"
        whole = known == "complete" and not _DIGITS.fullmatch(line)
        return self._shape(line) == "unknown" and not whole
