"""Loading models from every source."""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from random_networks import logits, official, randomized
from safetensors.torch import save_file
from torch import Tensor, nn

from helpers.artifacts import file_hash
from helpers.model import source, weights
from helpers.model.batchnorm import fuse_batchnorm
from helpers.model.reference import timm
from helpers.model.source import ENVIRONMENT_VARIABLE, POCKET_WEIGHTS, CheckpointError, find
from helpers.model.variants import UnknownModel
from helpers.model.weights import load

M0 = "efficientvit_m0"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Emptied at once: pytest's own folder would keep these files three times over."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.mark.parametrize("name", [M0, "efficientvit_m5"])
def test_official_and_timm_files_give_the_same_logits_bit_for_bit(name: str, folder: Path) -> None:
    model = randomized(name)
    args = argparse.Namespace(model=name)
    torch.save({"model": official(model), "epoch": 299, "args": args}, folder / "official.pth")
    torch.save(model.state_dict(), folder / "timm.pth")
    from_official, from_timm = load(name, folder / "official.pth"), load(name, str(folder / "timm.pth"))
    expected = logits(model)
    assert not from_official.training
    assert expected.std() > 0.5, "logits that are nearly equal would hide a swap"
    assert torch.equal(logits(from_official), expected)
    assert torch.equal(logits(from_timm), expected)


def test_older_files_have_matrices_for_convolutions_and_no_counters(folder: Path) -> None:
    model = randomized(M0)
    flat = {
        key: value.flatten(1) if value.shape[2:] == (1, 1) and value.ndim == 4 else value
        for key, value in official(model).items()
        if "num_batches" not in key
    }
    assert any(value.ndim == 2 and key.endswith("c.weight") for key, value in flat.items())
    save_file({key: value.contiguous() for key, value in flat.items()}, folder / "old.safetensors")
    assert torch.equal(logits(load(M0, folder / "old.safetensors")), logits(model))


def test_the_environment_names_a_file_when_nothing_else_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = load(M0, "random", seed=5)
    torch.save(other.state_dict(), folder / "mine.pth")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(folder / "mine.pth"))
    assert torch.equal(logits(load(M0)), logits(other))
    assert torch.equal(logits(load(M0, "random")), logits(randomized(M0)))
    assert find().words == f"file mine.pth sha256 {file_hash(folder / 'mine.pth')[:8]}…"
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    assert find().words == "random (seed 0)"


def test_a_file_with_other_classes_gives_a_model_with_those(folder: Path) -> None:
    torch.save(official(weights.init_model(M0, classes=10)), folder / "ten.pth")
    assert logits(load(M0, folder / "ten.pth")).shape == (1, 10)


def test_a_file_of_another_timm_network_loads_and_what_does_not_fit_is_named(folder: Path) -> None:
    state = weights.init_model("timm/test_byobnet", classes=7).state_dict()
    torch.save({"state_dict": state}, folder / "seven.pth")
    loaded = load("timm/test_byobnet", folder / "seven.pth").state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in state.items())
    with pytest.raises(CheckpointError, match=r"does not fit timm/test_resnet, nor another"):
        load("timm/test_resnet", folder / "seven.pth")


