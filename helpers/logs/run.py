"""Reads what a program on the board printed about one run of a model.

Serves the C++ samples (`sample_npu_*`, `ax_*`), `ax_run_model`, `axcl_run_model`, `axcl_sample_*` and
pyaxengine's `classification.py`. The formats are those of the programs' sources (AXERA-TECH/ax-samples,
axcl-runtime and pyaxengine), of `ax_run_model`'s documentation (pulsar2-docs-en, other_tools), and of logs
that users published. `_FIELDS` and `_LINES` list them.
"""

import math
import re
from collections.abc import Callable

from helpers.logs.command import Command
from helpers.logs.failures import advise
from helpers.logs.records import BoardRun, Detection, Score

_MAX_ITEMS = 1_000  # scores and boxes kept per run: a real log has dozens
_MAX_MESSAGES = 100

_PASSED = ("Available providers", "Using provider", "Chip type", "SOC Name", "VNPU type")
# Names before a colon, and where the value belongs in the record.
_FIELDS = {
    "model file": "model",
    "image file": "image",
    "model": "model",  # from here on ax_run_model and axcl_run_model
    "type": "npu_type",
    "repeat": "repeats",
    "warmup": "warmup",
    "batch": "batch",
    "pulsar2 ver": "versions.pulsar2",
    "engine ver": "versions.engine",
    "axclrt ver": "versions.engine",
    "tool ver": "versions.tool",
    "cmm size": "cmm_bytes",
    "[INFO] Engine version": "versions.engine",  # from here on pyaxengine
    "[INFO] Model type": "npu_type",
    "[INFO] Compiler version": "versions.pulsar2",
    **dict.fromkeys(("vnpu", "affinity", "parallel", *(f"[INFO] {name}" for name in _PASSED)), ""),
}
_COUNTS = frozenset({"repeats", "warmup", "batch", "cmm_bytes"})
_NUMBER = r"-?\d{1,15}(?:\.\d{1,20})?(?:[eE][-+]?\d{1,2})?"
_RAW = r"-?(?:\d[\d.eE+-]{0,40}|nan|inf)"
_PERCENT = rf"(?P<id>\d{{1,9}}): *(?P<score>{_NUMBER})%, *"
_TIMING = re.compile(r"Repeat +(?P<repeats>\d{1,15}) +times?\b|(?:min|5%) *= *\d")
_TIME = re.compile(rf"\b(min|max|avg|median|5%|90%|95%|99%)(?: *= *|[ _]time[ :]+)({_NUMBER}) *ms")

# Lines that begin a run; the groups are the families of programs that print them.
_HEAD = re.compile(
    r"(?P<sample>model file *: |axcl initializing)"
    r"|(?P<run_model>Run AxModel:|total found \{\d{1,9}\} input)"
    rf"|(?P<pyaxengine>(?:{'|'.join(re.escape(name) for name in _FIELDS if name[0] == '[')}):"
    r"|Top \d{1,4} Predictions:)"
)
_HEAD_LETTERS = frozenset("maRt[T")
# What a program says that stops before it has printed its head.
_STILLBORN = re.compile(
    r"\[ERROR\] (?:Model file \{|Init failed|Loading model \{)|Input .{1,450}, please check it"
)
# Lines that show a run whose head is not in the text.
_BODY = re.compile(
    r"Repeat +\d{1,15} +times?, *avg|min *= *\d.{1,40}max *= |topk cost time:|post process cost time:"
    r"|detection num:|Engine creating handle is done|\[ERROR\] .{0,40}(?:odel|Init failed)|\[Engine\]"
    r"|usage: (?:sample_npu_|ax_|axcl_)\w{1,80} |Input .{1,450}, please check it"
)
_BODY_LETTERS = frozenset("Rmtpd[EuI")

_RAISED = re.compile(r"[A-Za-z_][\w.]{0,120}(?:Error|Exception|Interrupt|Exit)(?::|$)")
# Lines that make a run fail whatever follows; lines that explain a run without its timing; warnings.
_FATAL = re.compile(
    r"\[ERROR\]|\b(?:Segmentation fault|Bus error|Aborted|Illegal instruction|Floating point exception)\b"
    r"|\bcore dumped\b|\bKilled\b|terminate called|^\^C|^Input .{1,450}, please check it"
    rf"|^{_RAISED.pattern}"
)
_COMPLAINT = re.compile(
    r"(?i)fail|\berror|not (?:exist|allowed|match|found|support)|no such file|no (?:axcl )?device|denied"
    r"|unsupported|only support"
    r"|need option|undefined (?:short )?option|option needs|\bcannot |can't |out of memory|\[e\]|what\(\):"
    r"|^usage: "
)
_STATUS = re.compile(r"# exit status ([1-9]\d{0,2})")  # of a session of helpers/board: the timing counts more
_WARNING = re.compile(r"WARN,|\[WARN(?:ING)?\]|\[W\]|\w{1,60}Warning:|ERROR,Func\(__syslog_parma_cfg_get\)")


