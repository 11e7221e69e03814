"""What INT8 costs, measured before the compiler sees the graph: by layer, by group, and the remedy.

The measure of a whole graph is its noise: the mean squared error of its logits over their variance. 0.01
means that rounding adds a hundredth of what the logits themselves vary by.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from tqdm.auto import tqdm

from helpers.artifacts import file_hash
from helpers.files import replacing
from helpers.graph.export import session_of
from helpers.graph.made_from import code_hash
from helpers.model.memory import release_memory
from helpers.pulsar2.pulsar2_quant import LayerConfig
from helpers.quant.quantize import MOVING, WEIGHTED, Observed, calibrate, quantize
from helpers.quant.ranges import Method, Runs, Values

WORTHWHILE = 0.85  # an entry of layer_configs must bring the noise to this share of what it was
FEW = 3  # entries of layer_configs at most


@dataclass(frozen=True)
class LayerLoss:
    """How far one operator's output is from float: cosine (1 is the same direction) and mean squared error.

    Every operator before it is rounded too, as in Pulsar2's end-to-end analysis.
    """

    operator: str
    type: str
    cosine: float
    mse: float


@dataclass(frozen=True)
class Choice:
    """One step towards the mixed graph: the kind that got 16 bits, and the noise then."""

    op_type: str
    noise: float


def logits(graph: onnx.ModelProto, pictures: Sequence[Values]) -> npt.NDArray[np.float32]:
    """What the graph says to each picture (float32 [1, 3, h, w]): [n, classes]."""
    session = session_of(graph)
    return np.concatenate([session.run(None, {"input": picture})[0] for picture in pictures])


def noise(found: npt.NDArray[np.float32], exact: npt.NDArray[np.float32]) -> float:
    """Mean squared error of logits over the variance of the exact ones."""
    return float(np.mean((found - exact) ** 2) / np.var(exact))


def groups(graph: onnx.ModelProto) -> dict[str, list[str]]:
    """The operators that compute, by what they are for: names of nodes, each in one group."""
    found: dict[str, list[str]] = {}
    for node in graph.graph.node:
        if node.op_type not in MOVING:
            found.setdefault(_group(node, first="first convolution" not in found), []).append(node.name)
    return found


def _group(node: onnx.NodeProto, *, first: bool) -> str:
    if node.op_type == "Conv":
        if first:
            return "first convolution"
        split = any(entry.name == "group" and entry.i > 1 for entry in node.attribute)
        return "depth-wise convolutions" if split else "other convolutions"
    named = {"MatMul": "attention products", "Softmax": "softmax", "Add": "additions", "Gemm": "head"}
    return named.get(node.op_type, "the rest")


def layer_losses(
    graph: onnx.ModelProto, quantized: onnx.ModelProto, pictures: Sequence[Values]
) -> list[LayerLoss]:
    """Every rounded output against the float graph's, over `pictures`, in the order of the graph."""
    outputs = {value.name for value in graph.graph.output}
    rounded = {name for node in quantized.graph.node for name in node.output}
    writer = {
        name: node
        for node in graph.graph.node
        if node.op_type not in MOVING
        for name in node.output
        if f"{name}_rounded" in rounded or name in outputs
    }
    after = {name: name if name in outputs else f"{name}_rounded" for name in writer}
    exact_runs, rounded_runs = Runs(graph, list(writer)), Runs(quantized, list(after.values()))
    sums = {name: np.zeros(4) for name in writer}  # exact·rounded, exact², rounded², error²
    sizes = dict.fromkeys(writer, 0)
    for picture in tqdm(pictures, desc="layers", unit="picture", leave=False):
        exact, found = exact_runs(picture), rounded_runs(picture)
        for name, other in after.items():
            a, b = exact[name].astype(np.float64).ravel(), found[other].astype(np.float64).ravel()
            sums[name] += (a @ b, a @ a, b @ b, (a - b) @ (a - b))
            sizes[name] += a.size
    return [
        LayerLoss(
            operator=node.name,
            type=node.op_type,
            cosine=_cosine(*sums[name]),
            mse=float(sums[name][3] / sizes[name]),
        )
        for name, node in writer.items()
    ]


def _cosine(product: float, exact: float, rounded: float, error: float) -> float:
    """Of two tensors by their sums of products; 1 where both are zero everywhere, and so point nowhere."""
    return float(product / (np.sqrt(exact * rounded) or 1.0)) if error else 1.0


def reached(graph: onnx.ModelProto, *op_types: str) -> list[str]:
    """The nodes that an `op_types` entry of these kinds can be counted on to reach.

    Not the addition of a constant behind a MatMul (onnxsim/onnxsim, scripts/axera/u16_chain.py), and not a
    ReLU that is fused into its convolution.
    """
    constants = {entry.name for entry in graph.graph.initializer}
    writer = {name: node.op_type for node in graph.graph.node for name in node.output}

    def fused(node: onnx.NodeProto) -> bool:
        behind = {writer.get(name) for name in node.input}
        if node.op_type == "Add":
            return "MatMul" in behind and bool(constants & set(node.input))
        return node.op_type == "Relu" and "Conv" in behind

    return [node.name for node in graph.graph.node if node.op_type in op_types and not fused(node)]


