"""The records of one run of a model on the board, and of a text without any."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(slots=True)
class Latency:
    """Milliseconds per run of the model as printed; what the log does not print is None."""

    avg: float | None = None
    min: float | None = None
    max: float | None = None
    median: float | None = None
    p5: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(slots=True)
class Versions:
    """As printed: the model's compiler, the engine (`axclrt ver` on a PCIe host), the run tool."""

    pulsar2: str | None = None
    engine: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One line of a top-k: the raw value as printed, a logit unless the network ends in a softmax."""

    class_id: int
    score: float | None


@dataclass(frozen=True, slots=True)
class Detection:
    """One detected object, as printed except that the score, printed in percent, is from 0 to 1.

    `box` is [left, top, right, bottom] in pixels of the input image.
    """

    class_id: int
    class_name: str | None
    score: float
    box: list[float]


@dataclass(slots=True)
class BoardRun:
    """One run of a model on the board, or the attempt; keys and meaning are those of `parse-log`'s output."""

    source: str
    kind: Literal["board_run"] = "board_run"
    program: str | None = None
    ok: bool = False
    model: str | None = None
    image: str | None = None
    input_size: list[int] | None = None  # [height, width] in pixels
    repeats: int | None = None
    warmup: int | None = None
    latency_ms: Latency = field(default_factory=Latency)
    top_k: list[Score] = field(default_factory=list)
    detections: list[Detection] | None = None  # None: the program is no detector
    npu_type: str | None = None
    batch: int | None = None  # as printed; 0 means that the engine chooses
    cmm_bytes: int | None = None
    versions: Versions = field(default_factory=Versions)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The record as plain data with exactly the keys of the `parse-log` contract."""
        return asdict(self)


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
