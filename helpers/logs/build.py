"""What `pulsar2 build` prints, as a typed record: verdict, sizes, precision, failure; and its stage.

Serves Pulsar2 1.9 to 7.0, while a build runs and afterwards. Line numbers and module paths change with every
version, so lines are known by their text, as it stands in logs that users and the documentation published.
"""

import re
from datetime import datetime

from helpers.logs.failures import FailureReader
from helpers.logs.records import BuildLog, Subgraphs
from helpers.logs.tables import FIRST_CHARACTERS, OPENING, TableReader, precision_row

STAGES = ("frontend", "quantize", "calibrate", "compile", "assemble", "check")

# The stage that a message begins, by its text; of the others, "frontend" comes first, and a pass of the
# quantiser tells the next two.
_BEGINNINGS = {
    "save optimized onnx": "quantize",
    "compiler transformation": "compile",
    "preprocess tensor": "compile",
    "subgraph [": "compile",
    "max_cycle": "assemble",
    "generate gt of npu graph": "check",
    "simulate npu graph": "check",
}
_CALIBRATION = "AX Runtime Calibration Pass"

_MAX_ROWS = 20_000
_MAX_MESSAGES = 200

_LOGURU = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6}) \| (?P<level>[A-Z]{4,8}) *\| "
    r"(?P<where>[^ ]{1,200}) - "
)
_PASS = re.compile(r"\[\d\d:\d\d:\d\d\] (AX .{1,80}?) Running")
# Numbers for the record, by a word that stands in their lines.
_NUMBERS = {
    "macs": re.compile(r".*?QuantAxModel macs: *([\d,]{1,24})"),
    "max_cycle": re.compile(r"max_cycle *= *([\d,]{1,24})"),
    "batchs": re.compile(r".*?batchs \[([\d, ]{1,200})\]"),
    "assemb": re.compile(r"assemb(?:le|el) model .{1,120}\] b(\d{1,6})"),
}
_SUBGRAPH = re.compile(r"subgraph \[(\d{1,9})\](?:, group: (\d{1,9}))?, type: GraphType\.(\w{1,20})")
# By a part of the place that prints it: the line after which nothing but checks can fail.
_SUCCESS = {
    "compile_ptq_model": re.compile(r"fuse \d{1,9} subgraph\(s\)"),
    "llm_build:": re.compile(r"build llm model done"),
}
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
    *("QuantAxModel macs", "subgraph(s)", "┃ Operator "),
)
_FAILURE_TEXTS = (
    *("ErrorCode.", "TileFailException", "OpBuildException", "NoTilerException", "OpXrunException"),
    *("has no backend implementation on target platform", "Op Execution Error", "opr in AXOPS"),
    *("<frozen yamain", "<frozen axnn", "<frozen yasched", "Sentinel key not found"),
)
# Before a text: that prose, a table or a program speaks of it, and no build printed it.
_QUOTED = re.compile(r"[`“\"]$|^\s*[-*|>#\"]")


def shows_build(line: str) -> bool:
    """Whether a line by itself shows that a build was made or tried."""
    if _SIGNS.match(line):
        return True
    told = next((sign for sign in (*_SIGN_TEXTS, *_FAILURE_TEXTS) if sign in line), None)
    return told is not None and not _QUOTED.search(line[: line.index(told)])


def names_failure(line: str) -> bool:
    """Whether a line that shows a build may only speak of how builds fail."""
    return _SIGNS.match(line) is None and any(sign in line for sign in _FAILURE_TEXTS)


def is_progress(line: str) -> bool:
    """Whether a line is nothing but a progress bar."""
    return ("%|" in line or "━" in line) and " - " not in line and line.lstrip()[:1] not in FIRST_CHARACTERS


