"""The records that `parse-log` prints: a run on the board, a build, and a text with neither.

`asdict` of one is its JSON: keys and meaning are the same. What a log does not say is None.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Latency:
    """Milliseconds per run of the model as printed."""

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

    `box` is [left, top, right, bottom] in pixels of the input image; a turned one is [x, y, width, height,
    degrees], as the program prints it.
    """

    class_id: int
    class_name: str | None
    score: float
    box: list[float]


@dataclass(slots=True)
class BoardRun:
    """One run of a model on the board, or the attempt."""

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
    post_process_ms: float | None = None  # on the CPU, after the run: boxes, and which of them stay
    top_k: list[Score] = field(default_factory=list)
    detections: list[Detection] | None = None  # None: the program is no detector
    npu_type: str | None = None
    batch: int | None = None  # as printed; 0 means that the engine chooses
    cmm_bytes: int | None = None
    versions: Versions = field(default_factory=Versions)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PrecisionRow:
    """One layer of the precision table: how near the quantised output is to the float one.

    `dtype` is the column DType (Data Type up to 1.9). A number that the table's width cuts short is None.
    """

    operator: str
    type: str | None
    output: str | None
    shape: list[int] | None
    dtype: str | None
    cosine: float | None
    mse: float | None


@dataclass(slots=True)
class Subgraphs:
    """How many parts of the graph run on the NPU, and how many on the CPU."""

    npu: int | None = None
    cpu: int | None = None


@dataclass(frozen=True, slots=True)
class BuildError:
    """Pulsar2's error code and its number, the innermost exception with its message, and what to do."""

    code: str | None
    number: int | None
    exception: str | None
    message: str | None
    advice: str | None


@dataclass(slots=True)
class BuildLog:
    """One build of a model, or the attempt."""

    source: str
    kind: Literal["build"] = "build"
    ok: bool = False
    macs: int | None = None
    max_cycles: list[int] = field(default_factory=list)  # one per batch size, in the order printed
    batches: list[int] = field(default_factory=list)
    subgraphs: Subgraphs = field(default_factory=Subgraphs)
    precision: list[PrecisionRow] = field(default_factory=list)
    error: BuildError | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Unknown:
    """A text in which no board run and no build was found, and what it shows instead."""

    source: str
    kind: Literal["unknown"] = "unknown"
    ok: bool = False
    errors: list[str] = field(default_factory=list)
