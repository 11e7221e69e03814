"""A piece of a graph, to look at."""

import onnx

from helpers.graph.graph import Graph

Piece = list[tuple[str, tuple[int, ...]]]  # of each operator: its kind, and the places of those it reads


def between(model: onnx.ModelProto, *, start: str, end: str) -> Piece:
    """The operators on the ways from tensor `start` to tensor `end`, in order; ValueError for none."""
    after, before = {start}, {end}
    for node in model.graph.node:
        if after & set(node.input):
            after |= set(node.output)
    for node in reversed(model.graph.node):
        if before & set(node.output):
            before |= set(node.input)
    nodes = [node for node in model.graph.node if after & set(node.input) and before & set(node.output)]
    if not nodes:
        raise ValueError(f"there is no way from {start} to {end} in this graph")
    place = {name: index for index, node in enumerate(nodes) for name in node.output}
    return [
        (node.op_type, tuple(dict.fromkeys(place[name] for name in node.input if name in place)))
        for node in nodes
    ]


def first_head(model: onnx.ModelProto) -> Piece:
    """The first attention head of an EfficientViT, from its share of the features to what it found.

    It ends where the first Concat of features reads it, and starts two convolutions above its softmax: the
    one over the query, and the one that makes query, key and value. ValueError where there is none.
    """
    graph = Graph(model)
    try:
        first = next(place for place, node in enumerate(graph.nodes) if node.op_type == "Softmax")
        joins = (node for node in graph.nodes[first:] if node.op_type == "Concat")
        # others join sizes
        join = next(node for node in joins if graph.writer[node.input[0]].op_type == "Reshape")
        above, convolutions = {graph.nodes[first].input[0]}, []
        for node in reversed(graph.nodes[:first]):
            if above & set(node.output):
                above |= set(node.input)
                convolutions += [node] if node.op_type == "Conv" else []
        return between(model, start=convolutions[1].input[0], end=join.input[0])
    except (StopIteration, IndexError) as error:
        raise ValueError("there is no attention head of an EfficientViT in this graph") from error
