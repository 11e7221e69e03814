"""Reads what a program on the board printed about one run of a model.

Serves the C++ samples (`sample_npu_*`, `ax_*`), `ax_run_model`, `axcl_run_model`, `axcl_sample_*` and
pyaxengine's `classification.py`.
"""

import math
import re

from helpers.logs.command_line import Command
from helpers.logs.failures import advise
from helpers.logs.run_lines import (
    CLASS_INDEX,
    COMPLAINT,
    DETECTIONS,
    FATAL,
    FIELD,
    INFO,
    PERCENT,
    RAISED,
    REPEAT,
    REPEAT_TIME,
    RULE,
    SCORE,
    STATISTIC,
    STATISTICS,
    STILLBORN,
    WARNING,
    head_family,
    head_key,
    is_step,
)
from helpers.logs.run_record import BoardRun, Detection, Score

__all__ = ["BoardRun", "RunReader"]

_MAX_ITEMS = 1_000  # scores and boxes kept per run: a real log has dozens
_MAX_MESSAGES = 100
_FIELD_LETTERS = frozenset("mitvarwbpec")
_SCORE_LETTERS = frozenset("0123456789-ni")


class RunReader:
    """Collects the lines of one run: `begins_another`, else `feed`, for each line; then `finish`."""

    def __init__(self, *, source: str, command: Command | None = None, inherited: bool = False) -> None:
        """`inherited`: the command line belongs to an earlier run, so only its program holds for this one."""
        self._run = BoardRun(source=source, program=command.program if command else None)
        self._command = None if inherited else command
        self._family: str | None = None
        self._heads: set[str] = set()
        self._troubles: dict[str, bool] = {}  # what was complained of, and whether it makes the run fail
        self._announced: int | None = None
        self._height: list[int] = []  # of the input, until its width is told
        self._last = ""
        self._in_traceback = False
        self._ignored = False  # Python says that it passes over the next exception

    def begins_another(self, line: str) -> bool:
        """Whether this line can only belong to the next run, no prompt being between the two."""
        text = line.strip()
        done = self._run.latency_ms.avg is not None
        if family := head_family(text):
            failed = not self._heads and any(map(STILLBORN.match, self._troubles))
            again = head_key(text) in self._heads and not self._loads_a_model(text)
            return done or failed or again or self._family not in (None, family)
        if done:
            return bool(
                REPEAT.match(text)
                or text.startswith("min =")
                or (text.startswith("topk cost time:") and self._run.top_k)
                or STILLBORN.match(text)
            )
        return False

    def _loads_a_model(self, text: str) -> bool:
        """Whether pyaxengine opens one more model for a program that has computed nothing yet.

        It prints its lines for each model, but the providers only once per program, when it is imported.
        """
        importing = text.startswith("[INFO] Available providers")
        session = text.startswith("[INFO] ") and "[INFO] Using provider" in self._heads and not importing
        return session and not self._run.top_k and not self._troubles

    def feed(self, line: str) -> None:
        """Take in one line of the run's output; lines of other programs are passed over."""
        text = line.strip()
        if not text:
            return
        if RULE.match(text):
            return
        if family := head_family(text):
            self._family = family
            self._heads.add(head_key(text))
        if self._read_result(text):
            self._last = text[:120]
        else:
            self._read_trouble(line, text)

    def finish(self) -> BoardRun:
        """The record: what the command line alone says fills the gaps, and the verdict is spoken."""
        run = self._run
        self._read_command()
        missing = self._missing_timing()
        for text, fatal in self._troubles.items():
            (run.errors if fatal or missing else run.warnings).append(text)
        if missing:
            run.errors.append(missing)
        if self._announced is not None and len(run.detections or ()) != self._announced:
            run.warnings.append(
                f"the log announces {self._announced} detections and prints {len(run.detections or ())}"
            )
        run.ok = not run.errors
        run.errors = _with_advice(run.errors)
        return run

    def _read_result(self, text: str) -> bool:
        """Values and steps of a run that goes well; True if the line was one of them."""
        run = self._run
        first = text[0]
        if first in _FIELD_LETTERS and (found := FIELD.match(text)):
            self._read_field(found[1], found[2].strip())
        elif first in _SCORE_LETTERS and (found := SCORE.match(text)):
            self._add_score(found[2], found[1])
        elif first.isdigit() and (found := PERCENT.match(text)):
            if found["box"] is None:
                self._add_score(found["id"], found["score"])
            else:
                self._add_box(found)
        elif found := STATISTICS.match(text):
            for name, value in STATISTIC.findall(text[:1_000]):
                setattr(run.latency_ms, f"p{name[:-1]}" if name.endswith("%") else name, float(value))
        elif found := REPEAT.match(text):
            run.repeats = int(found[1])
            for name, value in REPEAT_TIME.findall(text[:1_000]):
                setattr(run.latency_ms, name, float(value))
        elif found := INFO.match(text):
            if found[1] == "Engine version":
                run.versions.engine = found[2].strip()
            elif found[1] == "Compiler version":
                run.versions.pulsar2 = found[2].strip()
            elif found[1] == "Model type":
                run.npu_type = found[2].strip()
        elif found := CLASS_INDEX.match(text):
            self._add_score(found[1], found[2])
        elif found := DETECTIONS.match(text):
            self._announced = int(found[1])
            run.detections = run.detections or []
        else:
            return is_step(text) or head_family(text) is not None
        return True

    def _read_field(self, name: str, value: str) -> None:
        run = self._run
        numbers = [int(digits) for digits in re.findall(r"\d{1,15}", value)]
        if name in ("model", "model file"):
            run.model = value or None
        elif name == "image file":
            run.image = value or None
        elif name == "img_h, img_w" and len(numbers) == 2:
            run.input_size = numbers
        elif name == "img height":
            self._height = numbers[:1]
        elif name == "img width" and numbers and self._height:
            run.input_size = [*self._height, numbers[0]]
        elif name == "type":
            run.npu_type = value or None
        elif name in ("repeat", "warmup", "batch", "cmm size") and numbers:
            setattr(run, {"repeat": "repeats", "cmm size": "cmm_bytes"}.get(name, name), numbers[0])
        elif name.endswith(" ver"):
            setattr(
                run.versions,
                {"pulsar2 ver": "pulsar2", "tool ver": "tool"}.get(name, "engine"),
                value or None,
            )

    def _add_score(self, class_id: str, score: str) -> None:
        value = _finite(score)
        if value is None:
            self._warn(f"the score of class {class_id} is printed as {score}")
        if len(self._run.top_k) < _MAX_ITEMS:
            self._run.top_k.append(Score(class_id=int(class_id), score=value))

    def _add_box(self, found: re.Match[str]) -> None:
        box = [value for part in found["box"].split(",") if (value := _finite(part)) is not None]
        detections = self._run.detections = self._run.detections if self._run.detections is not None else []
        if len(box) >= 4 and len(detections) < _MAX_ITEMS:
            score = round(float(found["score"]) / 100, 9)
            name = found["name"].strip() or None
            detections.append(Detection(class_id=int(found["id"]), class_name=name, score=score, box=box))

    def _read_trouble(self, line: str, text: str) -> None:
        """Errors, complaints and warnings; inside a Python traceback only its last line counts."""
        text = text[:400]
        if text.startswith("Traceback (most recent call last)"):
            self._in_traceback = True
        elif text.startswith("Exception ignored in"):
            self._ignored = True
        elif self._in_traceback and line[:1].isspace():
            return
        elif WARNING.search(text):
            self._warn(text)
        elif self._ignored and self._in_traceback and RAISED.match(text):
            self._in_traceback = self._ignored = False
            self._warn(text)
        elif FATAL.search(text):
            self._in_traceback = False
            self._complain(text, fatal=True)
        elif COMPLAINT.search(text):
            self._complain(text, fatal=False)

    def _complain(self, text: str, *, fatal: bool) -> None:
        if len(self._troubles) < _MAX_MESSAGES:
            self._troubles.setdefault(text, fatal)

    def _warn(self, text: str) -> None:
        if text not in self._run.warnings and len(self._run.warnings) < _MAX_MESSAGES:
            self._run.warnings.append(text)

    def _read_command(self) -> None:
        run, command = self._run, self._command
        if command is None:
            return
        measures = command.program in ("ax_run_model", "axcl_run_model")
        run.model = run.model or command.option("-m", "--model", "--model-path")
        run.repeats = _first(run.repeats, _count(command.option("-r", "--repeat")))
        run.warmup = _first(run.warmup, _count(command.option("-w", "--warmup")))
        if measures:
            run.batch = _first(run.batch, _count(command.option("-b", "--batch")))
            return
        run.image = run.image or command.option("-i", "--image", "--image-path")
        size = re.fullmatch(r"(\d{1,6}),(\d{1,6})", command.option("-g", "--size") or "")
        if run.input_size is None and size:
            run.input_size = [int(size[1]), int(size[2])]

    def _missing_timing(self) -> str | None:
        """Why the run is not confirmed by a closing timing line; None if it is."""
        latency = self._run.latency_ms
        if None not in (latency.avg, latency.min, latency.max):
            return None
        if "axcl initializing..." in self._heads and self._run.top_k:
            return "no closing timing line: this program measures no time, so only its result is known"
        statistics = self._family in ("run_model", "pyaxengine") or (self._run.program or "").endswith(
            "run_model"
        )
        expected = "'min = … max = … avg = …'" if statistics else "'Repeat N times, …'"
        seen = (
            f"the last line understood is {self._last!r}" if self._last else "nothing of the run was printed"
        )
        return f"no closing timing line ({expected}): {seen}"


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,15}", text, re.ASCII) else None


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


def _with_advice(errors: list[str]) -> list[str]:
    """The errors, the first that an advice fits followed by it."""
    given: set[str] = set()
    texts = []
    for error in errors:
        advice = advise(error, "run")
        texts.append(f"{error} → {advice}" if advice and advice not in given else error)
        given.add(advice or "")
    return texts
