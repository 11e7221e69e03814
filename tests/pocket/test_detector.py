"""The pocket detector: its parts, a training that resumes exactly, its score, what its weights promise."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.detect.boxes import BACKGROUND, IGNORED, decode
from helpers.detect.results import Found
from helpers.model.reference import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, to_input
from helpers.model.weights import load as load_classifier
from helpers.pocket import detector, scenes, scoring, towers, training
from helpers.pocket.detector import ANCHORS, RECIPE, WEIGHTS

TINY = replace(RECIPE, pictures=8, epochs=2, batch=4)
SUBSET = 60  # scenes; the whole test split takes a quarter of a minute


@pytest.fixture(scope="module")
def drawn() -> scenes.Scenes:
    return scenes.dataset(TINY.pictures, split="train")


@pytest.fixture(scope="module")
def judged() -> scenes.Scenes:
    return scenes.dataset(SUBSET, split="test")


def test_it_begins_as_the_pocket_classifier_with_its_windows(drawn: scenes.Scenes) -> None:
    images = to_input(drawn["picture"][:2])
    network, classifier = detector.begin(), load_classifier("pocket", "pocket")
    with torch.inference_mode():
        last = network.backbone(images)[-1]
        maps = network(images)
        assert torch.allclose(last, classifier.forward_features(images), atol=1e-4)
    assert [tuple(one.shape[1:]) for one in maps[::3]] == [(90, 14, 14), (36, 14, 14)]
    assert sum(one[0].numel() // 4 for one in maps[3:]) == len(ANCHORS)


def test_what_anchors_learn_is_mirrored_with_the_scene(drawn: scenes.Scenes) -> None:
    scene, recipe = drawn[0], replace(TINY, batch=16)
    there = scene["classes"] != BACKGROUND
    ((images, (labels, deltas)),) = detector.batches(recipe, 0, np.repeat(drawn[:1], 16))
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    )
    light = scene["picture"].sum(axis=2)  # whichever way the channels are swapped
    ways = []
    for image, label, delta in zip(images, labels.numpy(), deltas.numpy(), strict=True):
        seen = (image * std + mean).sum(dim=0).numpy() * 255
        ways.append(not np.allclose(seen, light, atol=0.1))
        expected = scene["boxes"][there]
        if ways[-1]:
            assert np.allclose(seen[:, ::-1], light, atol=0.1)
            expected = expected[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [224, 0, 224, 0]
        taught = label >= 0
        apart = np.abs(decode(ANCHORS[taught], delta[taught])[:, None] - expected).max(axis=2)
        assert (apart.min(axis=1) < 0.1).all() and (apart.min(axis=0) < 0.1).all()
        assert (scene["classes"][there][apart.argmin(axis=1)] == label[taught]).all()
    assert 0 < sum(ways) < 16


def test_an_epochs_batches_come_from_seed_and_epoch_alone(drawn: scenes.Scenes) -> None:
    """So a training that is broken off goes on as `training.train` promises for every kind of batch."""
    first, again, other = ([*detector.batches(TINY, epoch, drawn)] for epoch in (1, 1, 0))
    assert all(torch.equal(one[0], two[0]) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


def lost(logits: float, deltas: float, labels: list[int]) -> float:
    """The loss of one level of one row, an anchor a cell, that says the same everywhere and should say 0."""
    maps = (torch.full((1, 10, 1, len(labels)), logits), torch.full((1, 4, 1, len(labels)), deltas))
    return detector.loss_of(RECIPE, maps, (torch.tensor([labels]), torch.zeros(1, len(labels), 4))).item()


def test_the_loss_by_hand() -> None:
    """Anchors of class 0 and of background, with every class at chance 1/2, and one that is ignored."""
    right, wrong = 0.25 * 0.5**2 * math.log(2), 0.75 * 0.5**2 * math.log(2)
    assert lost(0.0, 1.0, [0, BACKGROUND, IGNORED]) == pytest.approx(right + 19 * wrong + 4)
    assert lost(0.0, 1.0, [0, 0, BACKGROUND, IGNORED]) == pytest.approx((2 * right + 28 * wrong) / 2 + 4)
    assert lost(0.0, 1.0, [BACKGROUND]) == pytest.approx(10 * wrong)


def test_classes_are_learnt_each_for_itself() -> None:
    """Softmax would say 1/10 to each of ten; sigmoids say yes ten times, nine of them wrongly."""
    assert lost(9.0, 0.0, [0]) == pytest.approx(9 * 0.75 * 9, rel=0.01)


def test_average_precision_and_counts_by_hand() -> None:
    """Two objects of a class; a right box, a second one on it, a wrong one, and a faint right one."""
    truth = np.zeros(2, scenes.SCENE)
    truth["classes"] = BACKGROUND
    truth["classes"][:, 0], truth["boxes"][:, 0] = 3, (10, 10, 50, 50)
    here, there = [10.0, 10, 50, 50], [100.0, 100, 140, 140]
    answers = [
        [Found(3, 0.9, here), Found(3, 0.8, here)],
        [Found(3, 0.7, there), Found(3, 0.2, here), Found(4, 0.9, here)],
    ]
    scored = scoring.score(truth, answers)
    assert scored.counts.tolist() == [[1, 2, 1], [1, 2, 0]]
    assert scored.ap50() == pytest.approx((51 * 1 + 50 * 0.5) / 101)  # recall 0.5 at precision 1, 1 at 2/4
    first, second = np.array([0, 0]), np.array([1, 1])
    assert scored.ap50(first) == 1 and scored.ap50(second) == 0.5
    assert scored.ap50() == scored.ap50(np.arange(2))  # drawing anew leaves no trace
    assert scoring.interval(scored.ap50, 2, rounds=50) == (0.5, 1)
    assert scoring.interval(lambda chosen: scored.ap50(chosen) - scored.ap50(chosen), 2) == (0, 0)
    nothing = scoring.score(truth, [[], []])
    assert nothing.ap() == 0 and nothing.counts.tolist() == [[1, 0, 0], [1, 0, 0]]


def test_the_shipped_weights_keep_what_their_card_says(judged: scenes.Scenes) -> None:
    card = training.card(WEIGHTS)
    assert card.accuracy >= 0.8 and card.recipe == asdict(RECIPE) and WEIGHTS.stat().st_size <= 2_000_000
    scored = scoring.score(judged, scoring.found(detector.load(), judged))
    low, high = scoring.interval(scored.ap50, SUBSET, rounds=100)
    assert low - 0.03 <= card.accuracy <= high + 0.03


def test_the_board_gets_the_detector_in_float_and_in_int8(judged: scenes.Scenes) -> None:
    network = detector.load()
    exact, int8 = scoring.graphs(network, scenes.dataset(4, split="train"))
    operators = {node.op_type for node in exact.graph.node}
    assert "Pad" not in operators and [one.name for one in exact.graph.output] == detector.OUTPUTS
    scores = [scoring.score(judged[:10], scoring.found(one, judged[:10])) for one in (network, exact, int8)]
    assert scores[0].ap50() == pytest.approx(scores[1].ap50(), abs=1e-3)
    assert scores[2].ap50() > 0.5 and scores[2].ap() != scores[1].ap()


def test_the_record_is_of_the_shipped_weights_and_can_be_made_again(tmp_path: Path) -> None:
    record = json.loads(towers.RECORD.read_text(encoding="utf-8"))
    rows = {row["tower"]: row for row in record["rows"]}
    assert rows.keys() == detector.LAYERS.keys()
    assert rows["depth-wise"]["ap50"] == training.card(WEIGHTS).accuracy
    for tower, row in rows.items():
        costs = {f"{part}_macs": count for part, count in detector.macs(detector.build(tower)).items()}
        assert costs.items() <= row.items() and row.keys() == record["columns"].keys()
    again, weights = tmp_path / "record.json", tmp_path / "weights.safetensors"
    again.write_text(json.dumps(record), encoding="utf-8")
    once = replace(TINY, epochs=1, batch=8)
    towers.main(recipe=once, test=2, path=again, weights=weights)
    made = json.loads(again.read_text(encoding="utf-8"))
    assert made.keys() == record.keys() and made["columns"] == record["columns"]
    assert [row.keys() for row in made["rows"]] == [row.keys() for row in record["rows"]]
    assert [row["tower"] for row in made["rows"]] == ["dense", "depth-wise"]
    card, network = training.card(weights), detector.load(weights)
    assert (card.recipe, card.test_pictures, card.accuracy) == (asdict(once), 2, made["rows"][1]["ap50"])
    judged = scenes.dataset(2, split="test")
    assert scoring.score(judged, scoring.found(network, judged)).ap() == made["rows"][1]["ap"]
