from itertools import combinations

import pytest
import timm
import torch
from torch import nn

from helpers.graph.convert import simplify, to_onnx
from helpers.graph.cost import activation_bytes
from helpers.graph.fold import FOLDS, Fold, fold
from helpers.graph.graph import Graph
from helpers.graph.session import session_of
from helpers.model import batchnorm, weights
from helpers.model.randomize import randomize
from helpers.model.variants import VARIANTS
from helpers.pulsar2.operators import check_operators

IMAGES = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def reference_model(name: str, size: int) -> nn.Module:
    """A randomized timm model built for another image size."""
    model = timm.create_model(name, img_size=size)
    randomize(model, seed=0)
    return model.eval()


def distance(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference in units of the expected values' standard deviation."""
    return ((got - expected).abs().max() / expected.std()).item()


@pytest.mark.parametrize("name", VARIANTS)
def test_folding_is_exact_and_leaves_no_batch_norm(name: str):
    model = weights.load(name, "random", seed=3)
    folded = fold(model)
    assert not [part for part in folded.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    with torch.inference_mode():
        assert distance(folded(IMAGES), model(IMAGES)) < 1e-4


@pytest.mark.parametrize("folds", [*combinations(FOLDS, 1), *combinations(FOLDS, 3)], ids="+".join)
def test_every_choice_of_folds_is_exact(folds: tuple[Fold, ...]):
    model = weights.load("efficientvit_m0", "random")
    with torch.inference_mode():
        assert distance(fold(model, folds=folds)(IMAGES), model(IMAGES)) < 1e-4


def test_each_fold_takes_nodes_away():
    model = weights.load("efficientvit_m0", "random")
    left = [
        len(simplify(to_onnx(fold(model, folds=FOLDS[:count]))).graph.node) for count in range(len(FOLDS) + 1)
    ]
    assert left == sorted(set(left), reverse=True)


def test_m5_has_the_fewest_nodes_and_bytes_that_the_folds_allow():
    model = weights.load("efficientvit_m5", "random")
    recipe, folded = (simplify(to_onnx(network, opset=11)) for network in (model, fold(model)))
    assert Graph(recipe).operators.total() == 636  # the post's: unfolded, opset 11, onnxsim
    assert Graph(folded).operators.total() <= 565
    assert activation_bytes(folded) <= 0.92 * activation_bytes(recipe)
    kinds = Graph(folded).operators
    assert not kinds.keys() & {"BatchNormalization", "Pad", "Slice", "Shape", "Gather"}
    assert {finding.level for finding in check_operators(Graph(folded))} == {"ok"}


@pytest.mark.parametrize("size", [192, 256, 384])
def test_other_image_sizes_fold_too_with_padding_only_where_windows_do_not_tile(size: int):
    model = reference_model("efficientvit_m0", size)
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert distance(fold(model)(images), model(images)) < 1e-4


def test_a_dynamic_batch():
    model = weights.load("efficientvit_m0", "random")
    graph = to_onnx(fold(model), any_batch=True)
    assert not {node.op_type for node in graph.graph.node} & {"Shape", "Gather"}
    session = session_of(graph)
    with torch.inference_mode():
        for count in (1, 2):
            (got,) = session.run(None, {"input": IMAGES[:count].numpy()})
            assert distance(torch.from_numpy(got), model(IMAGES[:count])) < 1e-4


def test_a_wrong_shift_would_be_seen(monkeypatch: pytest.MonkeyPatch):
    right = batchnorm.scale_and_shift

    def wrong(*values: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = right(*values, eps=eps)
        return scale, shift * 1.01

    monkeypatch.setattr(batchnorm, "scale_and_shift", wrong)
    model = weights.load("efficientvit_m0", "random")
    with torch.inference_mode():
        assert distance(fold(model)(IMAGES), model(IMAGES)) > 1e-4


def test_the_model_stays_as_it_was():
    model = weights.load("efficientvit_m0", "random")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model(IMAGES[:1])  # with gradients: what timm caches then cannot be copied
    folded = fold(model)
    with torch.no_grad():
        next(folded.parameters()).add_(1)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_head_without_bias_folds_too():
    model = weights.load("efficientvit_m0", "random")
    model.head.linear.bias = None
    with torch.inference_mode():
        assert distance(fold(model)(IMAGES), model(IMAGES)) < 1e-4