def head_family(line: str) -> str | None:
    """The family of programs that begins a run with this line: sample, run_model, pyaxengine; else None."""
    text = line.strip()
    found = _HEAD.match(text) if text[:1] in _HEAD_LETTERS else None
    return found.lastgroup if found else None


def shows_run(line: str) -> bool:
    """Whether a line by itself shows that a run was made or tried."""
    text = line.strip()
    return head_family(text) is not None or (text[:1] in _BODY_LETTERS and _BODY.match(text) is not None)


class RunReader:
    """Collects the lines of one run: `feed` until it answers False, then `finish`."""

    def __init__(self, *, source: str, command: Command | None = None) -> None:
        self._run = BoardRun(source=source, program=command.program if command else None)
        self._command = command
        self._family: str | None = None
        self._heads: set[str] = set()
        self._troubles: dict[str, bool] = {}  # what was complained of, and whether it makes the run fail
        self._announced: int | None = None
        self._height: list[int] = []  # of the input, until its width is told
        self._last = ""
        self._in_traceback = False
        self._ignored = False  # Python says that it passes over the next exception

    def feed(self, line: str) -> bool:
        """Take in one line; False if it belongs to the next run, and then it has not been taken in.

        Lines of other programs are passed over.
        """
        text = line.strip()
        family = head_family(text)
        if self._begins_another(text, family):
            return False
        if family:
            self._family = family
            self._heads.add(_kind(text))
        for pattern, take in _LINES:
            if found := pattern.match(text):
                take(self, found)
                self._last = text[:120]
                return True
        self._read_trouble(line, text[:400])
        return True

    def finish(self) -> BoardRun:
        """The record: what the command line alone says fills the gaps, and the run is judged."""
        run = self._run
        self._read_command()
        missing = self._missing_timing()
        for text, fatal in self._troubles.items():
            (run.errors if fatal or missing else run.warnings).append(text)
        if missing:
            run.errors.append(missing)
        printed = len(run.detections or ())
        if self._announced is not None and printed != self._announced:
            run.warnings.append(f"the log announces {self._announced} detections and prints {printed}")
        run.ok = not run.errors
        given: set[str | None] = {None}
        for place, error in enumerate(run.errors):
            if (advice := advise(error, "run")) not in given:
                run.errors[place] = f"{error} → {advice}"
                given.add(advice)
        return run

    def _begins_another(self, text: str, family: str | None) -> bool:
        """Whether this line can only belong to the next run, no prompt being between the two."""
        done = self._run.latency_ms.avg is not None
        if family:
            failed = not self._heads and any(map(_STILLBORN.match, self._troubles))
            again = _kind(text) in self._heads and not self._loads_a_model(text)
            return done or failed or again or self._family not in (None, family)
        if not done:
            return False
        another_result = text.startswith("topk cost time:") and bool(self._run.top_k)
        return another_result or _ANOTHER.match(text) is not None

    def _loads_a_model(self, text: str) -> bool:
        """Whether pyaxengine opens one more model for a program that has computed nothing yet.

        It prints its lines for each model, but the providers only once per program, when it is imported.
        """
        importing = text.startswith("[INFO] Available providers")
        session = text.startswith("[INFO] ") and "[INFO] Using provider" in self._heads and not importing
        return session and not self._run.top_k and not self._troubles

    def _field(self, found: re.Match[str]) -> None:
        value = found["value"].strip()
        target, _, name = _FIELDS[found["name"]].rpartition(".")
        if name in _COUNTS:
            if number := re.search(r"\d{1,15}", value):
                setattr(self._run, name, int(number[0]))
        elif name:
            setattr(self._run.versions if target else self._run, name, value or None)

    def _size(self, found: re.Match[str]) -> None:
        numbers = [int(digits) for digits in re.findall(r"\d{1,15}", found["numbers"])]
        if found["side"] == "img width":
            numbers = [*self._height, *numbers[:1]]
        self._height = numbers[:1]
        if len(numbers) == 2:
            self._run.input_size = numbers

    def _times(self, found: re.Match[str]) -> None:
        if found["repeats"]:
            self._run.repeats = int(found["repeats"])
        for name, value in _TIME.findall(found.string[:1_000]):
            setattr(self._run.latency_ms, f"p{name[:-1]}" if name.endswith("%") else name, float(value))

    def _score(self, found: re.Match[str]) -> None:
        value = _finite(found["score"])
        if value is None:
            self._warn(f"the score of class {found['id']} is printed as {found['score']}")
        if len(self._run.top_k) < _MAX_ITEMS:
            self._run.top_k.append(Score(class_id=int(found["id"]), score=value))

    def _post_process(self, found: re.Match[str]) -> None:
        self._run.post_process_ms = float(found["time"])

    def _detections(self, found: re.Match[str]) -> None:
        self._announced = int(found["count"])
        self._run.detections = self._run.detections or []

    def _box(self, found: re.Match[str]) -> None:
        box = [value for part in found["box"].split(",") if (value := _finite(part)) is not None]
        self._run.detections = detections = self._run.detections or []
        if len(box) >= 4 and len(detections) < _MAX_ITEMS:
            score = round(float(found["score"]) / 100, 9)
            name = found["name"].strip() or None
            detections.append(Detection(class_id=int(found["id"]), class_name=name, score=score, box=box))

    def _read_trouble(self, line: str, text: str) -> None:
        """Errors, complaints and warnings; inside a Python traceback only its last line counts."""
        if text.startswith("Traceback (most recent call last)"):
            self._in_traceback = True
        elif text.startswith("Exception ignored in"):
            self._ignored = True
        elif self._in_traceback and line[:1].isspace():
            pass
        elif status := _STATUS.fullmatch(text):
            number = int(status[1])
            ended = f"signal {number - 128}" if 128 < number < 160 else f"exit status {number}"
            self._troubles[f"the program ended with {ended}"] = False
        elif _WARNING.search(text):
            self._warn(text)
        elif self._ignored and self._in_traceback and _RAISED.match(text):
            self._in_traceback = self._ignored = False
            self._warn(text)
        elif (fatal := _FATAL.search(text) is not None) or _COMPLAINT.search(text):
            self._in_traceback &= not fatal
            if len(self._troubles) < _MAX_MESSAGES:
                self._troubles.setdefault(text, fatal)

    def _warn(self, text: str) -> None:
        if text not in self._run.warnings and len(self._run.warnings) < _MAX_MESSAGES:
            self._run.warnings.append(text)

    def _read_command(self) -> None:
        run, command = self._run, self._command
        if command is None:
            return
        run.model = run.model or command.option("-m", "--model", "--model-path")
        counts = {"repeats": ("-r", "--repeat"), "warmup": ("-w", "--warmup")}
        if command.program in ("ax_run_model", "axcl_run_model"):
            counts["batch"] = ("-b", "--batch")
        else:
            run.image = run.image or command.option("-i", "--image", "--image-path")
            size = re.fullmatch(r"(\d{1,6}),(\d{1,6})", command.option("-g", "--size") or "")
            if run.input_size is None and size:
                run.input_size = [int(size[1]), int(size[2])]
        for name, options in counts.items():
            digits = command.option(*options) or ""
            if getattr(run, name) is None and re.fullmatch(r"\d{1,15}", digits, re.ASCII):
                setattr(run, name, int(digits))

    def _missing_timing(self) -> str | None:
        """Why the run is not confirmed by a closing timing line; None if it is."""
        latency = self._run.latency_ms
        if None not in (latency.avg, latency.min, latency.max):
            return None
        if "axcl initializing..." in self._heads and self._run.top_k:
            return "no closing timing line: this program measures no time, so only its result is known"
        last = f"the last line understood is {self._last!r}" if self._last else "nothing was printed"
        return f"no closing timing line ('Repeat N times, …' or 'min = … avg = …'): {last}"


