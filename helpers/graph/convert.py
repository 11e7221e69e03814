"""From PyTorch to a graph, and from the traced graph to one that a compiler takes."""

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import cast

import numpy as np
import onnx
import onnxsim
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.jit import TracerWarning  # type: ignore[attr-defined]

from helpers.artifacts import GateFailed
from helpers.graph import OPSET
from helpers.graph.graph import Graph, quiet_stderr
from helpers.model.variants import INPUT_SIZE


def to_onnx(
    model: nn.Module,
    *,
    opset: int = OPSET,
    batch: int = 1,
    any_batch: bool = False,
    image_size: int = INPUT_SIZE,
    outputs: Sequence[str] = ("logits",),
) -> onnx.ModelProto:
    """Traces `model` as a graph: `input` (batch, 3, size, size) float32 to `outputs`, here logits.

    The TorchScript exporter is named on purpose: the newer one writes opset 18 when asked for 11. With
    `any_batch` the first size of both ends is a name, which no compiler takes, but ONNX Runtime does.
    """
    ends = ["input", *outputs]
    traced = BytesIO()
    torch._C._jit_set_onnx_log_output_stream("stderr")  # the whole graph of a network that fails
    with warnings.catch_warnings(), quiet_stderr(), torch.no_grad():  # else it keeps every operator's output
        warnings.simplefilter("ignore", DeprecationWarning)  # the exporter is chosen, see above
        warnings.filterwarnings("ignore", "Constant folding")  # of padded windows; the simplifier does it
        warnings.simplefilter("ignore", TracerWarning)  # timm branches on the input size, which is fixed
        try:
            torch.onnx.export(
                model,
                (torch.zeros(batch, 3, image_size, image_size),),
                traced,  # type: ignore[arg-type]  # torch writes to a stream as well
                dynamo=False,
                opset_version=opset,
                input_names=ends[:1],
                output_names=ends[1:],
                dynamic_axes={name: {0: "batch"} for name in ends} if any_batch else None,
            )
        except torch.onnx.OnnxExporterError as error:
            said = str(error).partition(". ")[0].partition("\n")[0]
            raise GateFailed(
                f"torch cannot export it at opset {opset} ({said}): try another opset"
            ) from error
    return onnx.load_from_string(traced.getvalue())


def simplify(graph: onnx.ModelProto) -> onnx.ModelProto:
    """onnxsim's simplification: constants folded, size arithmetic gone. Its chatter is dropped.

    Every attribute is written out, also at its default: builds failed where one was left to it
    (onnxsim/onnxsim, scripts/axera/README.md).
    """
    with quiet_stderr():
        simplified, agrees = onnxsim.simplify(graph)
    if not agrees:
        raise GateFailed("onnxsim's own comparison of the two graphs failed: try another opset")
    opset = simplified.opset_import[0].version
    for node in simplified.graph.node:
        written = {attribute.name for attribute in node.attribute} | {"auto_pad"}  # pads stand there
        for name, attribute in onnx.defs.get_schema(node.op_type, opset, node.domain).attributes.items():
            if attribute.default_value.type and name not in written:
                node.attribute.append(attribute.default_value)
    _gather_without_scalars(simplified)
    return cast(onnx.ModelProto, simplified)


def _gather_without_scalars(graph: onnx.ModelProto) -> None:
    """Picks one entry, such as a class token, with an index of shape [1] and a Squeeze, in place.

    The NPU has no Gather by a 0-D index (AX650's list of operators).
    """
    index, nodes = Graph(graph), []
    for node in graph.graph.node:
        nodes.append(node)
        chosen = index.constant(node.input[1]) if node.op_type == "Gather" else None
        if chosen is None or chosen.ndim:
            continue
        axes, out = [index.attribute(node, "axis", 0)], node.output[0]
        kept, one, where = (f"{out}_{name}" for name in ("kept", "index", "axes"))
        node.input[1], node.output[0] = one, kept
        graph.graph.initializer.append(numpy_helper.from_array(chosen.reshape(1), one))
        if index.opset < 13:
            nodes.append(helper.make_node("Squeeze", [kept], [out], name=f"{out}_squeezed", axes=axes))
        else:
            graph.graph.initializer.append(numpy_helper.from_array(np.array(axes), where))
            nodes.append(helper.make_node("Squeeze", [kept, where], [out], name=f"{out}_squeezed"))
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def check(graph: onnx.ModelProto, *, opset: int) -> None:
    """The structural gate: valid ONNX, the opset asked for and no other, static shapes at both ends."""
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GateFailed(f"onnx's checker refuses the graph: {error}") from error
    written = {entry.domain or "ai.onnx": entry.version for entry in graph.opset_import}
    if written != {"ai.onnx": opset}:
        raise GateFailed(f"opset {opset} was asked for, the file says {written}")
    for name, sizes in Graph(graph).ends.items():
        if not all(isinstance(size, int) for size in sizes):
            raise GateFailed(f"{name} has a dynamic shape {sizes}: Pulsar2 wants static ones")


def random_images(count: int, *, image_size: int = INPUT_SIZE) -> Tensor:
    """Noise in place of photos: float32 [count, 3, size, size]."""
    return torch.randn(count, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
