"""Folds are exact, leave the model alone, and take from the graph what they promise."""

from itertools import combinations, pairwise

import pytest
import timm
import torch
from torch import Tensor, nn

from helpers.graph.convert import simplify, to_onnx
from helpers.graph.cost import activation_bytes
from helpers.graph.fold import FOLDS, Fold, fold
from helpers.graph.graph import Graph
from helpers.model import weights
from helpers.model.randomize import randomize
from helpers.model.variants import VARIANTS
from helpers.pulsar2.operators import check_operators

IMAGES = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def distance(found: nn.Module, exact: nn.Module, images: Tensor = IMAGES) -> float:
    """Largest difference of the logits, in units of their standard deviation."""
    expected = exact(images)
    return ((found(images) - expected).abs().max() / expected.std()).item()


@pytest.mark.parametrize("name", VARIANTS)
def test_folding_is_exact_and_leaves_no_batch_norm(name: str):
    model = weights.load(name, "random", seed=3)
    folded = fold(model)
    assert not [part for part in folded.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert distance(folded, model) < 1e-4


@pytest.mark.parametrize("folds", [*combinations(FOLDS, 1), *combinations(FOLDS, 3)], ids="+".join)
def test_every_choice_of_folds_is_exact(folds: tuple[Fold, ...]):
    model = weights.load("efficientvit_m0", "random")
    assert distance(fold(model, folds=folds), model) < 1e-4


def test_each_fold_takes_operators_away():
    model = weights.load("efficientvit_m0", "random")
    made = [simplify(to_onnx(fold(model, folds=FOLDS[:count]))) for count in range(len(FOLDS) + 1)]
    assert all(len(after.graph.node) < len(before.graph.node) for before, after in pairwise(made))


def test_m5_has_the_fewest_nodes_and_bytes_that_the_folds_allow():
    model = weights.load("efficientvit_m5", "random")
    recipe, folded = (simplify(to_onnx(network)) for network in (model, fold(model)))
    kinds = Graph(folded).operators
    assert Graph(recipe).operators.total() == 636 and kinds.total() == 534
    assert activation_bytes(folded) <= 0.92 * activation_bytes(recipe)
    assert not kinds.keys() & {"BatchNormalization", "Pad", "Slice", "Shape", "Gather"}
    assert {finding.level for finding in check_operators(Graph(folded))} == {"ok"}


@pytest.mark.parametrize("size", [192, 256, 384])
def test_other_image_sizes_fold_too_with_padding_only_where_windows_do_not_tile(size: int):
    model = timm.create_model("efficientvit_m0", img_size=size)
    randomize(model, seed=0)
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    assert distance(fold(model.eval()), model, images) < 1e-4


def test_the_model_stays_as_it_was():
    model = weights.load("efficientvit_m0", "random")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model(IMAGES[:1])  # with gradients: what timm caches then cannot be copied
    folded = fold(model)
    with torch.no_grad():
        next(folded.parameters()).add_(1)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
