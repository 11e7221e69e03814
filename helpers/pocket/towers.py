"""Two heads for the pocket detector, dense and depth-wise: one recipe, measured on the same scenes.

`python -m helpers.pocket.towers` trains what build/pocket does not hold yet, and goes on where it stopped. It
writes data/measured/pocket_towers.json, and data/weights/pocket_detector.safetensors of the depth-wise one.
"""

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from helpers.files import BUILD, DATA
from helpers.model.reference import one_thread
from helpers.pocket import scenes
from helpers.pocket.detector import RECIPE, WEIGHTS, Tower, begin, macs, train
from helpers.pocket.scoring import found, interval, score
from helpers.pocket.training import Card, Recipe, save

RECORD = DATA / "measured" / "pocket_towers.json"
TEST_SCENES = 500
COLUMNS = {
    "tower": "layers of the head's two towers: 3 × 3 over all channels, or within each and then 1 × 1",
    "ap50": "mean average precision at an overlap of 0.5, by pycocotools",
    "ap50_low": "lower end of its 95 % interval, by a bootstrap over the scenes",
    "ap50_high": "upper end",
    "ap": "COCO's AP: the mean over overlaps of 0.5, 0.55, … 0.95",
    "backbone_macs": "multiply-accumulates of one picture",
    "neck_macs": "the same of the neck",
    "head_macs": "the same of the head, on all levels",
    "parameters": "of the whole",
    "core_minutes": "processor time of the training, of one core",
}


def measure(
    tower: Tower, *, folder: Path, recipe: Recipe = RECIPE, test: int = TEST_SCENES
) -> dict[str, Any]:
    """One row of the record: a detector trained and measured, or what `folder` holds of it.

    Its weights are rounded to half precision first, as the shipped ones are, and kept beside it.
    """
    kept = folder / f"detector-{tower}-{recipe.seed}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    drawn = scenes.dataset(recipe.pictures, split="train", folder=folder)
    judged = scenes.dataset(test, split="test", folder=folder)
    network = begin(tower, seed=recipe.seed)
    started = time.process_time()
    train(network, recipe, drawn, kept=kept.with_suffix(".pt"))
    core_minutes = (time.process_time() - started) / 60
    scored = score(judged, found(network.half().float(), judged))
    ap50, (low, high) = scored.ap50(), interval(scored.ap50, test)
    row = {"tower": tower, "ap50": ap50, "ap50_low": low, "ap50_high": high, "ap": scored.ap()}
    row |= {f"{part}_macs": count for part, count in macs(network).items()}
    row["parameters"] = sum(parameter.numel() for parameter in network.parameters())
    row["core_minutes"] = core_minutes
    card = Card(accuracy=ap50, recipe=asdict(recipe), core_minutes=core_minutes, test_pictures=test)
    save(network, kept.with_suffix(".safetensors"), card)
    kept.write_text(json.dumps(row))
    return row


def main() -> None:
    """Trains what is missing, then writes the record and the weights."""
    folder = BUILD / "pocket"
    with one_thread():
        rows = [measure(tower, folder=folder) for tower in get_args(Tower)]
    record = {
        "title": "The pocket detector with two kinds of head",
        "source": "measured with `python -m helpers.pocket.towers`",
        "conditions": f"{TEST_SCENES} test scenes; one thread; recipe {json.dumps(asdict(RECIPE))}",
        "columns": COLUMNS,
        "rows": rows,
    }
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.copyfile(folder / f"detector-depth-wise-{RECIPE.seed}.safetensors", WEIGHTS)


if __name__ == "__main__":
    main()
