"""Any captured log in, the board runs and builds in it out, in order; the `parse-log` command."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from helpers.logs.build import BuildLog, BuildReader, ToolVersion, is_progress, shows_build
from helpers.logs.command_line import Command, read_command
from helpers.logs.failures import FailureReader
from helpers.logs.line_prefix import Bare
from helpers.logs.line_wrap import BREAKABLE, is_broken, mended
from helpers.logs.log_text import iter_lines
from helpers.logs.report import print_csv, print_table
from helpers.logs.run_lines import HEAD_LETTERS, head_family, line_shape, shows_run
from helpers.logs.run_log import RunReader
from helpers.logs.run_record import BoardRun

_BOX_CHARACTERS = frozenset("│├┃")
_HEAD_CHARACTERS = HEAD_LETTERS | frozenset(" \t")


@dataclass(slots=True)
class Unknown:
    """A text in which no board run and no build was found, and what it shows instead."""

    source: str
    kind: Literal["unknown"] = "unknown"
    ok: bool = False
    errors: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The record as plain data."""
        return asdict(self)


Record = BoardRun | BuildLog | Unknown


def parse(log: str | Path | BinaryIO, *, source: str | None = None) -> Iterator[Record]:
    """Yield the board runs and builds of a log in order of appearance, one `Unknown` where there is none.

    `log` is a path or an open byte stream; any bytes will do, and memory stays constant however long it is.
    `source` names it in the records (default: the path, or the stream's name).

    Raises OSError if the file cannot be opened or read.
    """
    if isinstance(log, (str, Path)):
        name = os.fsencode(log).decode("utf-8", "replace") if source is None else source
        with Path(log).open("rb") as stream:
            yield from _Splitter(name).records(stream)
    else:
        yield from _Splitter(source if source is not None else str(getattr(log, "name", "<stream>"))).records(
            log
        )


def first_run(path: Path) -> BoardRun:
    """The first board run with scores in a log that worked; ValueError with a sentence where there is none.

    Raises OSError if the file cannot be opened or read.
    """
    found = list(parse(path, source=path.name))
    runs = [record for record in found if isinstance(record, BoardRun)]
    if not runs:
        raise ValueError(f"{path.name} holds no board run: give what sample_npu_classification printed")
    if not (worked := [run for run in runs if run.ok]):
        raise ValueError(f"{path.name} holds no run that worked: {'; '.join(runs[0].errors)}")
    if not (classified := [run for run in worked if run.top_k]):
        raise ValueError(f"{path.name} holds no scores: give what sample_npu_classification printed")
    return classified[0]