class BuildReader:
    """Collects the lines of one build: `feed` until it answers False, then `finish`.

    Lines that are nothing but a progress bar (`is_progress`) tell nothing here and are better left out.
    """

    def __init__(self, *, source: str) -> None:
        self.stage = STAGES[0]  # that the build has reached
        self._log = BuildLog(source=source)
        self._done = False
        self._write_failed = False  # after the success line
        self._complaints: list[str] = []  # errors that a success may follow, such as a check that failed
        self._latest = 0.0  # time stamp, in seconds; 0: none came
        self._failure = FailureReader()
        self._table: TableReader | None = None
        self._subgraphs: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, list[int]] = {name: [] for name in _NUMBERS}
        self._past_frontend = False

    def feed(self, line: str) -> bool:
        """Take in one line that is not empty; False if it is the next build's, and not taken in."""
        if self._done:
            return self._feed_after_success(line)
        if self._failure.code and shows_build(line):
            return False
        first = line[0] if line[0] not in " \t" else line.lstrip()[:1]
        if " | " in line and (found := _LOGURU.search(line, 0, 400)):  # a progress bar may stand before it
            return self._feed_message(found, line[found.end() :])
        if first in FIRST_CHARACTERS:
            return self._feed_table(line)
        if first == "[" and (found := _PASS.match(line)):
            self._past_frontend = True
            self._failure.pause()
            self.stage = "calibrate" if found[1].startswith(_CALIBRATION) else "quantize"
        elif not self._failure.feed(line):
            self._feed_text(line.strip())
        return True

    def pause(self) -> None:
        """A blank line: a message that goes over several lines ends here."""
        self._failure.pause()

    def finish(self) -> BuildLog:
        """The record, with the verdict: only the line `fuse N subgraph(s)` makes a build a success, and of a
        language model `build llm model done!`.

        A traceback of the compiler's own right after it takes the success back: the model was not written.
        """
        log = self._log
        self._end_table()
        log.ok = self._done and not self._write_failed
        macs, log.max_cycles, batches, assembled = self._numbers.values()
        log.batches = list(dict.fromkeys(batches or assembled))
        log.macs = macs[0] if macs else None
        if len(set(macs)) > 1:
            self._warn(f"macs are printed for several groups: {macs}; the first is given")
        if kinds := list(self._subgraphs.values()):
            log.subgraphs = Subgraphs(npu=kinds.count("NPU"), cpu=kinds.count("CPU"))
        if log.ok:
            for text in self._complaints:
                self._warn(text)
        elif not (error := self._failure.result()):
            self._warn("no success line ('fuse N subgraph(s)') and no failure: the log is cut or an excerpt")
        else:
            log.error = error
        return log

    def _feed_after_success(self, line: str) -> bool:
        """Nothing can follow but a failure to write the model, and the checks of a language model; False for
        any other line.
        """
        if "llm_build:" in line[:120] and "check llm" in line:
            return True
        if not (line.startswith(_AFTERMATH) or self._failure.in_traceback):
            return False
        if "<frozen " in line or line.startswith("Killed"):
            self._write_failed = True
        return self._failure.feed(line)

    def _feed_message(self, found: re.Match[str], text: str) -> bool:
        where = found["where"]
        stamp = _timestamp(found["time"])
        jump = stamp - (self._latest or stamp)
        if not -60 <= jump <= 86_400 or ("fill_default" in where and self._is_over()):
            return False
        self._latest = max(stamp, self._latest)
        self._failure.pause()
        self.stage = next((stage for words, stage in _BEGINNINGS.items() if words in text), self.stage)
        level = found["level"]
        if level == "WARNING":
            self._warn(text)
        elif level in ("ERROR", "CRITICAL"):
            self._complaints = [*self._complaints[: _MAX_MESSAGES - 1], text]
            if not self._failure.feed(text):
                self._failure.add_plain(text)
        self._feed_text(text)
        self._done = any(name in where and line.match(text) for name, line in _SUCCESS.items())
        return True

    def _feed_text(self, text: str) -> None:
        """The facts of a line, whether it came with a time stamp or without."""
        for word, pattern in _NUMBERS.items():
            if word in text and (found := pattern.match(text)) and len(self._numbers[word]) < _MAX_ROWS:
                digits = found[1] if word == "batchs" else found[1].replace(",", "")
                self._numbers[word] += map(int, re.findall(r"\d+", digits))
        if "graph" in text and (found := _SUBGRAPH.match(text)):
            if len(self._subgraphs) < _MAX_ROWS:
                self._subgraphs[found[2] or "", found[1]] = found[3]
        elif "Warning" in text or "very big range" in text:
            if text.startswith(("[Warning]", _RANGE_HINT)) or "Warning: " in text:
                self._warn(text.removeprefix("[Warning]"))
        elif text.startswith("save optimized onnx"):
            self._past_frontend = True

    def _is_over(self) -> bool:
        """Whether a line that a build prints at its start must be the next one's."""
        late = self._past_frontend or self._numbers["max_cycle"]
        return bool(late) or self._failure.result() is not None

    def _feed_table(self, line: str) -> bool:
        line = line.strip()
        if line.startswith("|") and "Model Name" in line[:40] and self._is_over():
            return False
        if self._table is None or line[0] in OPENING:
            self._end_table()
            self._table = TableReader()
        if rows := self._table.feed(line):
            self._add_rows(self._table, rows)
        if self._table.closed:
            self._end_table()
        return True

    def _end_table(self) -> None:
        if self._table:
            self._add_rows(self._table, self._table.finish())
        self._table = None

    def _add_rows(self, table: TableReader, rows: list[list[str]]) -> None:
        for cells in rows if table.columns and len(self._log.precision) < _MAX_ROWS else ():
            row, complaint = precision_row(cells, table.columns)
            self._log.precision.append(row)
            if complaint:
                self._warn(complaint)

    def _warn(self, text: str) -> None:
        warnings, text = self._log.warnings, text[:500].rstrip()
        if text not in warnings and len(warnings) < _MAX_MESSAGES:
            warnings.append(text)


def _timestamp(time: str) -> float:
    """Seconds since the year 1; 0 for an impossible date."""
    try:
        return (datetime.fromisoformat(time) - datetime.min).total_seconds()
    except ValueError:
        return 0.0
