"""Any captured log in, the board runs and builds in it out, in order; the `parse-log` command."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from helpers.logs.build import BuildReader, is_progress, names_failure, shows_build
from helpers.logs.command import Command, joined, read_command
from helpers.logs.failures import FailureReader
from helpers.logs.prefix import bare
from helpers.logs.records import BoardRun, BuildLog, Unknown
from helpers.logs.run import RunReader, head_family, shows_run
from helpers.logs.text import iter_lines

_BOX_CHARACTERS = frozenset("│├┃")
_BUILD_CHARACTERS = frozenset("2[|")
_MAX_RECENT = 60

Record = BoardRun | BuildLog | Unknown


def parse(log: str | Path | BinaryIO, *, source: str | None = None) -> Iterator[Record]:
    """Yield the board runs and builds of a log in order of appearance, one `Unknown` where there is none.

    `log` is a path or an open byte stream; any bytes will do, and memory stays constant however long it is.
    `source` names it in the records (default: the path, or the stream's name).

    Raises OSError if the file cannot be opened or read.
    """
    if isinstance(log, (str, Path)):
        source = os.fsencode(log).decode("utf-8", "replace") if source is None else source
        with Path(log).open("rb") as stream:
            yield from parse(stream, source=source)
    else:
        name = str(getattr(log, "name", "<stream>")) if source is None else source
        yield from _Splitter(name).records(log)


def first_run(path: Path) -> BoardRun:
    """The first board run with scores in a log that worked; ValueError with a sentence where there is none.

    Raises OSError if the file cannot be opened or read.
    """
    for record in parse(path, source=path.name):
        if isinstance(record, BoardRun) and record.ok and record.top_k:
            return record
    raise ValueError(
        f"{path.name} holds no run with scores that worked, as sample_npu_classification prints them: "
        "`python -m helpers parse-log FILE` says what it holds"
    )


class _Splitter:
    """Decides for each line which run or build it belongs to."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._command: Command | None = None  # the last one typed
        self._silent: Command | None = None  # a command after which nothing came
        self._script: list[Command] = []  # commands of a text that was shown before any of them ran
        self._reader: RunReader | BuildReader | None = None
        self._perhaps = False  # whether the build is known by the name of a failure only
        self._stray = FailureReader()  # failures printed while no run and no build is open
        self._recent: list[str] = []  # the lines before a build's first sure sign, if they tell of a failure

    def records(self, stream: BinaryIO) -> Iterator[Record]:
        """The records of the text; each is given as soon as its last line is read."""
        found, count = False, 0
        for count, line in enumerate(joined(bare(iter_lines(stream))), start=1):  # noqa: B007
            if (reader := self._feed(line)) and (record := self._finish(reader)):
                found = True
                yield record
        if self._reader and (record := self._finish(self._reader)):
            yield record
        elif not found:
            yield Unknown(source=self._source, errors=self._explain(count))

    def _finish(self, reader: RunReader | BuildReader) -> Record | None:
        """The record; None for a build that is only spoken of: nothing of its own was printed."""
        record = reader.finish()
        spoken_of = self._perhaps and record == BuildLog(source=self._source, warnings=record.warnings)
        return None if spoken_of else record

    def _feed(self, line: str) -> RunReader | BuildReader | None:
        """Take in one line; returns the reader of what ends before it."""
        reader = self._reader
        if not line:
            if isinstance(reader, BuildReader):
                reader.pause()
            self._stray.pause()
            return None
        if isinstance(reader, BuildReader) and is_progress(line):  # half of a build log
            return None
        command = None if line[0] in _BOX_CHARACTERS else read_command(line)  # tables are most of the rest
        if command and command.bare and self._silent:
            self._script = [*(self._script or [self._silent]), command]
            self._command = self._reader = reader = None
        elif command:
            self._script.clear()
            self._begin(command)
        elif reader is None:
            self._feed_idle(line)
        elif self._shows_another(line) or not reader.feed(line):
            self._reader = None
            self._feed_idle(line)
        else:
            self._silent = None
            return None
        self._silent = command
        return reader

    def _shows_another(self, line: str) -> bool:
        """Whether a line inside a build begins a run, or one inside a run a build."""
        if isinstance(self._reader, BuildReader):
            return head_family(line) is not None
        return line[0] in _BUILD_CHARACTERS and shows_build(line)

    def _begin(self, command: Command) -> None:
        self._command, self._reader = command, None
        self._recent.clear()
        if command.starts == "build":
            self._reader, self._perhaps = BuildReader(source=self._source), False
        elif command.starts == "board_run":
            self._open_run()

    def _feed_idle(self, line: str) -> None:
        if shows_run(line):
            self._open_run().feed(line)
        elif not self._simulates() and shows_build(line):
            self._next_of_script("build")
            build = BuildReader(source=self._source)
            self._reader, self._perhaps = build, names_failure(line)
            for one in (*self._recent, line):
                build.feed(one)
            self._recent.clear()
        elif self._stray.feed(line) or self._recent:  # perhaps a build's, perhaps all that is said
            self._recent = [*self._recent[1 - _MAX_RECENT :], line]

    def _open_run(self) -> RunReader:
        self._next_of_script("board_run")
        command = self._command if self._command and self._command.program != "pulsar2" else None
        self._reader = RunReader(source=self._source, command=command)
        if self._command:  # its arguments are those of its first run only
            self._command = Command(self._command.program)
        self._recent.clear()
        return self._reader

    def _next_of_script(self, kind: str) -> None:
        """What begins is of the next command that starts such."""
        if self._script:
            left = iter(self._script)
            self._command = next((one for one in left if one.starts == kind), None)
            self._script = [*left]

    def _simulates(self) -> bool:
        return self._command is not None and self._command.starts == "simulation"

    def _explain(self, count: int) -> list[str]:
        if not count:
            return ["the file is empty"]
        errors = [f"no board run and no pulsar2 build was found in {count} lines"]
        if self._simulates():
            errors = [
                "'pulsar2 run' computes the model on the host: no board run and no build is in this text"
            ]
        if failure := self._stray.result():
            errors.append(": ".join(filter(None, (failure.exception, failure.message))))
        return errors


def main(paths: Sequence[str | Path]) -> int:
    """Print what the logs say: one JSON object per line.

    Returns the exit status: 0 if all is ok, 1 if a run or build is not, 2 if a file could not be read; the
    others are read all the same.
    """
    status = 0
    try:
        for path in paths:
            try:
                for record in parse(path):
                    status = max(status, 0 if record.ok else 1)
                    print(json.dumps(asdict(record), allow_nan=False))
            except BrokenPipeError:
                raise
            except OSError as error:
                status = 2
                print(f"parse-log: cannot read {path}: {error.strerror or error}", file=sys.stderr)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
