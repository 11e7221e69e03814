"""The stages of a Pulsar2 build, read off its log while it runs.

Recognised by `module:function` and text only: line numbers change with every release, and 7.0 moved the
modules below another package (published build logs from 1.9 to 7.0). A finished log tells less, by its time
stamps: `board.build_stages`.
"""

import re
import time

from tqdm.auto import tqdm

_SUCCESS = r"build:compile_ptq_model:\d+ - fuse \d+ subgraph\(s\)"
_SIGNS: dict[str, str] = {
    "start the tool": r"",
    "read the configuration": r"build:fill_default:",
    "unpack calibration data": r"util:extract_archive:",
    "read the graph": r"^Building onnx|onnx_parser:|load_model:optimize_onnx_model:|save optimized onnx",
    "prepare quantization": r"Quant Config Table|Inf tensor:|AX Set Float Op Table Pass",
    "calibrate": r"AX Runtime Calibration Pass|^Calibration Progress",
    "quantize": r"AX Quantization Alignment Pass|Reconstruction Running|Network Snapshot",
    "convert the quantized graph": r"^Building native",
    "analyse precision": r"Quant Precision Table|precision_analysis:",
    "lower to the NPU": r"build:compile_ptq_model:\d+ - group|load_model:pre_process:",
    "tile": r"^tiling op|schedule npu subgraph|compile npu subgraph",
    "schedule": r"^build op|^add ddr swap|^assign eu|test_onepass:results2model:",
    "assemble": r"^build jobs|assemb(?:le|el) model|linker:",  # "assembel" is what 3.x prints
    "done": _SUCCESS,
}
STAGES = tuple(_SIGNS)
_PATTERNS = tuple((stage, re.compile(sign)) for stage, sign in _SIGNS.items() if sign)
_COUNT = re.compile(r"[|━╸╺ ]\s*(\d+/\d+) (?:\[|\d+:\d\d:\d\d|-:--:--)")


def stage_of(line: str) -> str | None:
    """The stage that a line of a build log belongs to, or None when the line does not tell."""
    return next((stage for stage, pattern in reversed(_PATTERNS) if pattern.search(line)), None)


class StageBar:
    """Follows a build from line to line: draws the bar, times each stage, and notes the success marker.

    A stage is never left backwards: a build for several batch sizes tiles and schedules once per size, and
    the seconds of those rounds count for the last stage that was reached.
    """

    def __init__(self, *, progress: bool) -> None:
        self.seconds: dict[str, float] = {STAGES[0]: 0.0}
        self._current = 0
        self._since = time.monotonic()
        self._bar = tqdm(total=len(STAGES) - 1, desc=STAGES[0], unit="stage", disable=not progress)

    @property
    def stage(self) -> str:
        """The stage that the build is in."""
        return STAGES[self._current]

    @property
    def finished(self) -> bool:
        """True once the line was seen that ends every successful build."""
        return STAGES[-1] in self.seconds

    def read(self, line: str) -> None:
        """Takes one line of the log; an empty one only lets the bar show the time that passed."""
        stage = stage_of(line)
        if stage is not None and STAGES.index(stage) > self._current:
            self._settle()
            self._bar.update(STAGES.index(stage) - self._current)
            self._current = STAGES.index(stage)
            self.seconds[stage] = 0.0
            self._bar.set_description_str(stage, refresh=False)
            self._bar.set_postfix_str("", refresh=False)
        if count := _COUNT.search(line):
            self._bar.set_postfix_str(count[1], refresh=False)
        self._bar.update(0)
        if not line:
            self._bar.refresh()

    def close(self) -> None:
        """Ends the last stage's time and leaves the bar as it stands."""
        self._settle()
        self._bar.close()

    def _settle(self) -> None:
        now = time.monotonic()
        self.seconds[STAGES[self._current]] += now - self._since
        self._since = now
