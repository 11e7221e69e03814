"""The pocket model: its size, a training that resumes exactly, and what the shipped weights promise."""

import itertools
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.model.reference import pocket_model, timm, to_input
from helpers.model.weights import init_model, load
from helpers.pocket import data, training

TINY = training.Recipe(pictures=20, epochs=2, batch=10)


@pytest.fixture(scope="module")
def drawn() -> tuple[data.Pixels, np.ndarray]:
    return data.dataset(TINY.pictures, split="train")


def test_it_is_m0_with_half_the_width() -> None:
    m0 = timm.create_model("efficientvit_m0", num_classes=10)
    model = pocket_model()
    assert type(model) is type(m0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 570_554
    assert [stage["num_chs"] * 2 for stage in model.feature_info] == [s["num_chs"] for s in m0.feature_info]
    assert [len(stage.blocks) for stage in model.stages] == [len(stage.blocks) for stage in m0.stages]


def test_input_is_normalised_as_for_imagenet() -> None:
    x = to_input(np.full((2, 4, 6, 3), 255, np.uint8))
    assert x.shape == (2, 3, 4, 6)
    assert x[0, :, 0, 0].tolist() == pytest.approx(
        [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    )


def test_an_interrupted_training_ends_in_the_same_weights(
    drawn: tuple[data.Pixels, np.ndarray], tmp_path: Path
) -> None:
    straight, resumed = init_model("pocket"), init_model("pocket")
    losses = training.train(straight, TINY, *drawn)
    kept = tmp_path / "pocket.pt"

    def break_off_in_epoch_two(recipe: training.Recipe, epoch: int, *drawn: np.ndarray):  # type: ignore[no-untyped-def]
        if epoch == 1:
            raise KeyboardInterrupt
        yield from training.batches(recipe, epoch, *drawn)

    with pytest.raises(KeyboardInterrupt):
        training.train(init_model("pocket"), TINY, *drawn, kept=kept, batches=break_off_in_epoch_two)
    with pytest.raises(ValueError, match="another recipe"):
        training.train(init_model("pocket"), replace(TINY, seed=1), *drawn, kept=kept)
    assert training.train(resumed, TINY, *drawn, kept=kept) == losses
    for (name, one), other in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert list(tmp_path.iterdir()) == [kept]


def test_the_rate_rises_for_an_epoch_and_falls_to_zero() -> None:
    recipe = training.Recipe()
    rates = [training.rate(recipe, done) / recipe.peak_rate for done in (0, 0.5, 1, 4.5, 8)]
    assert rates == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_pictures_are_mirrored_and_recoloured_and_keep_their_labels() -> None:
    picture, _ = data.render(0, split="train")
    ways = {}
    for way in itertools.product((1, -1), (False, True), itertools.permutations(range(3))):
        mirrored, inverted, order = way
        changed = picture[:, ::mirrored, order]
        ways[to_input((255 - changed if inverted else changed)[None]).numpy().tobytes()] = way
    recipe = replace(TINY, batch=48)
    ((images, answers),) = training.batches(recipe, 0, np.repeat(picture[None], 48, axis=0), np.full(48, 7))
    found = [ways[image[None].numpy().tobytes()] for image in images]
    assert [len(set(part)) for part in zip(*found, strict=True)] == [2, 2, 6]
    assert answers.tolist() == [7] * 48


def test_fewer_pictures_than_a_batch_are_one_batch(drawn: tuple[data.Pixels, np.ndarray]) -> None:
    recipe = replace(TINY, epochs=1, batch=64)
    (loss,) = training.train(init_model("pocket"), recipe, *(part[:6] for part in drawn))
    assert math.isfinite(loss)


def test_saved_weights_come_back_rounded_with_their_card(tmp_path: Path) -> None:
    model = init_model("pocket", seed=5)
    model.half().float()
    card = training.Card(accuracy=0.5, recipe=asdict(TINY), core_minutes=1.0)
    training.save(model, tmp_path / "pocket.safetensors", card)
    loaded = load("pocket", tmp_path / "pocket.safetensors")
    x = torch.randn(2, 3, 224, 224)
    assert training.card(tmp_path / "pocket.safetensors") == card
    assert not loaded.training and loaded.head.linear.weight.dtype == torch.float32
    assert torch.equal(model(x), loaded(x))


def test_shipped_weights_give_the_accuracy_they_promise() -> None:
    """On 300 of the 2000 test pictures, within four binomial standard errors."""
    model, card = load("pocket"), training.card()
    pictures, labels = data.dataset(300, split="test")
    error = math.sqrt(card.accuracy * (1 - card.accuracy) / len(labels))
    assert card.accuracy >= 0.9
    assert card.classes == list(data.CLASSES) and card.recipe["data_version"] == data.VERSION
    assert training.evaluate(model, pictures, labels) == pytest.approx(card.accuracy, abs=4 * error)
