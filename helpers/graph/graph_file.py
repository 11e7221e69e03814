"""ONNX files from anywhere, read with limits: nothing outside their folder, nothing huge."""

from collections.abc import Iterable
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper

SIZE_LIMIT = 1 << 30  # bytes, with external data; the largest EfficientViT has 50 MB


class GraphError(ValueError):
    """A file that is not a graph to compile; one sentence that says why and what to do."""


def load(path: Path | str) -> onnx.ModelProto:
    """The graph with its external data; GraphError when it is missing, damaged, huge or reaches outside."""
    path = Path(path)
    if not path.is_file():
        raise GraphError(f"{path}: no such file; export the model first")
    size = path.stat().st_size
    if size > SIZE_LIMIT:
        raise GraphError(f"{path.name}: {size / 2**30:.1f} GiB is too large; the limit is 1 GiB")
    try:
        model = onnx.load_model(path, format="protobuf", load_external_data=False)
    except (DecodeError, MemoryError) as error:
        raise GraphError(f"{path.name}: not an ONNX file, or a damaged one; export it again") from error
    if not model.graph.node:
        raise GraphError(f"{path.name}: there is no graph in it; export it again")
    if any(node.op_type == "neu mode" for node in model.graph.node):
        raise GraphError(f"{path.name}: already compiled for the NPU; give the ONNX file it was made from")
    external = [tensor for tensor in tensors(model) if external_data_helper.uses_external_data(tensor)]
    _check_external(path, external, size)
    try:
        for tensor in external:
            external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
    except Exception as error:  # onnx raises ValidationError, ValueError and OSError for damaged references
        raise GraphError(f"{path.name}: its external data cannot be read; export it in one file") from error
    return model


def _check_external(path: Path, tensors: Iterable[onnx.TensorProto], size: int) -> None:
    """Each external file must lie in the folder of `path`, links followed, and all be below the limit."""
    folder = path.parent.resolve()
    names = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    for name in sorted(names):
        file = (folder / name).resolve()
        if not file.is_relative_to(folder):
            raise GraphError(f"{path.name}: its data lie outside its folder ({name}); export it in one file")
        if not file.is_file():
            raise GraphError(f"{path.name}: its data file {name} is missing; keep both in one folder")
        size += file.stat().st_size
    if size > SIZE_LIMIT:
        raise GraphError(f"{path.name}: {size / 2**30:.1f} GiB with its data; the limit is 1 GiB")


def tensors(model: onnx.ModelProto) -> Iterable[onnx.TensorProto]:
    """All tensors that the top graph holds; the compiler takes no nested graphs."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
