"""INT8 before the compiler: the graph simulated with the calibration pictures that Pulsar2 will get."""

from pathlib import Path

import numpy as np
from onnx import ModelProto
from pydantic import TypeAdapter

from helpers import artifacts
from helpers.artifacts import Facts
from helpers.graph.graph import Graph, axes, load
from helpers.graph.metrics import sqnr_db
from helpers.graph.preprocess import Preprocessing, read_metadata
from helpers.pulsar2 import archive as archives
from helpers.pulsar2 import config as configs

FEW = 10  # pictures of a detector: each is as much work as a hundred of M4


def rehearse(
    onnx: Path,
    calibration: Path,
    out: Path,
    *,
    config: Path | None = None,
) -> artifacts.Made:
    """Writes `model-int8.onnx` and `rehearsal.json` into `out`, or returns what is there of the same inputs.

    The facts are those of `simulate_int8`, without its kinds: `layer_configs` says them to Pulsar2.

    Takes any graph with one input of pictures. Mean, std and order come from the configuration, else from
    the graph's own metadata. Of the archive's first PICTURES (FEW where they come whole, to a detector) the
    last fifth measures, the others calibrate.
    Raises ValueError where neither says how pixels come, or for fewer than two pictures; ArchiveError,
    GraphError, ConfigError.
    """
    return artifacts.step(
        "rehearsal",
        out,
        lambda scratch: _rehearse(load(onnx), calibration, scratch, config),
        files=["model-int8.onnx"],
        arguments={},
        inputs={"onnx": onnx, "calibration": calibration} | ({"config": config} if config else {}),
        packages=["onnx", "onnxruntime", "numpy"],
    )


def _rehearse(graph: ModelProto, archive: Path, out: Path, config: Path | None) -> Facts:
    import onnx

    from helpers.quant.simulate import simulate_int8  # what is kept must not wait for ONNX Runtime

    index = Graph(graph)
    held = [(index.element_type(v.name), axes(v)[1:2], len({*axes(v)[2:]})) for v in index.inputs]
    if held != [(np.dtype(np.float32), (3,), 1)]:
        said = ", ".join(f"{value.name} {axes(value)}" for value in index.inputs) or "none"
        raise ValueError(f"its inputs are {said}: give a graph of one, float32 (n, 3, side, side)")
    fed = preprocessing_of(graph, config)
    batch = index.static_shape(index.inputs[0].name)[0]
    whole = fed.fit == "letterbox"
    cuts = archives.pictures(archive, fed, FEW if whole else archives.PICTURES)
    cuts = [np.concatenate(cuts[place : place + batch]) for place in range(0, len(cuts) - batch + 1, batch)]
    quantized, found = simulate_int8(graph, cuts)
    onnx.save(quantized, out / "model-int8.onnx")
    # By ONNX's names, which work; those of Pulsar2's fused operators are ignored without a word
    # (onnxsim/onnxsim, pull request 1303).
    kinds = found.pop("int16")
    layer_configs = [{"op_types": kinds, "data_type": "U16"}] if kinds else []
    return found | {"sqnr_db": sqnr_db(found["nsr"]), "layer_configs": layer_configs}


def preprocessing_of(graph: ModelProto, config: Path | None = None) -> Preprocessing:
    """What happens to the pixels, by configuration or metadata; ValueError if neither says."""
    said = read_metadata(graph)
    if config is None:
        if said is None:
            raise ValueError(
                "the graph does not say how its pixels come (it is not of `export`): give its configuration"
            )
        return said
    settings = configs.read(config)
    if not (settings.quant.input_configs and settings.input_processors):
        raise ValueError(f"{config.name}: it has no quant.input_configs, or no input_processors: add them")
    processor = settings.input_processors[0]
    mean, std = settings.mean_and_std(processor)
    said_there = {
        "board_input": "rgb" if processor.tensor_format == "RGB" else "bgr",
        "mean": mean,
        "std": std,
        "size": graph.graph.input[0].type.tensor_type.shape.dim[-1].dim_value,
        "fit": said.fit if said else "crop",
    }
    return TypeAdapter(Preprocessing).validate_python(said_there)
