"""What a sweep is of, and what its table says."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from small_books import CHECKS, RESULT, book

from helpers import chain
from helpers.__main__ import main
from helpers.lab import judge, tables, tasks
from helpers.lab.sweep import Row, Task, read, sweep
from helpers.model.source import POCKET_WEIGHTS
from helpers.model.variants import VARIANTS
from helpers.paired import interval, mcnemar
from helpers.pocket import data
from helpers.quant.accuracy import ImagesError


def test_a_checkpoint_names_its_classes_or_has_imagenets(tmp_path: Path):
    assert tuple(tasks.class_names("pocket", POCKET_WEIGHTS)) == data.CLASSES
    assert tasks.class_names(tasks.LITE0, tmp_path / "any.pth")[:2] == ["n01440764", "n01443537"]
    save_file({"head.linear.bias": np.zeros(7, np.float32)}, tmp_path / "own.safetensors")
    with pytest.raises(ImagesError, match="7 classes"):
        tasks.class_names("efficientvit_m0", tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match="--limit -1"):
        tasks.accuracies(["pocket"], limit=-1)


def test_too_few_pictures_are_refused(tmp_path: Path):
    (folder := tmp_path / data.CLASSES[0]).mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    with pytest.raises(ImagesError, match="64"):
        tasks.accuracies(["pocket"], images=tmp_path)


def done(task: Task, row: dict[str, object]) -> Row:
    return Row("", task.name, task.work, task.arguments, "done", 1, row)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The pocket model on a folder per class, in two parts."""
    images, out = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("sweep") / "tasks" / "key"
    for place in range(70):
        drawn, label = data.render(place, split="test")
        (images / data.CLASSES[label]).mkdir(exist_ok=True)
        Image.fromarray(drawn).save(images / data.CLASSES[label] / f"{place:02d}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "PART", 20)
        parts = tasks.accuracies(["pocket"], images=images)
    judged = [part.arguments["pictures"] for part in parts]
    assert [len(names) for names in judged] == [20, 18]  # 32 only calibrate
    assert len({*judged[0], *judged[1], *parts[0].arguments["calibrating"]}) == 70
    return [done(part, judge.part(out, part.inputs, **part.arguments)) for part in parts]


def test_parts_add_up_to_shares_with_their_intervals(judged: list[Row]):
    lines = {line["precision"]: line for line in tables.accuracy(judged) if line["model"] == "pocket"}
    assert list(lines) == ["float", "int8", "mixed"]
    for line in lines.values():
        assert line["pictures"] == 38
        assert line["top1_low"] < line["top1"] <= line["top1_high"] and line["top1"] > 80
        assert line["top1"] <= line["top5"] and line["agreement"] > 80
    assert lines["float"]["agreement"] == 100 and lines["float"]["p"] is lines["float"]["sqnr_db"] is None
    assert 10 < lines["int8"]["sqnr_db"] < 30 and 0 < lines["int8"]["p"] <= 1


def test_without_labels_there_is_agreement_only(judged: list[Row]):
    counts = {name: dict(list(each.items())[:5]) for name, each in judged[0].row["counts"].items()}
    row = replace(judged[0], row=judged[0].row | {"counts": counts})
    line = next(line for line in tables.accuracy([row]) if line["precision"] == "int8")
    assert line["top1"] is line["p"] is None and line["agreement"] > 80


def test_the_six_say_what_they_wait_for_until_they_are_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("EFFICIENTVIT_CHECKPOINT", raising=False)
    lines = tables.accuracy([])
    assert [line["model"] for line in lines] == [*VARIANTS]
    assert all(
        line["top1"] is None and "--images" in line["note"] and line["published"] > 60 for line in lines
    )
    with pytest.raises(ValueError, match="trained weights"):
        tasks.accuracies(["efficientvit_m0"], checkpoint="random")


def test_figures_of_chance():
    low, high = interval(0.8, 10)  # Wilson (1927), as statsmodels gives it
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert interval(0, 10)[0] == 0 and interval(1, 10)[1] == pytest.approx(1)
    assert mcnemar(1, 8) == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1


def test_speeds_are_forecast_where_there_is_no_tool_and_the_next_call_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", str(tmp_path))
    asked = ["sweep", "speed", "--models", "efficientvit_m5", "--table", str(tmp_path / "out")]
    assert main(asked) == 0
    first = read(tmp_path / "out")
    assert {row.state for row in first} == {"stand-in"} and len(first) == 4
    assert main(asked) == 0
    assert [row.seconds for row in read(tmp_path / "out")] != [row.seconds for row in first]
    capsys.readouterr()
    assert main(["sweep", "show", "speed", "--format", "csv", "--table", str(tmp_path / "out")]) == 0
    table = csv.DictReader(capsys.readouterr().out.splitlines())
    eight = [line for line in table if line["batch"] == "8"]
    assert {line["npu_mode"]: line["published"] for line in eight} == {"NPU1": "1497", "NPU3": "2710"}
    assert all(line["engine"] == "forecast" and float(line["forecast"]) > 1000 for line in eight)
    with pytest.raises(chain.CannotGoOn, match="Pulsar2"):
        chain.row(tmp_path, {}, **tasks.speeds(["efficientvit_m5"], host=["my-board"])[-1].arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        ["accuracy", "--images", "nowhere", "--models", "pocket"],
        ["accuracy", "--models", "efficientvit_m9"],
        ["speed", "--npu-mode", "NPU7"],
        ["speed", "--batch", "0"],
        ["speed", "--host=-oProxyCommand=x"],
        ["run", "05", "-p", "opset", "13", "99"],
        ["run", "05", "-p", "spam", "1"],
        ["accuracy", "--workers", "0"],
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_made(wrong: list[str], tmp_path: Path):
    assert main(["sweep", *wrong, "--table", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_a_chapter_over_a_grid_has_a_row_for_each(house: Path):
    book(house / "notebooks" / "05_small.ipynb", "width = 1", CHECKS, RESULT)
    rows = sweep(tasks.chapters("5", {"width": ["2", "3"]}), house / "sweep")
    assert [row.state for row in rows] == ["done", "failed"]
    measured, failed = tables.chapters(rows)
    assert (measured["quantity"], measured["value"]) == ("width", 2) and "two is two" in failed["note"]
    made = [path.parent.parent.name for path in (house / "sweep").rglob("05_small.ipynb")]
    assert made == ["tasks"]
