"""From a PyTorch model to the simplified ONNX file that Pulsar2 gets, through gates that must hold.

`board_ready` is chapter 05 as one call: fold, export, simplify, check, compare, and only then move the files
into place, beside an `export.json` that says what they were made from.
"""

import contextlib
import importlib.metadata
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import onnxsim
import torch
from torch import nn
from torch.jit import TracerWarning  # type: ignore[attr-defined]

from helpers.artifacts import file_hash
from helpers.graph.fold import FOLDS, Fold, fold
from helpers.graph.made_from import MadeFrom, code_hash
from helpers.graph.preprocess import BoardInput, Preprocessing, for_board, mark
from helpers.model import weights
from helpers.model.memory import release_memory
from helpers.model.reference import mean_and_std
from helpers.model.variants import INPUT_SIZE, variant

OPSETS = range(11, 19)  # AX650 starts at 11 (Pulsar2 docs, op_support_list_ax650); above 18 nothing was tried
PARITY_LIMIT = 1e-4  # largest |Δ| of the logits, in units of their standard deviation


class GateFailed(RuntimeError):
    """An artifact did not pass its gate, so the next stage may not start; nothing was written."""


@dataclass(frozen=True)
class Exported:
    """The gated files of one export. `parity`: max |Δ logits| against PyTorch over their spread."""

    made_from: MadeFrom
    plain: Path
    simplified: Path
    nodes_plain: int
    nodes_simplified: int
    parity: float


def to_onnx(model: nn.Module, path: Path, *, opset: int = 11, batch: int = 1) -> onnx.ModelProto:
    """Traces `model` into `path`: `input` (batch, 3, 224, 224) float32 to `logits` (batch, classes).

    The TorchScript exporter is named on purpose: the newer one writes opset 18 when asked for 11.
    Raises ValueError for an opset or a batch that is not served.
    """
    _check_served(opset=opset, batch=batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the exporter is chosen, see above
        warnings.simplefilter("ignore", TracerWarning)  # timm branches on the input size, which is fixed
        torch.onnx.export(
            model,
            (torch.zeros(batch, 3, INPUT_SIZE, INPUT_SIZE),),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=["input"],
            output_names=["logits"],
        )
    return onnx.load(path)


def _check_served(*, opset: int, batch: int) -> None:
    if opset not in OPSETS:
        raise ValueError(f"opset {opset} is not served: choose one from {OPSETS.start} to {OPSETS.stop - 1}")
    if batch < 1:
        raise ValueError(f"batch {batch} is not a batch size: choose 1 or more")


def simplify(graph: onnx.ModelProto) -> onnx.ModelProto:
    """onnxsim's simplification: constants folded, size arithmetic gone. Its chatter is dropped.

    Every attribute is written out, also at its default: builds failed where one was left to it
    (onnxsim/onnxsim, scripts/axera/README.md).
    """
    with _quiet_stderr():
        simplified, agrees = onnxsim.simplify(graph)
    if not agrees:
        raise GateFailed("onnxsim's own comparison failed: compile the file before simplification instead")
    opset = simplified.opset_import[0].version
    for node in simplified.graph.node:
        written = {attribute.name for attribute in node.attribute} | {"auto_pad"}  # pads stand there
        for name, attribute in onnx.defs.get_schema(node.op_type, opset, node.domain).attributes.items():
            if attribute.default_value.type and name not in written:
                node.attribute.append(attribute.default_value)
    return cast(onnx.ModelProto, simplified)


def check(graph: onnx.ModelProto, *, opset: int) -> None:
    """The structural gate: valid ONNX, the opset asked for and no other, static shapes at both ends."""
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GateFailed(f"onnx's checker refuses the graph: {error}") from error
    written = {entry.domain or "ai.onnx": entry.version for entry in graph.opset_import}
    if written != {"ai.onnx": opset}:
        raise GateFailed(f"opset {opset} was asked for, the file says {written}")
    for value in [*graph.graph.input, *graph.graph.output]:
        sizes = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        if 0 in sizes:
            raise GateFailed(f"{value.name} has a dynamic shape {sizes}: Pulsar2 wants static ones")


@dataclass(frozen=True)
class Reference:
    """What PyTorch says: random images (n, 3, 224, 224) and the model's logits (n, classes), float32."""

    pixels: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]


