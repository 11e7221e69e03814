"""Fine-tuning: who is held out, what an interruption costs, what is refused, and what deploy gets."""

import random
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from other_drawings import draw

from helpers.__main__ import main
from helpers.graph.export import export
from helpers.model.weights import load
from helpers.pocket import finetune as module
from helpers.pocket import training
from helpers.pocket.finetune import finetune, interval, split
from helpers.quant.accuracy import labelled


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("drawn"), each=20, classes=3)


@pytest.fixture
def images(drawn: Path, tmp_path: Path) -> Path:
    return shutil.copytree(drawn, tmp_path / "images")


def test_a_head_on_trained_weights_learns_shapes_it_never_saw(images: Path, tmp_path: Path):
    (images / ".ipynb_checkpoints").mkdir()
    before = torch.get_rng_state(), random.getstate()
    made = finetune("pocket", images, tmp_path / "out", epochs=0)
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert made.facts["classes"] == ["arrow", "cross", "flag"]
    assert (made.facts["learned"], made.facts["held_out"]) == (48, 12)
    assert made.facts["interval"][0] > 1 / 3 == made.facts["guessing"] == made.facts["largest_class"]
    assert not finetune("pocket", images, tmp_path / "out", epochs=0).remade
    held = {path.resolve() for path, _ in labelled(tmp_path / "out" / "held-out", classes=3)}
    assert len(held) == 12 and all(path.parent.parent == images.resolve() for path in held)
    file = made.path("finetuned.safetensors")
    assert export("pocket", tmp_path / "exported", checkpoint=file).classes == 3
    same = map(torch.equal, load("pocket", file).parameters(), load("pocket").parameters())
    assert [*same][-5:] == [True] + [False] * 4  # the head has four


def test_an_interrupted_one_ends_in_the_same_bytes(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def files(out: Path) -> list[bytes]:
        return [(out / name).read_bytes() for name in ("finetuned.safetensors", "finetune.json")]

    finetune("pocket", images, tmp_path / "straight", epochs=2)
    keep, out = training.keep, tmp_path / "out"

    def keep_and_break_off(*args: object) -> None:
        keep(*args)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "keep", keep_and_break_off)
        finetune("pocket", images, out, epochs=2)
    with pytest.raises(ValueError, match=r"another recipe.*'epochs': 2}"):
        finetune("pocket", images, out, epochs=1)
    monkeypatch.setattr(module, "fit_head", None)  # it is done
    finetune("pocket", images, out, epochs=2)
    assert files(out) == files(tmp_path / "straight")
    assert sorted(path.name for path in out.iterdir() if path.name != ".lock") == [
        "finetune.json",
        "finetuned.safetensors",
        "held-out",
    ]


def test_content_and_seed_decide_who_is_held_out(images: Path):
    def held(seed: int = 0) -> set[bytes]:
        pairs = labelled(images, classes=3)
        learned, held, _ = split(pairs, ["arrow", "cross", "flag"], seed=seed)
        assert sorted(learned + held) == sorted(pairs)
        seen = {path.read_bytes() for path, _ in learned}
        assert seen.isdisjoint(path.read_bytes() for path, _ in held)
        return {path.read_bytes() for path, _ in held}

    before = held()
    for number, path in enumerate(sorted((images / "flag").iterdir())):
        shutil.copy(path, path.with_stem(f"copy-{number}"))
        path.rename(path.with_stem(f"{99 - number}"))
    assert held() == before != held(seed=1)


def test_the_interval_is_wilsons():
    """Newcombe, 1998, Table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for right, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert interval(right / count, count) == pytest.approx((low, high), abs=1e-4)


def spoil(images: Path, how: str) -> None:
    if how == "broken":
        (images / "flag" / "broken.png").write_text("no picture")
    elif how in ("empty", "one"):
        for path in sorted((images / "flag").iterdir())[how == "one" :]:
            path.unlink()
    elif "full" in how:  # 1.2 MB of pictures
        for path in [path for path, _ in labelled(images, classes=3)][::-1]:
            if len([*path.parent.iterdir()]) > 2:
                path.unlink()
    elif how in ("single", "flat"):
        for name in ["arrow", "cross", "flag"][how == "single" :]:
            shutil.rmtree(images / name)


@pytest.mark.parametrize(
    ("how", "options", "told"),
    [
        ("flat", "", "0 folders"),
        ("single", "", "1 folders"),
        ("empty", "", "flag: 0 different"),
        ("one", "", "flag: 1 different"),
        ("broken", "", "broken.png"),
        ("", "--epochs -1", "epochs -1"),
        ("", "--model efficientvit_m6", "unknown model"),
        ("", "--model efficientvit_m1 --checkpoint pocket", "does not fit efficientvit_m1 but pocket"),
        ("full at 100000", "", ".pictures"),
        ("full at 2000000", "--epochs 1", ".training-"),
        ("full at 2000000", "", "finetuned.safetensors"),
    ],
)
def test_a_refusal_is_one_sentence_and_leaves_nothing(
    how: str,
    options: str,
    told: str,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    full_disk: Callable[[int], AbstractContextManager[None]],
):
    spoil(images, how)
    disk = full_disk(int(how.split()[-1]) if "full" in how else 1 << 30)
    command = f"finetune --model pocket --epochs 0 --images {images} --out {tmp_path / 'out'} {options}"
    with disk:
        assert main(command.split()) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("finetune: ") and told in last
    assert not list(tmp_path.glob("out/finetune*"))
