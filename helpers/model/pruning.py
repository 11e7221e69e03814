"""Which channels a trained network would miss: first-order (Taylor) importance, and pruning by it.

The method of the paper's Fig. 5. Every channel has a gate of 1. The size of the loss's gradient by that gate
is, to first order, how much the loss changes when the channel goes; it equals |weight · gradient|, added up
over the channel's scale and shift. All channels of all blocks compete.
"""

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.model.attention import AttentionHead, SandwichBlock
from helpers.model.network import EfficientViT
from helpers.model.reference import to_input

QK, V, FFN = "Q and K", "V", "FFN"
BATCH = 16  # pictures at least, where there are so many


@dataclass(frozen=True)
class Channels:
    """The channels of one kind in one head or one FFN; `block` counts through the network from 1.

    They are `count` entries from `start` on of the BatchNorm at path `norm`. A channel of Q stands for its
    partner in K as well: without either, their product is gone.
    """

    block: int
    kind: str
    norm: str
    start: int
    count: int


def prunable(network: EfficientViT) -> list[Channels]:
    """The channels of all sandwich blocks; stem, classifier and the steps between stages stay whole."""
    found = []
    blocks = [(path, module) for path, module in network.named_modules() if isinstance(module, SandwichBlock)]
    for block, (path, sandwich) in enumerate(blocks, start=1):
        for name, module in sandwich.named_modules(prefix=path):
            if isinstance(module, AttentionHead):
                key, _, value = module.parts
                found.append(Channels(block, QK, f"{name}.query_conv.bn", 0, key))
                found.append(Channels(block, V, f"{name}.qkv.bn", 2 * key, value))
            elif name.endswith(".expand.bn") and isinstance(module, nn.BatchNorm2d):
                found.append(Channels(block, FFN, name, 0, module.num_features))
    return found


def importance(
    network: EfficientViT, pictures: NDArray[np.uint8], labels: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """Mean importance of each channel over pictures uint8 [n, h, w, 3]: an array per entry of `prunable`.

    Chapter 03 holds the same code (a test compares them). Batches hold BATCH pictures up to nearly twice as
    many; of two pictures at least: on a CPU, PyTorch 2.13 gives wrong gradients for a BatchNorm before a
    matrix product in a batch of one (found by finite differences).
    """
    gates: dict[str, Tensor] = {}
    sums: dict[str, Any] = defaultdict(int)

    def gate(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        # One per picture: the size of a mean gradient would let pictures cancel each other.
        gates[name] = torch.ones(*output.shape[:2], 1, 1, requires_grad=True)
        return output * gates[name]

    channels = prunable(network)
    norms = {group.norm: network.get_submodule(group.norm) for group in channels}
    hooks = [norm.register_forward_hook(partial(gate, name)) for name, norm in norms.items()]
    for chosen in np.array_split(np.arange(len(pictures)), max(1, len(pictures) // BATCH)):
        logits = network(to_input(pictures[chosen]))
        loss = F.cross_entropy(logits, torch.from_numpy(labels[chosen]), reduction="sum")
        gradients = torch.autograd.grad(loss, list(gates.values()))
        for name, gradient in zip(gates, gradients, strict=True):
            of_pictures = gradient.view(len(chosen), -1, gradient.shape[1]).sum(1)  # windows
            sums[name] += of_pictures.abs().sum(0) / len(pictures)
    for hook in hooks:
        hook.remove()
    return [sums[group.norm][group.start :][: group.count].double().numpy() for group in channels]


def best(scores: Sequence[NDArray[np.float64]], share: float) -> list[NDArray[np.bool_]]:
    """Which channels are in the best `share` of all, above 0 and at most 1; one mask per array.

    Channels that tie with the last one kept stay too.
    """
    falling = np.sort(np.concatenate(scores))[::-1]
    worst_kept = falling[max(1, round(share * len(falling))) - 1]
    return [score >= worst_kept for score in scores]


@torch.no_grad()
def pruned(network: EfficientViT, kept: Sequence[NDArray[np.bool_]]) -> EfficientViT:
    """A copy in which each channel that is not kept gives zero; `kept` has a mask per entry of `prunable`."""
    network = copy.deepcopy(network)
    for group, mask in zip(prunable(network), kept, strict=True):
        norm: Any = network.get_submodule(group.norm)
        gone = group.start + torch.from_numpy(np.flatnonzero(~mask))
        norm.weight[gone] = 0
        norm.bias[gone] = 0
    return network
