"""Every operator of one forward pass: which it is, where it runs, what it computes and what it moves.

Operations are PyTorch's own counts (`torch.utils.flop_counter`), two per multiply-accumulate. Bytes follow
one convention: every operator that runs reads each of its inputs and weights once and writes its output once;
views and allocations are free, and left out. That is what unfused PyTorch asks of the memory, caches aside.
BatchNorm is an operator of its own until it is folded.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from helpers.model.reference import fresh_copy

IMAGE = (1, 3, 224, 224)
# ATen operators that move nothing, beside those that PyTorch itself calls views.
_FREE = {"_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}


@dataclass(frozen=True)
class Op:
    """One ATen operator of a forward pass over the whole batch."""

    module: str  # its path after the root's class name: EfficientVitMsra.stages.0.blocks.0.ffn0.m.pw1.conv
    name: str  # without "aten::": convolution
    shapes: tuple[tuple[int, ...], ...]  # of its arguments; () for one that is no tensor
    flops: int | None  # two per multiply-accumulate; None where PyTorch has no formula
    written: int  # values of its largest output
    bytes_moved: int


@torch.no_grad()  # inference mode would hide the operators behind those that the code names
def trace(model: nn.Module, shape: tuple[int, ...] = IMAGE) -> list[Op]:
    """The operators of one forward pass over an input of `shape`, in the order in which they run.

    Any network or single module will do. Nothing is computed: it runs on PyTorch's meta device in eval mode,
    as a copy unless it stands there already.
    """
    tensors = (*model.parameters(), *model.buffers())
    if any(module.training for module in model.modules()) or not all(value.is_meta for value in tensors):
        model = fresh_copy(model).to("meta")
    recorder = _Recorder()
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            path = f"{type(model).__name__}.{name}"
            into = partial(lambda path, *_: recorder.path.append(path), path)
            hooks.enter_context(module.register_forward_pre_hook(into))
            hooks.enter_context(module.register_forward_hook(lambda *_: recorder.path.pop() and None))
            if hasattr(module, "attention_bias_cache"):  # timm gathers its bias tables once and keeps them
                module.get_attention_biases(torch.device("meta"))
        with sdpa_kernel(SDPBackend.MATH), recorder:  # the fused kernels are not all in the flop registry
            model(torch.empty(shape, device="meta"))
    return recorder.ops


class _Recorder(TorchDispatchMode):
    """Notes every operator that runs while it is on, under the module that `path` ends with."""

    def __init__(self) -> None:
        super().__init__()
        self.path: list[str] = []
        self.ops: list[Op] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten.native_batch_norm.default:  # in Python on the meta device, and slow
            out: Any = tuple(torch.empty_like(args[place]) for place in (0, 3, 4))
        else:
            out = func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        if func.is_view or name in _FREE:
            return out
        count = flop_registry.get(func.overloadpacket)
        self.ops.append(
            Op(
                module=self.path[-1],
                name=name,
                shapes=tuple(tuple(each.shape) if isinstance(each, Tensor) else () for each in args),
                flops=count(*args, **kwargs, out_val=out) if count else None,
                written=max((leaf.numel() for leaf in _tensors(out)), default=0),
                bytes_moved=sum(tensor.nbytes for tensor in _tensors((args, kwargs, out))),
            )
        )
        return out


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
