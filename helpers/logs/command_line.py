"""Shell prompts and command lines inside a captured terminal: which program was asked for, with what."""

import re
from dataclasses import dataclass

_MAX_COMMAND = 4_096

# Prompts after which any command counts: they name a user and a host, or a folder.
_SURE_PROMPT = re.compile(
    r"\s{0,8}(?:\([\w.+-]{1,40}\) ?){0,3}"
    r"(?:\[?[\w.+-]{1,40}@[\w.-]{0,64}[: ]{0,2}[^#$%>\n]{0,200}[#$%>]"  # root@board:/data#
    r"|(?:~|/[\w./~+-]{0,200}) ?[#$]"  # /root #
    r"|(?:root|(?:ba)?sh-[\d.]{1,8}) ?[#$])"  # root#
    r"(?:\s+|$)(?P<command>.*)"
)
# Prompts that also begin ordinary text: only a known program behind them makes a command line.
_LIKELY_PROMPT = re.compile(
    r"\s{0,8}(?:[\w.@:~/-]{0,64} ?[#$>%❯➜]|\++|(?:PS )?[A-Za-z]:\\[^>\n]{0,200}>) *(?P<command>\S.*)"
)
_BARE = re.compile(
    r"\s{0,8}(?P<command>(?:(?:sudo|time|nohup|\w{1,80}=\S{0,400}) +){0,4}"
    r"(?:(?:docker|podman|ssh|adb) .|python3? +[\w./-]{1,200}\.py\b"
    r"|(?:[\w./-]{0,200}/)?(?:pulsar2 +(?:build|run|version)\b(?!: )|[\w.]{1,80} +-)).*)"
)

_BOARD_PROGRAM = re.compile(r"(?:sample_npu_|sample_|ax_|axcl_)\w{1,80}|classification\.py")
_PYTHON_FILE = re.compile(r"[\w.-]{1,80}\.py")
_ASSIGNMENT = re.compile(r"\w{1,80}=")
_SEPARATOR = re.compile(r"&&|\|\||[;|&]")
# What stands before a command, what carries one to where it runs, and what runs no model.
_PREFIXES, _CARRIERS, _NOT_RUNS = (
    frozenset(words.split())
    for words in (
        "sudo time env nohup exec then do !",
        "docker podman ssh adb bash sh taskset timeout nice stdbuf chrt numactl strace ltrace gdb valgrind "
        "perf",
        "cd export source . echo ls cat tail head less more vi vim nano for while done tee grep wget curl "
        "pip pip3 git scp cp mv rm mkdir chmod tar unzip exit clear ax_model_info make cmake apt apt-get "
        "python python3",
    )
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was typed: the executable's base name, None where it has none, and its arguments."""

    program: str | None
    arguments: tuple[str, ...]
    text: str

    @property
    def is_build(self) -> bool:
        """Whether Pulsar2 was asked to compile."""
        return self.program == "pulsar2" and self._verb().endswith("build")

    @property
    def is_simulation(self) -> bool:
        """Whether Pulsar2 was asked to compute a model on the host (`pulsar2 run`)."""
        return self.program == "pulsar2" and self._verb() == "run"

    @property
    def is_board_run(self) -> bool:
        """Whether the program is one that runs a model on the board, by its name alone."""
        return self.program is not None and _BOARD_PROGRAM.fullmatch(self.program) is not None

    def option(self, *names: str) -> str | None:
        """The value of the first of these options that is given: `-r 10`, `-r10` or `--repeat=10`."""
        for index, word in enumerate(self.arguments):
            for name in names:
                if word == name:
                    following = self.arguments[index + 1 : index + 2]
                    return following[0] if following else None
                if word.startswith(name + "="):
                    return word[len(name) + 1 :]
                if len(name) == 2 and word.startswith(name) and word[2:].isascii() and word[2:].isdigit():
                    return word[2:]
        return None

    def _verb(self) -> str:
        """The sub-command: the first word that is no option and no image or volume name."""
        return next((word for word in self.arguments if word[0] != "-" and ":" not in word), "")


def read_command(line: str) -> Command | None:
    """Read a line as a prompt or a command line; None where it is neither.

    An empty prompt gives a command without a program. A command that is not known to run a model counts
    only behind a prompt that names a user, a host or a folder.
    """
    line = line[:_MAX_COMMAND]
    if line[:1].isdigit():  # a log line's date or a result: no prompt, and these are most lines
        return None
    if (
        "#" in line
        or "$" in line
        or "%" in line
        or ">" in line
        or "❯" in line
        or "➜" in line
        or line[:1] == "+"
    ):
        if found := _SURE_PROMPT.match(line):
            return _parse(found["command"])
        if found := _LIKELY_PROMPT.match(line):
            command = _parse(found["command"])
            if command.is_board_run or command.program == "pulsar2":
                return command
        if not _ASSIGNMENT.match(line):
            return None
    if found := _BARE.match(line):
        command = _parse(found["command"])
        if command.is_board_run or command.program == "pulsar2":
            return command
    return None


def _parse(text: str) -> Command:
    best: Command | None = None
    for part in _SEPARATOR.split(text):
        command = _parse_one(part)
        if command is None:
            continue
        if command.is_board_run or command.program == "pulsar2":
            return Command(command.program, command.arguments, text)
        best = Command(command.program, command.arguments, text)
    return best or Command(None, (), text)


def _parse_one(text: str) -> Command | None:
    words = text.replace('"', " ").replace("'", " ").split()
    while words and (_base(words[0]) in _PREFIXES or _ASSIGNMENT.match(words[0])):
        words.pop(0)
    if not words:
        return None
    first = _base(words[0])
    if first in _CARRIERS or first.startswith("-"):  # -: an option of a prefix, as in sudo -E
        for index, word in enumerate(words[1:], start=1):
            if _base(word) == "pulsar2" or _BOARD_PROGRAM.fullmatch(_base(word)):
                return Command(_base(word), tuple(words[index + 1 :]), text)
        return None
    if first.startswith("python"):
        for index, word in enumerate(words[1:], start=1):
            if _PYTHON_FILE.fullmatch(_base(word)):
                return Command(_base(word), tuple(words[index + 1 :]), text)
        return None
    if first in _NOT_RUNS or first.endswith(".sh"):
        return None
    return Command(first or None, tuple(words[1:]), text)


def _base(word: str) -> str:
    return word.rpartition("/")[2]
