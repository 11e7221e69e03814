"""The ablations: each differs from the pocket model in the named part, and their record is whole."""

import json
from collections import Counter
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch
from torch import nn

from helpers.model.reference import pocket_model
from helpers.pocket import ablations, data, training
from helpers.pocket.ablations import ABLATIONS, build, head_similarity

WIDTHS_BY_BLOCK = [32, 64, 64, 96, 96, 96]
HEADS, KEY = 4, 16


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def randomized(model: nn.Module) -> nn.Module:
    """Zero-initialised scales hide every residual branch: give all vectors random values."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_an_ablation_maps_the_same_input_to_the_same_output_shape(ablation: str) -> None:
    model = build(ablation)
    logits = model(torch.randn(2, 3, 224, 224))
    logits.sum().backward()
    assert logits.shape == (2, 10)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_only_the_named_modules_are_exchanged() -> None:
    own = Counter(type(module).__name__ for module in pocket_model().modules())
    changed = {
        "efficientvit": {},
        "mhsa": {"CascadedGroupAttention": -6, "MultiHead": 6},
        "no_cascade": {"CascadedGroupAttention": -6, "Uncascaded": 6},
        "layer_norm": {"BatchNorm2d": -own["BatchNorm2d"], "BatchNorm1d": -1, "LayerNorm": 1},
        "no_depthwise": {
            "ResidualDrop": -16,
            "ConvNorm": -16,
            "Conv2d": -16,
            "BatchNorm2d": -16,
            "Identity": 16,
        },
    }
    changed["layer_norm_map"] = changed["layer_norm"] | {"GroupNorm": own["BatchNorm2d"]}
    changed["layer_norm"] |= {"LayerNorm2d": own["BatchNorm2d"]}
    for ablation in ABLATIONS:
        found = Counter(type(module).__name__ for module in build(ablation).modules())
        found.subtract(own)
        assert {name: count for name, count in found.items() if count} == changed[ablation], ablation


def test_without_the_cascade_a_head_sees_its_own_channels_only() -> None:
    """A change of the first head's channels moves every head of the cascade, and one head without it."""
    x = torch.randn(1, 32, 7, 7)
    nudged = x.clone()
    nudged[:, :8] += 1
    moved = {}
    for ablation in ("efficientvit", "no_cascade", "mhsa"):
        attention = randomized(build(ablation)).stages[0].blocks[0].mixer.m.attn
        seen: list[torch.Tensor] = []
        attention.proj.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        attention(x), attention(nudged)
        moved[ablation] = [
            not torch.equal(a, b) for a, b in zip(*(y.chunk(HEADS, 1) for y in seen), strict=True)
        ]
    assert moved == {
        "efficientvit": [True] * 4,
        "no_cascade": [True, False, False, False],
        "mhsa": [True] * 4,
    }


def test_one_head_repeated_is_wholly_similar() -> None:
    model = build("mhsa")
    pictures = np.stack([data.render(index, split="test")[0] for index in range(2)])
    apart = head_similarity(model, pictures)
    attention = model.stages[2].blocks[1].mixer.m.attn
    for part in (attention.qkvs, attention.dws):
        for copy in part[1:]:
            copy.load_state_dict(part[0].state_dict())
    repeated = head_similarity(model, pictures)
    assert len(apart) == 6 and all(-1 <= value < 0.95 for value in apart)
    assert repeated[4] == pytest.approx(1, abs=1e-5)
    assert repeated[:4] == pytest.approx(apart[:4])


def test_first_weights_come_from_the_seed_and_leave_the_random_state() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one, same, other = (build("mhsa", seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    changed = "stages.0.blocks.0.mixer.m.attn.qkvs.0.conv.weight"
    assert torch.equal(one[changed], same[changed]) and not torch.equal(one[changed], other[changed])


def test_a_measured_ablation_is_read_back_and_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablations, "TEST_PICTURES", 10)
    recipe = training.Recipe(pictures=10, epochs=1, batch=10)
    run = ablations.measure("no_cascade", 3, folder=tmp_path, recipe=recipe)
    assert run.keys() == json.loads(ablations.RECORD.read_text())["runs"][0].keys()
    assert training.card(tmp_path / "no_cascade-3.safetensors").recipe["seed"] == run["seed"] == 3
    monkeypatch.setattr(ablations, "train", lambda *_: 1 / 0)
    assert ablations.measure("no_cascade", 3, folder=tmp_path, recipe=recipe) == run


def test_speed_is_taken_in_turn_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, seen = torch.get_num_threads(), []
    model = build("efficientvit").eval()
    model.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    monkeypatch.setattr(ablations, "build", lambda name: model)
    speeds = ablations.speeds(batch=1, rounds=1)
    assert speeds.keys() == json.loads(ablations.RECORD.read_text())["speed"].keys()
    assert speeds["efficientvit, folded"] == {"ratio": 1, "low": 1, "high": 1}
    assert set(seen) == {1} and torch.get_num_threads() == threads


def test_batches_go_to_the_device_that_trains() -> None:
    """Here one without data."""
    drawn = np.zeros((2, 224, 224, 3), np.uint8), np.array([0, 1])
    ((images, answers),) = ablations._batches_on("meta", training.Recipe(batch=2), 0, *drawn)
    assert images.is_meta and answers.is_meta and images.shape == (2, 3, 224, 224)


def test_the_gpu_record_is_of_the_same_recipe_and_of_eight_seeds() -> None:
    own = json.loads(ablations.RECORD.read_text())
    gpu = json.loads(ablations.GPU_RECORD.read_text())
    assert gpu["recipe"] == own["recipe"] and gpu["runs"][0].keys() == own["runs"][0].keys()
    seeds = [run["seed"] for run in gpu["runs"] if run["ablation"] == "efficientvit"]
    assert seeds == list(range(8))


def test_the_record_holds_every_ablation_and_agrees_with_the_shipped_weights() -> None:
    record = json.loads(ablations.RECORD.read_text())
    card = training.card()
    by_ablation: dict[str, list[float]] = {ablation: [] for ablation in ABLATIONS}
    for run in record["runs"]:
        by_ablation[run["ablation"]].append(run["accuracy"])
        assert len(run["head_similarity"]) == 6
        assert run["parameters"] == parameters(build(run["ablation"]))
    own = [run for run in record["runs"] if run["ablation"] == "efficientvit"]
    assert len(own) >= 3 and mean(by_ablation["efficientvit"]) >= 0.9
    assert all(by_ablation.values())
    assert own[0]["accuracy"] == card.accuracy and own[0]["seed"] == card.recipe["seed"]
