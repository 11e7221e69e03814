"""INT8 before the compiler: the graph simulated with the calibration pictures that Pulsar2 will get."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Rehearsed:
    """One simulation of INT8: what it costs by noise, direction and answers, and what Pulsar2 is told.

    `nsr` and `nsr_mixed`: noise over signal of plain INT8, and with the 16 bits of `layer_configs`, on
    pictures that chose neither ranges nor kinds;
    `agreement`: share of pictures with the same best class, None where the outputs are no class scores;
    `layers`: operator, type, cosine and mse of each rounded tensor; `pictures`: how many measured.
    """

    quantized: Path
    nsr: float
    nsr_mixed: float
    sqnr_db: float
    cosine_median: float
    agreement: float | None
    pictures: int
    layer_configs: list[dict[str, Any]]
    layers: list[dict[str, Any]]
    remade: bool


def rehearse(
    onnx: Path,
    calibration: Path,
    out: Path,
    *,
    config: Path | None = None,
    pictures: int = 0,
) -> Rehearsed:
    """Writes `model-int8.onnx` and `rehearsal.json` into `out`, or returns what is there of the same inputs.

    Takes any graph with one input of pictures. Mean, std and order come from the configuration, else from
    the graph's own metadata. Of the archive's first `pictures` (0: PICTURES, or FEW where they come whole, to
    a detector) the last fifth measures, the others calibrate.
    Raises ValueError where neither says how pixels come, or for fewer than two pictures; ArchiveError,
    GraphError, ConfigError.
    """
    made = artifacts.step(
        "rehearsal",
        out,
        lambda scratch: _rehearse(load(onnx), calibration, scratch, config, pictures),
        files=["model-int8.onnx"],
        arguments={"pictures": pictures},
        inputs={"onnx": onnx, "calibration": calibration} | ({"config": config} if config else {}),
        packages=["onnx", "onnxruntime", "numpy"],
    )
    return Rehearsed(quantized=made.path("model-int8.onnx"), remade=made.remade, **made.facts)


def _rehearse(graph: ModelProto, archive: Path, out: Path, config: Path | None, pictures: int) -> Facts:
    import onnx

    from helpers.quant.simulate import simulate_int8  # what is kept must not wait for ONNX Runtime

    index = Graph(graph)
    pictures_of = [
        index.element_type(value.name) == np.float32
        and axes(value)[1:2] == (3,)
        and len({*axes(value)[2:]}) == 1
        for value in index.inputs
    ]
    if pictures_of != [True]:
        said = ", ".join(f"{value.name} {axes(value)}" for value in index.inputs) or "none"
        raise ValueError(f"its inputs are {said}: give a graph of one, float32 (n, 3, side, side)")
    fed = preprocessing_of(graph, config)
    batch = index.static_shape(index.inputs[0].name)[0]
    whole = (read_metadata(graph) or fed).fit == "letterbox"
    cuts = archives.pictures(archive, fed, pictures or (FEW if whole else archives.PICTURES))
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
    if config is None:
        if (said := read_metadata(graph)) is None:
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
    }
    return TypeAdapter(Preprocessing).validate_python(said_there)
