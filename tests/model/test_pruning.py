import numpy as np
import pytest
import torch
from torch.nn import functional as F

from helpers.model import pruning
from helpers.model.network import EfficientViT, from_timm
from helpers.model.pruning import FFN, QK, V, best, importance, prunable, pruned
from helpers.model.reference import to_input
from helpers.model.weights import load


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of noise, and labels."""
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, 224, 224, 3), np.uint8), rng.integers(0, 10, count)


@pytest.fixture(scope="module")
def network() -> EfficientViT:
    return from_timm(load("pocket", "random"))


def test_all_channels_of_the_sandwiches_compete(network: EfficientViT):
    channels = prunable(network)
    counted = {kind: sum(group.count for group in channels if group.kind == kind) for kind in (QK, V, FFN)}
    widths = [32, 64, 64, 96, 96, 96]
    assert counted == {QK: 6 * 4 * 16, V: sum(widths), FFN: 2 * 2 * sum(widths)}
    assert [group.block for group in channels] == [block for block in range(1, 7) for _ in range(10)]


def test_importance_is_weight_times_gradient(network: EfficientViT):
    pictures, labels = drawn(1)
    twice, labels = pictures.repeat(2, axis=0), labels.repeat(2)  # see the docstring: never a batch of one
    found = importance(network, twice, labels)
    F.cross_entropy(network(to_input(twice)), torch.from_numpy(labels)).backward()
    for group, score in zip(prunable(network), found, strict=True):
        norm = network.get_submodule(group.norm)
        product = norm.weight * norm.weight.grad + norm.bias * norm.bias.grad
        expected = product[group.start : group.start + group.count].detach().abs().numpy()
        np.testing.assert_allclose(score, expected, rtol=1e-3, atol=1e-4 * expected.max())
    network.zero_grad()


def test_importance_agrees_with_finite_differences():
    """Guards against PyTorch's own gradients, wrong for a batch of one."""
    network = from_timm(load("pocket", "random")).double()
    pictures, labels = drawn(1)
    twice, answer = pictures.repeat(2, axis=0), torch.from_numpy(labels)
    group, channel, step = prunable(network)[11], 0, 1e-5
    assert (group.block, group.kind) == (2, QK)
    norm, losses = network.get_submodule(group.norm), []
    with torch.no_grad():
        for scale in (1 + step, (1 - step) / (1 + step)):
            norm.weight[channel] *= scale
            norm.bias[channel] *= scale
            losses.append(F.cross_entropy(network(to_input(pictures).double()), answer).item())
    slope = (losses[0] - losses[1]) / (2 * step)
    found = importance(from_timm(load("pocket", "random")), twice, labels.repeat(2))
    assert found[11][channel] == pytest.approx(abs(slope), rel=1e-3)


def test_pictures_do_not_cancel_and_batches_do_not_matter(
    network: EfficientViT, monkeypatch: pytest.MonkeyPatch
):
    pictures, labels = drawn(5)
    monkeypatch.setattr(pruning, "BATCH", 2)
    together = importance(network, pictures, labels)
    alone = [importance(network, pictures[[i, i]], labels[[i, i]]) for i in range(5)]
    for group, scores in enumerate(together):
        mean = np.mean([one[group] for one in alone], axis=0)
        np.testing.assert_allclose(scores, mean, rtol=1e-3, atol=1e-5 * mean.max())


def test_a_pruned_channel_gives_zero_and_the_original_stays(network: EfficientViT):
    channels = prunable(network)
    place = [group.kind for group in channels].index(V)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    kept = [np.ones(group.count, bool) for group in channels]
    kept[place][3] = False
    smaller = pruned(network, kept)
    seen = {}
    smaller.get_submodule(channels[place].norm).register_forward_hook(lambda *call: seen.update(out=call[2]))
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert not torch.equal(smaller(image), network(image))
    dead = [i for i in range(seen["out"].shape[1]) if not seen["out"][:, i].any()]
    assert dead == [2 * 16 + 3]  # after Q and K, 16 each
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_pair_of_q_and_k_goes_with_its_q(network: EfficientViT):
    channels = prunable(network)
    kept = [np.ones(group.count, bool) for group in channels]
    kept[[group.kind for group in channels].index(QK)][:] = False  # the first head keeps its bias table only
    smaller = pruned(network, kept)
    head = smaller.stages[0].blocks[0].attention.body.attention.heads[0]
    caught = {}
    head.softmax.register_forward_hook(lambda *call: caught.update(maps=call[2]))
    with torch.inference_mode():
        smaller(torch.randn(1, 3, 224, 224))
    bias = head.bias_table[head.distance].softmax(-1)
    torch.testing.assert_close(caught["maps"], bias.expand_as(caught["maps"]))


def test_the_best_share_is_kept_wherever_it_lies():
    masks = best([np.array([1.0, 9.0]), np.array([5.0, 7.0, 3.0])], 0.4)
    assert [mask.tolist() for mask in masks] == [[False, True], [False, True, False]]
    assert all(mask.all() for mask in best([np.arange(3.0)], 1))
