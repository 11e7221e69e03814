"""What `pulsar2 build` printed, as a typed record: the verdict, the sizes, the precision table, the failure.

Serves Pulsar2 1.9 to 7.0. Line numbers and module paths change with every version, so lines are known
by their text, as it stands in logs that users and the documentation published.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from helpers.logs.build_failure import BuildError, FailureReader
from helpers.logs.build_stages import Stage, StageClock, timestamp
from helpers.logs.command import Command
from helpers.logs.precision_table import PrecisionRow, precision_columns, precision_row
from helpers.logs.rich_table import FIRST_CHARACTERS, TableReader

_MAX_ROWS = 20_000
_MAX_MESSAGES = 200

_LOGURU = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d) (?P<time>\d\d:\d\d:\d\d\.\d{1,6}) \| (?P<level>[A-Z]{4,8}) *\| "
    r"(?P<where>[^ ]{1,200}) - "
)
_PASS = re.compile(r"\[(\d\d:\d\d:\d\d)\] (AX .{1,80}?) Running")
_MACS = re.compile(r"QuantAxModel macs: *([\d,]{1,24})")
_MAX_CYCLE = re.compile(r"max_cycle *= *([\d,]{1,24})")
_BATCHES = re.compile(r"batchs \[([\d, ]{1,200})\]")
_ASSEMBLED = re.compile(r"assemb(?:le|el) model .{1,120}\] b(\d{1,6})")
_SUBGRAPH = re.compile(r"subgraph \[(\d{1,9})\](?:, group: (\d{1,9}))?, type: GraphType\.(\w{1,20})")
_FUSED = re.compile(r"fuse \d{1,9} subgraph\(s\)")
_VERSION = re.compile(r"(version|commit): ([\w.+-]{1,40})$")
_IMAGE = re.compile(r"\bpulsar2:([\w.+-]{1,40})")
_AFTERMATH = ("Traceback (most recent", "During handling of", "The above exception was", "Killed")
_RANGE_HINT = "These op contains very big range"

# Lines that only `pulsar2 build` prints: by their beginnings, and by texts that stand anywhere in them.
_SIGNS = re.compile(
    r"(?:[A-Z]{4,8}\[\d{1,9}\] *)?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6} \| [A-Z]{4,8} *\| "
    r"(?:axnn\.)?(?:yamain|yasched|frontend|backend|opset|quant|npu|onnx|llm)"
    r"|\[\d\d:\d\d:\d\d\] AX |\| +Model Name +\| |Calibration Progress|Stat?istics? Inf tensor|Building onnx"
    r"|tiling op\.\.\.|build op|-+ (?:Network|Quantization) Snapshot|quant\.axmodel export|new_ddr_tensor"
    r"|assign eu |Network Quantization Finished|max_cycle *=|pulsar2 build: error|Transformer optimize level"
    r"|Get Outlier Progress|Analysing Smooth"
)
_SIGN_TEXTS = (
    *("Quant Precision Table", "Quant Config Table", "Layer Config Table", "Ratio of outliers in tensor"),
    *("QuantAxModel macs", "ErrorCode.", "TileFailException", "OpBuildException", "NoTilerException"),
    *(
        "OpXrunException",
        "has no backend implementation on target platform",
        "Op Execution Error",
        "<frozen yamain",
    ),
    *(
        "<frozen axnn",
        "<frozen yasched",
        "opr in AXOPS",
        "Sentinel key not found",
        "subgraph(s)",
        "┃ Operator ",
    ),
)


@dataclass(slots=True)
class BuildLog:
    """One build of a model, or the attempt; `to_json` has exactly the keys of `parse-log`'s contract.

    `stages`, `version` and `commit` (of the tool) come on top, for chapter 07.
    """

    source: str
    kind: Literal["build"] = "build"
    ok: bool = False
    macs: int | None = None
    max_cycles: list[int] = field(default_factory=list)  # one per batch size, in the order printed
    batches: list[int] = field(default_factory=list)
    npu_subgraphs: int | None = None
    cpu_subgraphs: int | None = None
    precision: list[PrecisionRow] = field(default_factory=list)
    error: BuildError | None = None
    warnings: list[str] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    version: str | None = None
    commit: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as plain data."""
        return {
            "source": self.source,
            "kind": self.kind,
            "ok": self.ok,
            "macs": self.macs,
            "max_cycles": self.max_cycles,
            "batches": self.batches,
            "subgraphs": {"npu": self.npu_subgraphs, "cpu": self.cpu_subgraphs},
            "precision": [row.to_json() for row in self.precision],
            "error": self.error.to_json() if self.error else None,
            "warnings": self.warnings,
        }


