"""What INT8 costs, measured before the compiler sees the graph: by layer, by group, and the remedy.

Fake quantisation: the graph runs in float32 with Pulsar2's rounding written into it.
"""

import statistics
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import onnx
from tqdm.auto import tqdm

from helpers.artifacts import Facts
from helpers.graph import session
from helpers.graph.graph import Graph
from helpers.graph.metrics import cosine, mean_nsr
from helpers.model.memory import release_memory
from helpers.quant.params import Values
from helpers.quant.quantize import MOVING, WEIGHTED, Calibration, calibrate, inside, quantize
from helpers.quant.statistics import TensorReader

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


def outputs(graph: onnx.ModelProto, pictures: Sequence[Values]) -> list[npt.NDArray[np.float32]]:
    """What the graph says to each picture (float32 [1, 3, h, w]): each output [n, …]."""
    return session.said(session.session_of(graph), pictures)


def logits(graph: onnx.ModelProto, pictures: Sequence[Values]) -> npt.NDArray[np.float32]:
    """The first of `outputs`: [n, classes]."""
    return outputs(graph, pictures)[0]


def groups(graph: onnx.ModelProto) -> dict[str, list[str]]:
    """The operators that compute, by what they are for: names of nodes, each in one group."""
    index, found = Graph(graph), dict[str, list[str]]()
    named = {"MatMul": "attention products", "Softmax": "softmax", "Add": "additions", "Gemm": "head"}
    for node in index.nodes:
        if node.op_type in MOVING:
            continue
        group = named.get(node.op_type, "the rest")
        if node.op_type == "Conv":
            split = index.attribute(node, "group", 1) > 1
            group = "depth-wise convolutions" if split else "other convolutions"
            group = group if "first convolution" in found else "first convolution"
        found.setdefault(group, []).append(node.name)
    return found


def layer_losses(
    graph: onnx.ModelProto, quantized: onnx.ModelProto, pictures: Sequence[Values]
) -> list[LayerLoss]:
    """Every rounded output against the float graph's, over `pictures`, in the order of the graph."""
    index, outputs = Graph(graph), {value.name for value in graph.graph.output}
    rounded = {name for node in quantized.graph.node for name in node.output}
    after = {  # each tensor, and its rounded twin
        name: name if name in outputs else f"{name}_rounded"
        for name, node in index.writer.items()
        if node.op_type not in MOVING and (name in outputs or f"{name}_rounded" in rounded)
    }
    exact_runs, rounded_runs = TensorReader(graph, list(after)), TensorReader(quantized, list(after.values()))
    sums = {name: np.zeros(4) for name in after}  # exact·rounded, exact², rounded², error²
    sizes = dict.fromkeys(after, 0)
    for picture in tqdm(pictures, desc="layers", unit="picture", leave=False):
        exact, other = exact_runs(picture), rounded_runs(picture)
        for name, twin in after.items():
            read = exact.pop(name), other.pop(twin)  # a learner has 2 GB of memory
            a, b = (values.astype(np.float64).ravel() for values in read)
            products = ((a, b), (a, a), (b, b), (a - b, a - b))
            sums[name] += [np.einsum("i,i", *pair) for pair in products]  # `@` would wait for its threads
            sizes[name] += a.size
    return [
        LayerLoss(
            operator=index.writer[name].name,
            type=index.writer[name].op_type,
            cosine=cosine(*found),
            mse=float(found[3] / sizes[name]),
        )
        for name, found in sums.items()
    ]


def reached(graph: onnx.ModelProto, *op_types: str) -> list[str]:
    """The nodes that an `op_types` entry of these kinds can be counted on to reach.

    Not the addition of a constant behind a MatMul (onnxsim/onnxsim, scripts/axera/u16_chain.py), and not an
    activation that is fused into its convolution.
    """
    index = Graph(graph)
    within = inside(index)

    def fused(node: onnx.NodeProto) -> bool:
        behind = {index.writer[name].op_type for name in node.input if name in index.writer}
        if node.op_type == "Add":
            return "MatMul" in behind and any(name in index.constants for name in node.input)
        return any(name in within for name in node.input)

    return [node.name for node in index.nodes if node.op_type in op_types and not fused(node)]


def choose(calibration: Calibration, pictures: Sequence[Values]) -> list[str]:
    """The few kinds of operators that are worth 16 bits on `pictures`.

    Each kind is tried alone; of the best FEW, one after the other is added if that is WORTHWHILE.
    Convolutions and the head are no candidates: they hold nearly all multiplications, and 16-bit chains took
    about 2.5 times the time on a board (onnxsim/onnxsim, docs/axera-step-runner.md).
    """
    graph = calibration.graph
    exact = outputs(graph, pictures)

    def measured(kinds: Collection[str]) -> float:
        rounded = quantize(calibration, int16_nodes=reached(graph, *kinds))
        return mean_nsr(outputs(rounded, pictures), exact)

    candidates = {node.op_type for node in graph.graph.node} - MOVING - WEIGHTED
    kinds = sorted(kind for kind in candidates if reached(graph, kind))
    now, chosen = measured([]), list[str]()
    alone = {kind: measured([kind]) for kind in tqdm(kinds, desc="16 bits for one kind", leave=False)}
    for kind in sorted(alone, key=lambda kind: alone[kind])[:FEW]:
        found = measured([*chosen, kind]) if chosen else alone[kind]
        if found <= WORTHWHILE * now:
            now, chosen = found, [*chosen, kind]
    return chosen


def simulate_int8(graph: onnx.ModelProto, pictures: Sequence[Values]) -> tuple[onnx.ModelProto, Facts]:
    """The graph in INT8, calibrated with four fifths of `pictures`, and what it costs on the last fifth.

    `pictures`: float32 [batch, 3, h, w] each. The costs: `nsr`, and `nsr_mixed` with 16 bits for the kinds
    in `int16`, which calibration pictures chose and these confirmed; of all rounded tensors `layers` and the
    `cosine_median`; `agreement`, the share of pictures with the same best class as in float, None where
    outputs are no class scores; `pictures`, how many measured. Of several outputs, noise is the mean. Raises
    ValueError for fewer than two pictures.
    """
    if len(pictures) < 2:
        raise ValueError(f"{len(pictures)} pictures: a simulation of INT8 needs two or more")
    apart = max(1, len(pictures) // 5)
    calibrating, held_out = pictures[:-apart], pictures[-apart:]
    calibration = calibrate(graph, calibrating)
    release_memory()
    int16 = choose(calibration, calibrating[:apart])
    better = outputs(quantize(calibration, int16_nodes=reached(graph, *int16)), held_out) if int16 else []
    quantized = quantize(calibration)
    del calibration
    release_memory()
    exact, found = (outputs(each, held_out) for each in (graph, quantized))
    plain = mean_nsr(found, exact)
    mixed = mean_nsr(better, exact) if int16 else plain
    if mixed > WORTHWHILE * plain:  # pictures that did not choose do not confirm it
        int16, mixed = [], plain
    release_memory()
    layers = layer_losses(graph, quantized, held_out)
    scores = exact[0].ndim == 2 and len(exact) == 1
    return quantized, {
        "nsr": plain,
        "nsr_mixed": mixed,
        "int16": int16,
        "cosine_median": statistics.median(layer.cosine for layer in layers),
        "layers": [asdict(layer) for layer in layers],
        "agreement": float((exact[0].argmax(axis=1) == found[0].argmax(axis=1)).mean()) if scores else None,
        "pictures": len(exact[0]),
    }
