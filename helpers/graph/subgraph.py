"""A piece of a graph, to look at."""

from dataclasses import dataclass

import onnx


@dataclass(frozen=True)
class Step:
    """One operator of a piece: its kind, and which earlier steps it reads (their places in the list)."""

    kind: str
    reads: tuple[int, ...]


def between(graph: onnx.ModelProto, *, start: str, end: str) -> list[Step]:
    """The operators on the ways from tensor `start` to tensor `end`, in order; ValueError for none."""
    after, before = {start}, {end}
    for node in graph.graph.node:
        if after & set(node.input):
            after |= set(node.output)
    for node in reversed(graph.graph.node):
        if before & set(node.output):
            before |= set(node.input)
    nodes = [node for node in graph.graph.node if after & set(node.input) and before & set(node.output)]
    if not nodes:
        raise ValueError(f"there is no way from {start} to {end} in this graph")
    writer = {name: place for place, node in enumerate(nodes) for name in node.output}
    return [
        Step(node.op_type, tuple(dict.fromkeys(writer[name] for name in node.input if name in writer)))
        for node in nodes
    ]


def first_head(graph: onnx.ModelProto) -> list[Step]:
    """The first attention head of an EfficientViT, from its share of the features to what it found.

    It ends where the first Concat of features reads it, and starts two convolutions above its softmax: the
    one over the query, and the one that makes query, key and value. ValueError where there is none.
    """
    nodes = list(graph.graph.node)
    writer = {name: node.op_type for node in nodes for name in node.output}
    try:
        first = next(place for place, node in enumerate(nodes) if node.op_type == "Softmax")
        joins = (node for node in nodes[first:] if node.op_type == "Concat")
        join = next(node for node in joins if writer[node.input[0]] == "Reshape")  # others join sizes
        above, convolutions = {nodes[first].input[0]}, []
        for node in reversed(nodes[:first]):
            if above & set(node.output):
                above |= set(node.input)
                convolutions += [node] if node.op_type == "Conv" else []
        return between(graph, start=convolutions[1].input[0], end=join.input[0])
    except (StopIteration, IndexError) as error:
        raise ValueError("there is no attention head of an EfficientViT in this graph") from error