def choose(
    observed: Observed,
    pictures: Sequence[Values],
    *,
    method: Method = "MinMax",
) -> tuple[float, list[Choice]]:
    """The noise of plain INT8 on `pictures`, and the few kinds of operators that are worth 16 bits.

    Greedy: in each step the kind that lowers the noise most, as long as it is WORTHWHILE. Convolutions and
    the head are no candidates: they hold nearly all multiplications, and 16-bit chains took about 2.5 times
    the time on a board (onnxsim/onnxsim, docs/axera-step-runner.md).
    """
    exact = logits(observed.graph, pictures)

    def measured(kinds: Collection[str]) -> float:
        wide = reached(observed.graph, *kinds)
        return noise(logits(quantize(observed, method=method, wide=wide), pictures), exact)

    kinds = sorted({node.op_type for node in observed.graph.graph.node} - MOVING - WEIGHTED)
    plain = now = measured([])
    chosen: list[Choice] = []
    while len(chosen) < min(FEW, len(kinds)):
        before = [choice.op_type for choice in chosen]
        left = [kind for kind in kinds if kind not in before]
        tried = {
            kind: measured([*before, kind]) for kind in tqdm(left, desc="16 bits for one kind", leave=False)
        }
        best = min(tried, key=lambda kind: tried[kind])
        if tried[best] > WORTHWHILE * now:
            break
        now = tried[best]
        chosen.append(Choice(best, now))
    return plain, chosen


def layer_configs(chosen: Sequence[Choice]) -> list[LayerConfig]:
    """The choice as Pulsar2 reads it: one entry that names all kinds.

    By ONNX's names, which work; those of Pulsar2's fused operators are ignored without a word
    (onnxsim/onnxsim, pull request 1303).
    """
    if not chosen:
        return []
    return [LayerConfig(op_types=tuple(choice.op_type for choice in chosen), data_type="U16")]


@dataclass(frozen=True)
class Rehearsal:
    """One rehearsal: noise of plain INT8 and of the mixed graph, every layer, and what Pulsar2 is told."""

    noise: float
    noise_mixed: float
    layers: tuple[LayerLoss, ...]
    layer_configs: tuple[LayerConfig, ...]
    quantized: Path


def rehearse(graph: Path, out: Path, *, pictures: Sequence[Values], method: Method = "MinMax") -> Rehearsal:
    """Writes `model-int8.onnx` and `rehearsal.json` into `out`, or returns what is there of the same inputs.

    Of the `pictures` (float32 [1, 3, h, w], two or more) the last fifth measures, the others set the ranges.
    Raises ValueError for fewer.
    """
    if len(pictures) < 2:
        raise ValueError(f"{len(pictures)} pictures: a rehearsal needs two or more")
    held_out = pictures[len(pictures) - max(1, len(pictures) // 5) :]
    calibration = pictures[: len(pictures) - len(held_out)]
    made_from = {
        "graph": file_hash(graph),
        "pictures": hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest(),
        "method": method,
        "onnxruntime": importlib.metadata.version("onnxruntime"),
        "code": code_hash(),
    }
    report, quantized_path = out / "rehearsal.json", out / "model-int8.onnx"
    if made := _read(report, quantized_path, made_from):
        return made
    model = onnx.load(graph)
    observed = calibrate(model, calibration)
    plain = quantize(observed, method=method)
    release_memory()
    now, chosen = choose(observed, held_out, method=method)
    release_memory()
    made = Rehearsal(
        noise=now,
        noise_mixed=chosen[-1].noise if chosen else now,
        layers=tuple(layer_losses(model, plain, held_out)),
        layer_configs=tuple(layer_configs(chosen)),
        quantized=quantized_path,
    )
    with replacing(quantized_path) as temporary:
        onnx.save(plain, temporary)
    said = {
        "made_from": made_from | {"quantized": file_hash(quantized_path)},
        "noise": made.noise,
        "noise_mixed": made.noise_mixed,
        "layers": [asdict(layer) for layer in made.layers],
        "layer_configs": [entry.model_dump(exclude_unset=True) for entry in made.layer_configs],
    }
    with replacing(report) as temporary:  # last: it vouches for the graph
        temporary.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return made


def _read(report: Path, quantized: Path, made_from: dict[str, str]) -> Rehearsal | None:
    """The rehearsal already there, if it was made from the same inputs and its graph is still what it was."""
    try:
        said = json.loads(report.read_text(encoding="utf-8"))
        if said["made_from"] != made_from | {"quantized": file_hash(quantized)}:
            return None
        return Rehearsal(
            noise=said["noise"],
            noise_mixed=said["noise_mixed"],
            layers=tuple(LayerLoss(**layer) for layer in said["layers"]),
            layer_configs=tuple(LayerConfig(**entry) for entry in said["layer_configs"]),
            quantized=quantized,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