def reference(model: nn.Module, *, images: int = 4, seed: int = 0) -> Reference:
    """The model's logits on `images` random images; after it the model may go."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(images, 3, INPUT_SIZE, INPUT_SIZE, generator=generator)
    with torch.inference_mode():
        return Reference(pixels.numpy(), model(pixels).numpy())


def parity(expected: Reference, session: onnxruntime.InferenceSession) -> float:
    """max |Δ logits| between PyTorch and ONNX Runtime over the standard deviation of PyTorch's.

    The reference must hold a multiple of the session's batch.
    """
    runs = len(expected.pixels) // session.get_inputs()[0].shape[0]
    got = np.concatenate([session.run(None, {"input": part})[0] for part in np.split(expected.pixels, runs)])
    return float(np.abs(got - expected.logits).max() / expected.logits.std())


def cpu_session(graph: bytes | str, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on this CPU, for a model's bytes or its path."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # the arena keeps what a few runs do not need
    options.intra_op_num_threads = threads
    if not int8_instructions():
        options.add_session_config_entry("session.x64quantprecision", "1")  # else its 8-bit sums saturate
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def session_of(graph: onnx.ModelProto, *more: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session on one thread for a graph in memory and what `more` adds to it, by way of a file.

    Messages written one after the other are read as one, and memory holds no third copy of the weights.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "graph.onnx")
        with path.open("wb") as file:
            for message in (graph, *more):
                file.write(message.SerializeToString())
        return cpu_session(str(path))


@cache
def int8_instructions() -> str:
    """This CPU's instructions for products of 8-bit numbers, as /proc/cpuinfo names them; "" for none."""
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text(errors="replace").split()) if cpuinfo.is_file() else set()
    return ", ".join(sorted(words & {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}))


def board_ready(
    name: str,
    out: Path,
    *,
    checkpoint: str | Path | None = None,
    opset: int = 11,
    batch: int = 1,
    board_input: BoardInput = "rgb",
    folds: tuple[Fold, ...] = FOLDS,
) -> Exported:
    """Writes `model.onnx`, `model-sim.onnx` and `export.json` into `out`, or returns those already there.

    `board_input` is the channel order that the graph takes; its first convolution is permuted to it, and the
    simplified file says so in its metadata. Files are used again only while `made_from` and hashes match.
    Raises GateFailed, writing nothing, when a gate does not hold; UnknownModel; what `weights.load` raises.
    """
    variant(name)
    _check_served(opset=opset, batch=batch)
    made_from = MadeFrom(
        model=name,
        weights=weights.describe(checkpoint),
        opset=opset,
        batch=batch,
        board_input=board_input,
        folds=folds,
        versions={
            package: importlib.metadata.version(package) for package in ("torch", "timm", "onnx", "onnxsim")
        },
        code=code_hash(),
    )
    if made := _read(out, made_from):
        return made
    trained = weights.load(name, checkpoint)
    mean, std = mean_and_std(trained)
    preprocessing = Preprocessing.of(mean=mean, std=std, board_input=board_input)
    model = for_board(trained, board_input)
    expected = reference(model, images=4 * batch)
    folded = fold(model, folds=folds)
    del trained, model  # memory: a learner has 2 GB
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as scratch:
        plain_path, simplified_path = Path(scratch, "model.onnx"), Path(scratch, "model-sim.onnx")
        plain = to_onnx(folded, plain_path, opset=opset, batch=batch)
        nodes_plain = len(plain.graph.node)
        del folded
        release_memory()
        simplified = simplify(plain)
        del plain  # memory, as above
        release_memory()
        mark(simplified, preprocessing)
        onnx.save(simplified, simplified_path)
        check(simplified, opset=opset)
        distance = parity(expected, cpu_session(str(simplified_path)))
        if not distance <= PARITY_LIMIT:  # not >: NaN must fail
            raise GateFailed(
                f"ONNX and PyTorch differ by {distance:.1e} standard deviations (limit {PARITY_LIMIT:.0e})"
            )
        exported = Exported(
            made_from=made_from,
            plain=out / "model.onnx",
            simplified=out / "model-sim.onnx",
            nodes_plain=nodes_plain,
            nodes_simplified=len(simplified.graph.node),
            parity=distance,
        )
        report = Path(scratch, "export.json")
        report.write_text(json.dumps(_as_json(exported, Path(scratch)), indent=1) + "\n", encoding="utf-8")
        for path in (plain_path, simplified_path, report):  # the report last: it vouches for the other two
            path.replace(out / path.name)
    return exported


def _as_json(exported: Exported, folder: Path) -> dict[str, object]:
    files = {name: file_hash(folder / name) for name in ("model.onnx", "model-sim.onnx")}
    return {
        "made_from": asdict(exported.made_from),
        "nodes_plain": exported.nodes_plain,
        "nodes_simplified": exported.nodes_simplified,
        "parity": exported.parity,
        "sha256": files,
    }


def _read(out: Path, made_from: MadeFrom) -> Exported | None:
    """The export already in `out`, if it was made from this and its files are still what they were."""
    try:
        said = json.loads((out / "export.json").read_text(encoding="utf-8"))
        if MadeFrom(**said["made_from"] | {"folds": tuple(said["made_from"]["folds"])}) != made_from:
            return None
        if any(file_hash(out / name) != digest for name, digest in said["sha256"].items()):
            return None
        plain, simplified = out / "model.onnx", out / "model-sim.onnx"
        return Exported(
            made_from, plain, simplified, said["nodes_plain"], said["nodes_simplified"], said["parity"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drops what C++ code writes to file descriptor 2 meanwhile; Python's exceptions still come through."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