class _Splitter:
    """Decides for each line which run or build it belongs to."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._command: Command | None = None  # the last one typed
        self._command_used = False
        self._reader: RunReader | BuildReader | None = None
        self._tool = ToolVersion()
        self._stray = FailureReader()  # failures printed while no run and no build is open
        self._recent: list[str] = []  # the lines before a build's first sure sign, if they tell of a failure
        self._lines = 0
        self._continued = ""  # a command line that ends in a backslash
        self._bare = Bare()
        self._broken = ""  # a line whose end is in the next one
        self._closed: list[Record] = []

    def records(self, stream: BinaryIO) -> Iterator[Record]:
        found = False
        for line in iter_lines(stream, shape=line_shape):
            self._lines += 1
            line = self._bare.line(line)
            if self._continued or line[-1:] == "\\":
                line = self._joined(line)
            if self._broken:
                line = self._mended(line)
            if line[:1] in BREAKABLE and is_broken(line):
                self._broken = line
            else:
                self._feed(line)
            while self._closed:
                found = True
                yield self._closed.pop(0)
        self._feed(self._broken)
        self._feed(self._continued)
        self._close()
        yield from self._closed
        if not found and not self._closed:
            yield Unknown(source=self._source, errors=self._explain())

    def _joined(self, line: str) -> str:
        """A command line with the lines it is continued on by a backslash; empty while it is not complete."""
        whole = f"{self._continued} {line.strip().removeprefix('> ')}" if self._continued else line
        if whole[-1:] == "\\" and len(whole) < 4_096 and (self._continued or read_command(whole)):
            self._continued = whole[:-1].rstrip()
            return ""
        self._continued = ""
        return whole

    def _mended(self, line: str) -> str:
        """A broken line with its end; where this is not its end, the broken one is fed as it is."""
        broken, self._broken = self._broken, ""
        if whole := mended(broken, line):
            return whole
        self._feed(broken)
        return line

    def _feed(self, line: str) -> None:
        reader = self._reader
        if not line:
            if isinstance(reader, BuildReader):
                reader.pause()
            self._stray.pause()
            return
        if isinstance(reader, BuildReader) and is_progress(line):  # half of a build log
            return
        command = None if line[0] in _BOX_CHARACTERS else read_command(line)  # tables are most of the rest
        if command is not None:
            self._close()
            self._begin(command)
        elif isinstance(reader, BuildReader):
            if (line[:1] in _HEAD_CHARACTERS and head_family(line.strip())) or not reader.feed(line):
                self._close()
                self._feed_idle(line)
        elif reader is not None:
            if reader.begins_another(line) or (line[0] in "2[|" and shows_build(line)):
                self._close()
                self._feed_idle(line)
            else:
                reader.feed(line)
        else:
            self._feed_idle(line)

    def _begin(self, command: Command) -> None:
        self._command, self._command_used = command, False
        self._recent.clear()
        self._tool.read(command.text)
        if command.is_build:
            self._reader = BuildReader(source=self._source, tool=self._tool)
        elif command.is_board_run:
            self._open_run()

    def _feed_idle(self, line: str) -> None:
        if shows_run(line):
            self._open_run().feed(line)
        elif not (self._command and self._command.is_simulation) and shows_build(line):
            self._reader = build = BuildReader(source=self._source, tool=self._tool)
            for earlier in self._recent:
                build.feed(earlier)
            self._recent.clear()
            build.feed(line)
        else:
            self._tool.read(line)
            if (
                self._stray.feed(line) or self._recent
            ):  # it may turn out to be a build's, or be all that is said
                self._recent.append(line)
                del self._recent[:-60]

    def _open_run(self) -> RunReader:
        self._reader = RunReader(source=self._source, command=self._command, inherited=self._command_used)
        self._command_used = True
        self._recent.clear()
        return self._reader

    def _close(self) -> None:
        if self._reader is not None:
            self._closed.append(self._reader.finish())
            self._reader = None

    def _explain(self) -> list[str]:
        if not self._lines:
            return ["the file is empty"]
        errors = [f"no board run and no pulsar2 build was found in {self._lines} lines"]
        if self._command and self._command.is_simulation:
            errors[0] = (
                "'pulsar2 run' computes the model on the host: no board run and no build is in this text"
            )
        if failure := self._stray.result():
            errors.append(": ".join(part for part in (failure.exception, failure.message) if part))
        return errors


def main(paths: Sequence[str | Path], *, table: bool = False, csv: bool = False) -> int:
    """Print what the logs say: one JSON object per line, or a table, or CSV.

    Returns the exit status: 0 if all is ok, 1 if a run or build is not, 2 if a file could not be read; the
    others are read all the same.
    """
    status = 0
    records: list[Record] = []
    progress = sys.stderr.isatty() and len(paths) > 1
    for done, path in enumerate(paths, start=1):
        try:
            for record in parse(path):
                status = max(status, 0 if record.ok else 1)
                if table or csv:
                    records.append(record)
                else:
                    print(json.dumps(record.to_json(), allow_nan=False))
        except BrokenPipeError:  # the reader of our output, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return status
        except OSError as error:
            status = 2
            print(f"parse-log: cannot read {path}: {error.strerror or error}", file=sys.stderr)
        if progress:
            print(
                f"\r{done}/{len(paths)} files",
                end="" if done < len(paths) else "\n",
                file=sys.stderr,
                flush=True,
            )
    if table:
        print_table([record.to_json() for record in records])
    elif csv:
        print_csv([record.to_json() for record in records])
    return status
