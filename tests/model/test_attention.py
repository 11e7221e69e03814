"""Our block against timm's, with randomized weights, and proof that the comparison notices a wrong block."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from random_networks import images, randomized
from torch import Tensor, nn

from helpers.model.attention import CascadedGroupAttention, WindowAttention, distance_index
from helpers.model.network import from_timm
from helpers.model.variants import VARIANTS

TOLERANCE = 1e-5
CLEARLY_WRONG = 1e-2


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """Largest difference, in standard deviations of the reference."""
    return float((ours - reference).abs().max() / reference.std())


@dataclass(frozen=True)
class Pair:
    """One block of timm's randomized model, what it was given and what it made of it, and our copy."""

    theirs: nn.Module
    ours: nn.Module
    given: Tensor
    made: Tensor

    @torch.no_grad()
    def error(self, ours: nn.Module) -> float:
        return relative_error(ours(self.given), self.made)


@cache
def pairs(name: str) -> list[Pair]:
    """Every block of a model, in order, from one run of timm's."""
    model, seen = randomized(name), []
    blocks = [block for stage in model.stages for block in stage.blocks]
    hooks = [
        block.register_forward_hook(lambda block, x, out: seen.append((block, x[0], out))) for block in blocks
    ]
    with torch.no_grad():
        model(images(2))
    for hook in hooks:
        hook.remove()
    ours = [block for stage in from_timm(model).stages for block in stage.blocks]
    return [Pair(theirs, mine, x, out) for mine, (theirs, x, out) in zip(ours, seen, strict=True)]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_block_agrees_with_timm(name: str) -> None:
    errors = [pair.error(pair.ours) for pair in pairs(name)]
    assert len(errors) == sum(VARIANTS[name].depths)
    assert max(errors) < TOLERANCE


class NoCascade(CascadedGroupAttention):
    """Every head sees its own share only."""

    def forward(self, x: Tensor) -> Tensor:
        shares = x.chunk(len(self.heads), dim=1)
        return self.projection(
            torch.cat([head(s) for head, s in zip(self.heads, shares, strict=True)], dim=1)
        )


class CascadeOfInputs(CascadedGroupAttention):
    """A head gets the share of the head before it, not what that head found."""

    def forward(self, x: Tensor) -> Tensor:
        shares = x.chunk(len(self.heads), dim=1)
        inputs = [shares[0], *(a + b for a, b in zip(shares[1:], shares, strict=False))]
        return self.projection(
            torch.cat([head(s) for head, s in zip(self.heads, inputs, strict=True)], dim=1)
        )


def swap_heads(attention: CascadedGroupAttention) -> None:
    attention.heads = nn.ModuleList([attention.heads[1], attention.heads[0], *attention.heads[2:]])


def swap_bias_tables(attention: CascadedGroupAttention) -> None:
    first, second = attention.heads[0], attention.heads[1]
    first.bias_table, second.bias_table = second.bias_table, first.bias_table


def drop_query_convolution(attention: CascadedGroupAttention) -> None:
    for head in attention.heads:
        head.query_conv = nn.Identity()


def drop_relu(attention: CascadedGroupAttention) -> None:
    attention.projection[0] = nn.Identity()


def become(kind: type[CascadedGroupAttention]) -> Callable[[CascadedGroupAttention], None]:
    def mutate(attention: CascadedGroupAttention) -> None:
        attention.__class__ = kind

    mutate.__name__ = kind.__name__
    return mutate


@pytest.mark.parametrize("name", ["efficientvit_m0", "efficientvit_m5"])
@pytest.mark.parametrize(
    "mutate",
    [
        become(NoCascade),
        become(CascadeOfInputs),
        swap_heads,
        swap_bias_tables,
        drop_query_convolution,
        drop_relu,
    ],
    ids=lambda mutate: mutate.__name__,
)
def test_a_wrong_block_is_noticed(name: str, mutate: Callable[[CascadedGroupAttention], None]) -> None:
    pair = pairs(name)[-1]
    ours = copy.deepcopy(pair.ours)
    assert pair.error(ours) < TOLERANCE
    mutate(ours.attention.body.attention)
    assert pair.error(ours) > CLEARLY_WRONG


def test_distance_index_by_hand() -> None:
    assert distance_index(2).tolist() == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


def test_first_head_sees_its_own_share_and_the_last_sees_all() -> None:
    attention = CascadedGroupAttention(48, 3, side=4, kernels=(3, 3, 3)).eval()
    attention.projection = nn.Identity()
    nudged = torch.randn(1, 48, 4, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = attention(nudged).chunk(3, dim=1)
        nudged[:, 16:32] += 1.0  # the second head's share
        after = attention(nudged).chunk(3, dim=1)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True, False, False]


def test_windows_do_not_see_each_other() -> None:
    windows = WindowAttention(CascadedGroupAttention(32, 2, side=7, kernels=(5, 5)), 7).eval()
    x = torch.randn(2, 32, 14, 14, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = windows(x)
        x[0, :, 0, 13] += 1.0
        changed = (windows(x) != before).any(dim=1)
    assert changed[0, :7, 7:].any()
    changed[0, :7, 7:] = False
    assert not changed.any()


def test_windows_are_put_back_where_they_were() -> None:
    x = torch.randn(2, 5, 14, 21)
    assert torch.equal(WindowAttention(nn.Identity(), 7)(x), x)


def test_windows_must_tile_the_map() -> None:
    with pytest.raises(ValueError, match="use 224 pixels"):
        WindowAttention(nn.Identity(), 7)(torch.zeros(1, 8, 16, 16))
