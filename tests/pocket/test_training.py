"""The pocket model: its size, a training that resumes exactly, and what the shipped weights promise."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.model.reference import pocket_model, timm, to_input
from helpers.model.source import POCKET_WEIGHTS
from helpers.model.weights import init_model, load
from helpers.pocket import data, training

TINY = training.Recipe(pictures=20, epochs=2, batch=10)


@pytest.fixture(scope="module")
def drawn() -> tuple[data.Pixels, np.ndarray]:
    return data.dataset(TINY.pictures, split="train", progress=False)


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
    drawn: tuple[data.Pixels, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = init_model("pocket")
    history = training.train(straight, TINY, *drawn, progress=False)
    checkpoint = tmp_path / "pocket.pt"
    batches = training._batches

    def break_off_in_epoch_two(*arguments: object):  # type: ignore[no-untyped-def]
        if arguments[1] == 1:
            raise KeyboardInterrupt
        yield from batches(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "_batches", break_off_in_epoch_two)
        training.train(init_model("pocket"), TINY, *drawn, checkpoint=checkpoint, progress=False)
    resumed = init_model("pocket")
    resumed_history = training.train(resumed, TINY, *drawn, checkpoint=checkpoint, progress=False)
    assert [line.loss for line in resumed_history] == [line.loss for line in history]
    for (name, one), other in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_a_checkpoint_of_another_recipe_is_refused(
    drawn: tuple[data.Pixels, np.ndarray], tmp_path: Path
) -> None:
    checkpoint = tmp_path / "pocket.pt"
    training.train(
        init_model("pocket"), replace(TINY, epochs=1), *drawn, checkpoint=checkpoint, progress=False
    )
    with pytest.raises(ValueError, match="another recipe"):
        training.train(
            init_model("pocket"),
            replace(TINY, epochs=1, seed=1),
            *drawn,
            checkpoint=checkpoint,
            progress=False,
        )


def test_fewer_pictures_than_a_batch_are_one_batch(drawn: tuple[data.Pixels, np.ndarray]) -> None:
    (line,) = training.train(
        init_model("pocket"), replace(TINY, epochs=1, batch=64), *(part[:6] for part in drawn), progress=False
    )
    assert math.isfinite(line.loss) and line.train_accuracy * 6 in range(7)


def test_saved_weights_come_back_rounded_with_their_card(tmp_path: Path) -> None:
    model = init_model("pocket", seed=5)
    training.round_to_half(model)
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
    pictures, labels = data.dataset(300, split="test", progress=False)
    error = math.sqrt(card.accuracy * (1 - card.accuracy) / len(labels))
    assert card.accuracy >= 0.9
    assert card.classes == list(data.CLASSES) and card.recipe["data_version"] == data.VERSION
    assert training.evaluate(model, pictures, labels) == pytest.approx(card.accuracy, abs=4 * error)


def test_shipped_weights_fit_in_two_megabytes() -> None:
    assert sum(path.stat().st_size for path in POCKET_WEIGHTS.parent.glob("*.safetensors")) <= 2_000_000
