"""The first step: from a checkpoint to the graph that Pulsar2 gets, as chapter 05 makes it.

1. load    the network with its weights                                  (model.weights)
2. fold    what PyTorch and the simplifier cannot see                    (fold)
3. turn    its first convolution to the board's order of colours         (preprocess)
4. trace   it as ONNX, and simplify the graph                            (convert)
5. gate    the graph's form, and its numbers against PyTorch's           (convert, metrics)
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from helpers import artifacts
from helpers.artifacts import Facts, GateFailed
from helpers.graph import OPSET, OPSETS
from helpers.graph.preprocess import BoardInput, Preprocessing, channels
from helpers.model.source import Source, known, ready

if TYPE_CHECKING:
    from torch import Tensor, nn

    from helpers.graph.metrics import Array

    Make = Callable[[], tuple[nn.Module, Preprocessing]]

PARITY_LIMIT = 1e-4  # largest |Δ| of the logits, in units of their standard deviation
ROUNDING_LIMIT = 1e-3  # where the network's own float32 is no better: up to OWN times as far from its float64
OWN = 4


@dataclass(frozen=True)
class Exported:
    """The gated files of one export. `parity`: largest |Δ logits| against PyTorch over their spread."""

    plain: Path
    simplified: Path
    weights: str
    preprocessing: Preprocessing
    classes: int
    nodes_plain: int
    nodes_simplified: int
    parity: float
    remade: bool


def export(
    model: str,
    out: Path,
    *,
    checkpoint: str | Path | None = None,
    opset: int = OPSET,
    batch: int = 1,
    image_size: int | None = None,
    board_input: BoardInput = "bgr",
    keep_residuals: bool = False,
) -> Exported:
    """Writes `model.onnx`, `model-sim.onnx` and `export.json` into `out`, or returns those already there.

    `model` and `image_size` are those of `weights.load`. `board_input` is the order of colours that the graph
    takes; the simplified file says so in its metadata. Raises ValueError for an opset, a batch or an order
    that is not supported, UnknownModel, GateFailed, and what `weights.load` raises; nothing in `out` changes
    then.
    """
    known(model, image_size)
    weights = ready(checkpoint, name=model)  # the file is what counts, so it comes first

    def make() -> "tuple[nn.Module, Preprocessing]":
        from helpers.model.weights import load

        trained = load(model, weights.checkpoint, image_size=image_size)
        return trained, Preprocessing.trained(trained, board_input)

    arguments: Facts = {
        "model": model,
        "opset": opset,
        "batch": batch,
        "image_size": image_size,
        "board_input": board_input,
        "keep_residuals": keep_residuals,
    }
    return step(out, make, weights, arguments)


def step(out: Path, make: "Make", weights: Source, arguments: Facts, **network: Any) -> Exported:
    """An export as a step, of whatever `make` gives; `network` is what `write` must know of it."""
    channels(arguments["board_input"])  # refuses another order
    if (opset := arguments["opset"]) not in OPSETS:
        raise ValueError(f"opset {opset} is not supported: choose one from {OPSETS[0]} to {OPSETS[-1]}")
    if (batch := arguments["batch"]) < 1:
        raise ValueError(f"batch {batch} is no batch size: choose 1 or more")
    asked = {key: arguments[key] for key in ("opset", "batch", "keep_residuals")}
    words = weights.words  # asked once: it reads the whole file
    made = artifacts.step(
        "export",
        out,
        lambda scratch: write(scratch, make, **asked, **network),
        files=["model.onnx", "model-sim.onnx"],
        arguments=arguments | {"weights": words},
        inputs={"checkpoint": weights.file} if weights.file else {},
        packages=["torch", "timm", "onnx", "onnxsim", "onnxruntime"],
        code=make.__module__,
    )
    facts = dict(made.facts)
    return Exported(
        plain=made.path("model.onnx"),
        simplified=made.path("model-sim.onnx"),
        weights=words,
        preprocessing=TypeAdapter(Preprocessing).validate_python(facts.pop("preprocessing")),
        remade=made.remade,
        **facts,
    )


def write(
    out: Path,
    make: "Make",
    *,
    opset: int,
    batch: int,
    keep_residuals: bool,
    outputs: Sequence[str] = ("logits",),
    probes: int = 4,
    anchors: int = 1,
) -> Facts:
    """Folds, traces, simplifies and gates a network: its two files in `out`, and what to say of them.

    `make` gives the network and its preprocessing; nobody else may hold it, so that it goes before the trace.
    Every one of `outputs` is held against PyTorch's, on `probes` runs of noise. The first one's channels are
    classes, of a detector those of all `anchors`.
    """
    import onnx

    from helpers.graph import convert, session
    from helpers.graph.fold import fold, folds_at
    from helpers.graph.preprocess import for_board, write_metadata
    from helpers.model.memory import release_memory

    trained, preprocessing = make()
    size = preprocessing.size
    images = convert.random_images(probes * batch, image_size=size)
    exact = _outputs(trained, images)
    if len(exact) == 1 and exact[0].ndim != 2:
        raise ValueError(f"it gives {exact[0].shape[1:]} for a picture, no scores: choose a classifier")
    folds = [name for name in folds_at(opset) if name != "residuals" or not keep_residuals]
    folded = for_board(fold(trained, folds=folds), preprocessing.board_input)  # a stem's branches are one now
    del trained  # a learner has 2 GB of memory
    plain = convert.to_onnx(folded, opset=opset, batch=batch, image_size=size, outputs=outputs)
    del folded
    release_memory()
    onnx.save(plain, out / "model.onnx")
    nodes_plain = len(plain.graph.node)
    simplified = convert.simplify(plain)
    del plain
    release_memory()
    write_metadata(simplified, preprocessing)
    onnx.save(simplified, out / "model-sim.onnx")
    convert.check(simplified, opset=opset)
    fed = images[:, list(channels(preprocessing.board_input))].numpy()
    found = session.outputs(session.cpu_session(str(out / "model-sim.onnx")), fed)
    distance, limit = _distance(found, exact), PARITY_LIMIT
    if limit < distance <= ROUNDING_LIMIT:
        limit = OWN * _distance(exact, _outputs(make()[0].double(), images.double()))
    if not distance <= limit:  # not >: NaN must fail
        raise GateFailed(
            f"ONNX and PyTorch differ by {distance:.1e} standard deviations (limit {limit:.0e}): "
            "do not compile this graph; leave folds out one by one (chapter 05) to find which one is wrong, "
            "or take board_input 'rgb' if more than one convolution sees the picture"
        )
    return {
        "preprocessing": asdict(preprocessing),
        "classes": exact[0].shape[1] // anchors,
        "nodes_plain": nodes_plain,
        "nodes_simplified": len(simplified.graph.node),
        "parity": distance,
    }


def _outputs(network: "nn.Module", images: "Tensor") -> list["Array"]:
    import torch

    with torch.inference_mode():
        said = network(images)
    return [each.numpy() for each in (said if isinstance(said, tuple) else [said])]


def _distance(found: Sequence["Array"], exact: Sequence["Array"]) -> float:
    """`metrics.parity`, the worst over outputs of one kind, by their channels: a level may be constant."""
    from helpers.graph.metrics import parity

    def flat(maps: Sequence["Array"], kind: int) -> "Array":
        return np.concatenate([each.ravel() for each in maps if each.shape[1] == kind])

    return max(parity(flat(found, kind), flat(exact, kind)) for kind in {each.shape[1] for each in exact})