# The lines of a run that goes well, and what takes each of them into the record.
_LINES: tuple[tuple[re.Pattern[str], Callable[[RunReader, re.Match[str]], None]], ...] = tuple(
    (re.compile(pattern), take)
    for pattern, take in (
        (rf"(?P<name>{'|'.join(map(re.escape, _FIELDS))}) *: *(?P<value>.{{0,4096}})", RunReader._field),
        (r"(?P<side>img_h, img_w|img height|img width) *: *(?P<numbers>.{0,400})", RunReader._size),
        (rf"(?P<score>{_RAW}), *(?P<id>\d{{1,9}})$", RunReader._score),
        (rf"Class Index: *(?P<id>\d{{1,9}}), *Score: *(?P<score>{_RAW})", RunReader._score),
        (rf"{_PERCENT}(?! *\[)", RunReader._score),
        (rf"{_PERCENT}\[(?P<box>[\d., +-]{{1,400}})(?:deg|°)?\],? *(?P<name>.{{0,200}})", RunReader._box),
        (rf"post process cost time: *(?P<time>{_NUMBER}) *ms", RunReader._post_process),
        (_TIMING.pattern, RunReader._times),
        (r"detection num: *(?P<count>\d{1,9})", RunReader._detections),
        (r"Engine (?:creating|get|alloc|push) .{1,40} is done\.|infer model, total \d", lambda *_: None),
        (_HEAD.pattern, lambda *_: None),
    )
)
_ANOTHER = re.compile(rf"Repeat +\d{{1,15}} +times?\b|min =|{_STILLBORN.pattern}")


def _kind(head: str) -> str:
    """What kind of head a line is: two of a kind cannot belong to one run."""
    return re.split(r"[:{]|\d", head, maxsplit=1)[0]


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