def shows_build(line: str) -> bool:
    """Whether a line by itself shows that a build was made or tried."""
    return _SIGNS.match(line) is not None or any(sign in line for sign in _SIGN_TEXTS)


def is_progress(line: str) -> bool:
    """Whether a line is nothing but a progress bar."""
    return ("%|" in line or "━" in line) and " - " not in line and line.lstrip()[:1] not in FIRST_CHARACTERS


@dataclass(slots=True)
class ToolVersion:
    """What `pulsar2 version`, or the name of a docker image, has said so far in a text."""

    version: str | None = None
    commit: str | None = None

    def read(self, line: str) -> None:
        """Take in a line that belongs to no build."""
        if found := _VERSION.match(line):
            setattr(self, found[1], found[2])
        elif found := _IMAGE.search(line[:4096]):
            self.version, self.commit = found[1], None


class BuildReader:
    """Collects the lines of one build: `feed` until it answers False, then `finish`."""

    def __init__(
        self, *, source: str, tool: ToolVersion | None = None, command: Command | None = None
    ) -> None:
        self._done = False
        self._spoilt = False  # by a failure after the success line
        self._log = BuildLog(source=source)
        tool = tool or ToolVersion()
        if command:
            tool.read(command.text)
        self._log.version, self._log.commit = tool.version, tool.commit
        self._complaints: list[str] = []  # errors that a success may follow, such as a check that failed
        self._clock = StageClock()
        self._failure = FailureReader()
        self._table: TableReader | None = None
        self._columns: dict[str, int] | None = None
        self._subgraphs: dict[tuple[str, str], str] = {}
        self._macs: list[int] = []
        self._assembled: list[int] = []
        self._past_frontend = False

    def feed(self, line: str) -> bool:
        """Take in one line; False if it belongs to the next build, and then it has not been taken in."""
        if self._done:
            return self._feed_after_success(line)
        if self._failure.complete and shows_build(line):
            return False
        first = line[0] if line[0] not in " \t" else line.lstrip()[:1]
        if " | " in line and (found := _LOGURU.search(line, 0, 400)):  # a progress bar may stand before it
            return self._feed_message(found, line[found.end() :])
        if first in FIRST_CHARACTERS:
            return self._feed_table(line)
        if first == "[" and (found := _PASS.match(line)):
            self._past_frontend = True
            self._failure.pause()
            self._clock.pass_line(found[1], found[2])
        elif not self._failure.feed(line):
            self._feed_text(line.strip())
        return True

    def pause(self) -> None:
        """A blank line: a message that goes over several lines ends here."""
        self._failure.pause()

    def finish(self) -> BuildLog:
        """The record, with the verdict: only the line `fuse N subgraph(s)` makes a build a success.

        A traceback of the compiler's own right after it takes the success back: the model was not written.
        """
        log = self._log
        self._end_table()
        log.ok = self._done and not self._spoilt
        log.batches = log.batches or self._assembled
        log.macs = self._macs[0] if self._macs else None
        if len(set(self._macs)) > 1:
            self._warn(f"macs are printed for several groups: {self._macs}; the first is given")
        if self._subgraphs:
            kinds = list(self._subgraphs.values())
            log.npu_subgraphs, log.cpu_subgraphs = kinds.count("NPU"), kinds.count("CPU")
        log.stages = self._clock.stages()
        if log.ok:
            for text in self._complaints:
                self._warn(text)
        else:
            log.error = self._failure.result()
            if log.error is None:
                self._warn(
                    "no success line ('fuse N subgraph(s)') and no failure: the log is cut or an excerpt"
                )
        return log

    def _feed_after_success(self, line: str) -> bool:
        """Nothing of this build can follow but a failure to write the model; False for any other line."""
        if not (line.startswith(_AFTERMATH) or self._failure.in_traceback):
            return False
        self._spoilt = self._spoilt or "<frozen " in line or line.startswith("Killed")
        return self._failure.feed(line)

    def _feed_message(self, found: re.Match[str], text: str) -> bool:
        where = found["where"]
        stamp = timestamp(found["day"], found["time"])
        if not -60 <= self._clock.jump(stamp) <= 86_400 or ("fill_default" in where and self._is_over()):
            return False
        self._failure.pause()
        self._clock.message(stamp, text)
        level = found["level"]
        if level == "WARNING":
            self._warn(text)
        elif level in ("ERROR", "CRITICAL"):
            self._complaints = [*self._complaints[: _MAX_MESSAGES - 1], text]
            if not self._failure.feed(text):
                self._failure.add_plain(text)
        self._feed_text(text)
        self._done = "compile_ptq_model" in where and _FUSED.match(text) is not None
        return True

    def _feed_text(self, text: str) -> None:
        """The facts of a line, whether it came with a time stamp or without."""
        if "macs" in text and (found := _MACS.search(text)):
            _append(self._macs, found[1])
        elif "max_cycle" in text and (found := _MAX_CYCLE.match(text)):
            self._past_frontend = True
            _append(self._log.max_cycles, found[1])
        elif "graph" in text and (found := _SUBGRAPH.match(text)):
            if len(self._subgraphs) < _MAX_ROWS:
                self._subgraphs[found[2] or "", found[1]] = found[3]
        elif "batchs" in text and (found := _BATCHES.search(text)):
            for size in found[1].split(","):
                _append(self._log.batches, size, once=True)
        elif "assemb" in text and (found := _ASSEMBLED.match(text)):
            _append(self._assembled, found[1], once=True)
        elif "Warning" in text or "very big range" in text:
            if text.startswith(("[Warning]", _RANGE_HINT)) or "Warning: " in text:
                self._warn(text.removeprefix("[Warning]"))
        elif text.startswith("save optimized onnx"):
            self._past_frontend = True

    def _is_over(self) -> bool:
        """Whether a line that a build prints at its start must be the next one's."""
        return self._past_frontend or self._failure.result() is not None

    def _feed_table(self, line: str) -> bool:
        line = line.strip()
        if line.startswith("|") and "Model Name" in line[:40] and self._is_over():
            return False
        if self._table is None or line[0] in "┏┌╔":
            self._end_table()
            self._table = TableReader()
        for cells in self._table.feed(line):
            self._add_row(cells)
        if self._table.closed:
            self._end_table()
        return True

    def _end_table(self) -> None:
        if self._table:
            for cells in self._table.finish():
                self._add_row(cells)
        self._table = self._columns = None

    def _add_row(self, cells: list[str]) -> None:
        if self._columns is None:
            header = self._table.header if self._table else None
            self._columns = precision_columns(header or [])
        if "cosine" in self._columns and len(self._log.precision) < _MAX_ROWS:
            row, complaint = precision_row(cells, self._columns)
            self._log.precision.append(row)
            if complaint:
                self._warn(complaint)

    def _warn(self, text: str) -> None:
        warnings, text = self._log.warnings, text[:500].rstrip()
        if text not in warnings and len(warnings) < _MAX_MESSAGES:
            warnings.append(text)


def _append(numbers: list[int], digits: str, *, once: bool = False) -> None:
    digits = digits.replace(",", "").strip()
    if digits and len(numbers) < _MAX_ROWS and not (once and int(digits) in numbers):
        numbers.append(int(digits))
