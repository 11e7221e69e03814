"""Two heads for the pocket detector, dense and depth-wise: one recipe, measured on the same scenes.

`python -m helpers.pocket.towers` trains both, in some 20 minutes of a core. It writes what came out into
data/measured/pocket_towers.json, and data/weights/pocket_detector.safetensors of the depth-wise one.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path

from helpers.files import DATA
from helpers.model.reference import one_thread
from helpers.pocket import scenes
from helpers.pocket.detector import LAYERS, RECIPE, WEIGHTS, begin, macs, train
from helpers.pocket.scoring import found, interval, score
from helpers.pocket.training import Card, Recipe, save

RECORD = DATA / "measured" / "pocket_towers.json"


@one_thread()
def main(recipe: Recipe = RECIPE, *, test: int = 500, path: Path = RECORD, weights: Path = WEIGHTS) -> None:
    """Trains and measures; what the record at `path` says of its columns stays."""
    record = json.loads(path.read_text(encoding="utf-8"))
    drawn, judged = scenes.dataset(recipe.pictures, split="train"), scenes.dataset(test, split="test")
    record["conditions"] = f"{test} test scenes; one thread; recipe {json.dumps(asdict(recipe))}"
    record["rows"] = []
    for tower in LAYERS:
        network, started = begin(tower, seed=recipe.seed), time.process_time()
        train(network, recipe, drawn)
        core_minutes = (time.process_time() - started) / 60
        scored = score(judged, found(network.half().float(), judged))  # rounded, as the weights are shipped
        ap50, (low, high) = scored.ap50(), interval(scored.ap50, test)
        row = {"tower": tower, "ap50": ap50, "ap50_low": low, "ap50_high": high, "ap": scored.ap()}
        row |= {f"{part}_macs": count for part, count in macs(network).items()}
        row["parameters"] = sum(parameter.numel() for parameter in network.parameters())
        record["rows"].append(row | {"core_minutes": core_minutes})
        if tower == "depth-wise":
            card = Card(accuracy=ap50, recipe=asdict(recipe), core_minutes=core_minutes, test_pictures=test)
            save(network, weights, card)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
