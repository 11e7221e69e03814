"""ONNX Runtime on this CPU: the stand-in for the NPU."""

import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from helpers.graph.graph import GraphError


def cpu_session(
    graph: bytes | str, *, optimized: bool = True, save_as: Path | None = None
) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on one thread of this CPU, for a model's bytes or its path; `optimized`: fused.

    `save_as` keeps the graph as ONNX Runtime has rewritten it. Raises GraphError for one that it cannot run.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # the arena keeps what a few runs do not need
    options.intra_op_num_threads = 1
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if save_as:
        options.optimized_model_filepath = str(save_as)
    if not int8_instructions():
        options.add_session_config_entry("session.x64quantprecision", "1")  # else its 8-bit sums saturate
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own have no class in common
        said = str(error).partition("\n")[0][:300]
        raise GraphError(f"ONNX Runtime cannot run this graph ({said}): export it anew") from error


def session_of(
    graph: onnx.ModelProto, *more: onnx.ModelProto, optimized: bool = False
) -> onnxruntime.InferenceSession:
    """A session on one thread for a graph in memory and what `more` adds to it, by way of a file.

    Not `optimized`, it computes what the graph says and no more, and is ready in a third of the time: right
    for a few dozen runs.

    Messages written one after the other are read as one, and memory holds no third copy of the weights.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "graph.onnx")
        with path.open("wb") as file:
            for message in (graph, *more):
                file.write(message.SerializeToString())
        return cpu_session(str(path), optimized=optimized)


@cache
def int8_instructions() -> str:
    """This CPU's instructions for products of 8-bit numbers, as /proc/cpuinfo names them; "" for none."""
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text(errors="replace").split()) if cpuinfo.is_file() else set()
    return ", ".join(sorted(words & {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}))


def said(
    session: onnxruntime.InferenceSession, pictures: Iterable[npt.NDArray[np.float32]]
) -> list[npt.NDArray[np.float32]]:
    """What a session says to pictures of its batch, one run each: each output [n, …]."""
    (fed,) = session.get_inputs()
    runs = [session.run(None, {fed.name: picture}) for picture in pictures]
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def outputs(
    session: onnxruntime.InferenceSession, images: npt.NDArray[np.float32]
) -> list[npt.NDArray[np.float32]]:
    """What a session says to images [n, 3, h, w], in as many runs as its batch asks for: each [n, …]."""
    (fed,) = session.get_inputs()
    return said(session, np.split(images, len(images) // fed.shape[0]))