def resized(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """As load_model does in microsoft/Cream, classification/utils.py."""
    state = {key: value for key, value in state.items() if not key.endswith("attention_bias_idxs")}
    for key, wanted in model.state_dict().items():
        if key.endswith("attention_biases") and wanted.shape != state[key].shape:
            (heads, entries), new = state[key].shape, int(wanted.shape[1] ** 0.5)
            square = state[key].view(1, heads, int(entries**0.5), int(entries**0.5))
            state[key] = nn.functional.interpolate(square, size=(new, new), mode="bicubic").view(heads, -1)
    return state


@pytest.mark.parametrize(("size", "moved"), [(256, 0), (320, 3), (384, 3)])
def test_another_image_size_brings_the_bias_tables_there_as_the_authors_do(
    size: int, moved: int, folder: Path
) -> None:
    model = randomized(M0)
    torch.save(official(model), folder / "at224.pth")
    expected = timm.create_model(M0, img_size=size).eval()
    state = resized(model.state_dict(), expected)
    assert sum(value.shape != model.state_dict()[key].shape for key, value in state.items()) == moved
    expected.load_state_dict(state)
    found = load(M0, folder / "at224.pth", image_size=size)
    picture = torch.randn(1, 3, size, size)
    with torch.no_grad():
        assert torch.equal(found(picture), expected(picture))
    assert found.pretrained_cfg["input_size"] == (3, size, size)  # type: ignore[index,union-attr]


@pytest.mark.parametrize("window", [7, 12])
def test_a_file_trained_at_that_size_loads_as_it_is(window: int, folder: Path) -> None:
    trained = weights.init_model(M0, image_size=384, window=window)
    for key, parameter in trained.named_parameters():
        if key.endswith("attention_biases"):
            nn.init.normal_(parameter)
    torch.save(official(trained), folder / "at384.pth")
    loaded = load(M0, folder / "at384.pth", image_size=384).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in trained.state_dict().items())
    with pytest.raises(CheckpointError, match="another image size: give that as image_size"):
        load(M0, folder / "at384.pth")


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        (M0, 300, "multiple of 32"),
        (M0, 96, "from 128 to 640"),
        (M0, 672, "from 128 to 640"),
        ("timm/test_resnet", 224, "has its own"),
    ],
)
def test_a_size_that_cannot_be_is_one_sentence(name: str, size: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load(name, "random", image_size=size)


def lose(state: dict[str, Tensor]) -> None:
    del state["head.l.bias"]


def fuse(state: dict[str, Tensor]) -> None:
    state.clear()
    state.update(official(fuse_batchnorm(weights.init_model(M0))))


def wrap(state: dict[str, Tensor]) -> None:
    """Of another network, whose names it cannot know."""
    state.update({f"a.b.layer_{key}": state.pop(key) for key in list(state)})


def spoil(state: dict[str, Tensor]) -> None:
    state["head.bn.bias"] = state["head.bn.bias"] * torch.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose, r"1 missing: head\.l\.bias"),
        (fuse, "fused"),
        (wrap, r"every key begins with 'a\.b\.'"),
        (spoil, r"cannot be meant .* in 1 weights: head\.bn\.bias"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(
    folder: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    state = official(randomized(M0))
    change(state)
    torch.save(state, folder / "odd.pth")
    with pytest.raises(CheckpointError, match=message):
        load(M0, folder / "odd.pth")


def test_a_file_of_another_variant_is_named(folder: Path) -> None:
    torch.save(official(weights.init_model("efficientvit_m2")), folder / "m2.pth")
    with pytest.raises(CheckpointError, match="does not fit efficientvit_m0 but efficientvit_m2: load it as"):
        load(M0, folder / "m2.pth")


def test_names_and_paths_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownModel, match=r"timm/NAME for another"):
        load("efficientvit_b1", "random")
    with pytest.raises(UnknownModel, match=r"did you mean timm/mobilenetv3_large_100"):
        load("timm/mobilenetv3_larg_100", "random")
    with pytest.raises(UnknownModel, match=r"choose one of resnet18\.a1_in1k"):
        load("timm/resnet18.bogus", "random")
    with pytest.raises(CheckpointError, match="there is no file nowhere"):
        load(M0, "nowhere.pth")
    with pytest.raises(CheckpointError, match="there is no file nowhere"):
        find("nowhere.pth")
    monkeypatch.setenv("EFFICIENTVIT_CHECKPOINT", "nowhere.pth")
    with pytest.raises(CheckpointError, match="which EFFICIENTVIT_CHECKPOINT names"):
        find(name=M0)


def test_random_weights_come_from_the_seed_alone() -> None:
    again = load(M0, "random", seed=0)
    first = randomized(M0).state_dict()
    assert all(torch.equal(value, first[key]) for key, value in again.state_dict().items())
    assert not torch.equal(logits(load(M0, "random", seed=1)), logits(again))


def test_the_pocket_model(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = logits(load("pocket"))
    assert expected.shape == (1, 10)
    for name, checkpoint in ((M0, "pocket"), ("pocket", POCKET_WEIGHTS)):
        assert torch.equal(logits(load(name, checkpoint)), expected)
    words = f"pocket, trained in chapter 04, sha256 {file_hash(POCKET_WEIGHTS)[:8]}…"
    assert find("pocket").words == find(name="pocket").words == words
    with pytest.raises(CheckpointError, match="does not fit efficientvit_m0 but pocket"):
        load(M0, POCKET_WEIGHTS)
    monkeypatch.setattr(source, "POCKET_WEIGHTS", Path("nowhere.safetensors"))
    with pytest.raises(CheckpointError, match="nowhere"):
        load("pocket")


@pytest.mark.parametrize("checkpoint", ["pocket", "random"])
def test_the_global_random_state_stays(checkpoint: str) -> None:
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    load("pocket", checkpoint)
    assert torch.initial_seed() == 123
    assert torch.equal(torch.rand(3), expected)
