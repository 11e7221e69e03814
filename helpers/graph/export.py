"""The first step: from a checkpoint to the graph that Pulsar2 gets, as chapter 05 makes it.

1. load    the network with its weights                                  (model.weights)
2. fold    what PyTorch and the simplifier cannot see                    (fold)
3. turn    its first convolution to the board's order of colours         (preprocess)
4. trace   it as ONNX, and simplify the graph                            (convert)
5. gate    the graph's form, and its numbers against PyTorch's           (convert, metrics)
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from helpers import artifacts
from helpers.artifacts import Facts, GateFailed
from helpers.graph import OPSET, OPSETS
from helpers.graph.preprocess import BoardInput, Preprocessing, channels
from helpers.model.source import HUB, POCKET, find
from helpers.model.variants import TIMM, check_size, variant

PARITY_LIMIT = 1e-4  # largest |Δ| of the logits, in units of their standard deviation


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
    if model.startswith(TIMM):
        from helpers.model.reference import pretrained

        pretrained(model)  # knows the names
    elif model != POCKET:
        variant(model)
    if image_size:
        check_size(model, image_size)
    channels(board_input)  # refuses another order
    if opset not in OPSETS:
        raise ValueError(f"opset {opset} is not supported: choose one from {OPSETS[0]} to {OPSETS[-1]}")
    if batch < 1:
        raise ValueError(f"batch {batch} is no batch size: choose 1 or more")
    weights = find(checkpoint, name=model)
    if weights.checkpoint == HUB and weights.file is None:  # the file is what counts, so it comes first
        from helpers.model.weights import load

        load(model, HUB)
        weights = find(HUB, name=model)
    words = weights.words  # asked once: it reads the whole file
    arguments: Facts = {
        "model": model,
        "opset": opset,
        "batch": batch,
        "image_size": image_size,
        "board_input": board_input,
        "keep_residuals": keep_residuals,
    }
    made = artifacts.step(
        "export",
        out,
        lambda scratch: _export(scratch, weights.checkpoint, **arguments),
        files=["model.onnx", "model-sim.onnx"],
        arguments=arguments | {"weights": words},
        inputs={"checkpoint": weights.file} if weights.file else {},
        packages=["torch", "timm", "onnx", "onnxsim", "onnxruntime"],
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


def _export(
    out: Path,
    checkpoint: str | Path,
    *,
    model: str,
    opset: int,
    batch: int,
    image_size: int | None,
    board_input: BoardInput,
    keep_residuals: bool,
) -> Facts:
    import onnx
    import torch

    from helpers.graph import convert, metrics, session
    from helpers.graph.fold import fold, folds_at
    from helpers.graph.preprocess import for_board, write_metadata
    from helpers.model.memory import release_memory
    from helpers.model.weights import load

    trained = load(model, checkpoint, image_size=image_size)
    preprocessing = Preprocessing.trained(trained, board_input)
    size = preprocessing.size
    images = convert.random_images(4 * batch, image_size=size)
    with torch.inference_mode():
        exact = trained(images).numpy()
    if exact.ndim != 2:
        raise ValueError(f"{model} gives {exact.shape[1:]} for a picture, no scores: choose a classifier")
    folds = [name for name in folds_at(opset) if name != "residuals" or not keep_residuals]
    folded = for_board(fold(trained, folds=folds), board_input)  # once branches of a stem are one
    del trained  # a learner has 2 GB of memory
    plain = convert.to_onnx(folded, opset=opset, batch=batch, image_size=size)
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
    fed = images[:, list(channels(board_input))].numpy()
    found = session.logits(session.cpu_session(str(out / "model-sim.onnx")), fed)
    distance = metrics.parity(found, exact)
    if not distance <= PARITY_LIMIT:  # not >: NaN must fail
        raise GateFailed(
            f"ONNX and PyTorch differ by {distance:.1e} standard deviations (limit {PARITY_LIMIT:.0e}): "
            "do not compile this graph; leave folds out one by one (chapter 05) to find which one is wrong, "
            "or take board_input 'rgb' if more than one convolution sees the picture"
        )
    return {
        "preprocessing": asdict(preprocessing),
        "classes": exact.shape[1],
        "nodes_plain": nodes_plain,
        "nodes_simplified": len(simplified.graph.node),
        "parity": distance,
    }
