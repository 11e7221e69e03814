"""Shell prompts and command lines inside a captured terminal: which program was asked for, with what."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from posixpath import basename
from typing import Literal

_MAX_COMMAND = 4_096

# A prompt that names a user and a host, or a folder: any command counts behind it.
_SURE_PROMPT = re.compile(
    r"\s{0,8}(?:\([\w.+-]{1,40}\) ?){0,3}"
    r"(?:\[?[\w.+-]{1,40}@[\w.-]{0,64}[: ]{0,2}[^#$%>\n]{0,200}[#$%>]"  # root@board:/data#
    r"|(?:~|/[\w./~+-]{0,200}|root|(?:ba)?sh-[\d.]{1,8}) ?[#$])"  # /root #
    r"(?:\s+|$)(?P<command>.*)"
)
# What also begins ordinary text, or nothing: only a known program behind it makes a command line.
_LIKELY_PROMPT = re.compile(r"\s{0,8}(?:[\w.@:~/\\-]{0,64} ?[#$>%❯➜]|\++) *(?P<command>\S.*)")
_NO_PROMPT = re.compile(
    r"\s{0,8}(?P<command>(?:(?:sudo|time|nohup|\w{1,80}=\S{0,400}) +){0,4}"
    r"(?:(?:docker|podman|ssh|adb) .|python3? +[\w./-]{1,200}\.py\b"
    r"|(?:[\w./-]{0,200}/)?(?:pulsar2 +(?:build|run|version)\b(?!: )|[\w.]{1,80} +-)).*)"
)

# Other samples of the board's SDK, such as sample_dsp, and its tools run no model.
_BOARD_PROGRAM = re.compile(
    r"(?!ax_(?:model_info|lookat|syslog)\b)(?:sample_npu|ax|axcl)_\w{1,80}|classification\.py"
)
_KNOWN = re.compile(rf"{_BOARD_PROGRAM.pattern}|sample_\w{{1,80}}|pulsar2")
_QUOTES = re.compile(r"[\"'\\]")
_ASSIGNMENT = re.compile(r"\w{1,80}=")
_PREFIXES = frozenset(["sudo", "time", "env", "nohup", "exec", "then", "do", "!"])
_CARRIERS = frozenset(["docker", "podman", "ssh", "adb", "bash", "sh", "timeout", "nice", "taskset"])


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was typed: the executable's base name, None where it has none, and its arguments.

    `bare`: without a prompt, as in a script's text.
    """

    program: str | None
    arguments: tuple[str, ...] = ()
    bare: bool = False

    @property
    def starts(self) -> Literal["build", "simulation", "board_run"] | None:
        """What the command runs: `pulsar2 build`, `pulsar2 run`, or by its name a program on the board."""
        if self.program == "pulsar2":  # its sub-command is no option and no name of an image or a volume
            verb = next((word for word in self.arguments if word[:1] != "-" and ":" not in word), "")
            return "build" if verb.endswith("build") else "simulation" if verb == "run" else None
        return "board_run" if _BOARD_PROGRAM.fullmatch(self.program or "") else None

    def option(self, *names: str) -> str | None:
        """The value of the first of these options that is given: `-r 10`, `-r10` or `--repeat=10`.

        None where the shell would put something else for it.
        """
        value = self._given(*names)
        return None if value and "$" in value else value

    def _given(self, *names: str) -> str | None:
        for index, word in enumerate(self.arguments):
            for name in names:
                if word == name:
                    return next(iter(self.arguments[index + 1 :]), None)
                value = word.removeprefix(name)
                if word.startswith(name + "="):
                    return value[1:]
                if len(name) == 2 and word.startswith(name) and value.isascii() and value.isdigit():
                    return value
        return None


def read_command(line: str) -> Command | None:
    """Read a line as a prompt or a command line; None where it is neither.

    An empty prompt gives a command without a program. A command that is not known to run a model counts
    only behind a prompt that names a user, a host or a folder.
    """
    if line[:1].isdigit():  # a log line's date or a result: no prompt, and these are most lines
        return None
    line = line[:_MAX_COMMAND]
    prompted = "#" in line or "$" in line or "%" in line or ">" in line or "❯" in line or "➜" in line
    if prompted and (found := _SURE_PROMPT.match(line)):
        return _parse(found["command"]) or Command(None)
    likely = _LIKELY_PROMPT.match(line) if prompted or line[:1] == "+" else None
    found = likely or _NO_PROMPT.match(line)
    if found and _KNOWN.search(found["command"]):
        command = _parse(found["command"])
        if command and _KNOWN.fullmatch(command.program or ""):
            return replace(command, bare=not likely)
    return None


def joined(lines: Iterator[str]) -> Iterator[str]:
    """The lines, each command line as one with those on which a backslash at its end continues it."""
    for line in lines:
        if line[-1:] == "\\" and read_command(line):
            while line[-1:] == "\\" and len(line) < _MAX_COMMAND:
                line = f"{line[:-1].rstrip()} {next(lines, '').strip().removeprefix('> ').lstrip()}"
        yield line


def _parse(text: str) -> Command | None:
    """The known program that a command line runs, else the last one that it calls by a path."""
    other = None
    for is_separator, words in groupby(_words(text), lambda word: not word.strip(";&|")):
        if not is_separator and (found := _parse_one(list(words))):
            other = found
            if _KNOWN.fullmatch(found.program or ""):
                break
    return other


def _parse_one(words: list[str]) -> Command | None:
    while words and (basename(words[0]) in _PREFIXES or _ASSIGNMENT.match(words[0])):
        del words[0]
    first = basename(words[0]) if words else ""
    if first in _CARRIERS or first.startswith("-"):  # -: of a prefix, as in sudo -E
        for index, word in enumerate(words[1:], start=1):
            if _KNOWN.fullmatch(basename(word)):
                return Command(basename(word), tuple(words[index + 1 :]))
            if " " in word and (inner := _parse(word)):  # ssh board 'cd demo && ax_run_model …'
                return inner
        return None
    if first.startswith("python"):
        scripts = (index for index, word in enumerate(words) if word.endswith(".py"))
        words = words[next(scripts, len(words)) :]
    elif not _KNOWN.fullmatch(first) and (first.endswith(".sh") or not words or "/" not in words[0]):
        return None
    return Command(basename(words[0]) or None, tuple(words[1:])) if words else None


def _words(text: str) -> list[str]:
    """The words and separators of a command line as a shell takes them; quotes without an end are none."""
    if _QUOTES.search(text) is None:  # shlex reads letter by letter
        return re.sub(r"[;&|]+", " ; ", text).split()
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError:
        return _words(_QUOTES.sub(" ", text))
