"""What a compiled detector finds in one picture, by pyaxengine: prints what AXERA's C++ samples print.

Goes to the board beside helpers/detect/{boxes,results}.py, so it needs numpy, axengine and Python 3.10:

    python3 objects.py MODEL BYTES HEIGHT WIDTH INSIDE_HEIGHT INSIDE_WIDTH REPEATS

BYTES are the model's input; the sizes are the picture's, and those that it has on the canvas.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np

from helpers.detect.results import OUTPUTS, detections

WARMUP = 5


def main(model: str, picture: str, *numbers: str) -> None:
    """Runs the model, then decodes its maps once; one line for each object."""
    height, width, *inside, repeats = map(int, numbers)
    print(f"model file : {model}", flush=True)
    session = importlib.import_module("axengine").InferenceSession(model)
    (fed,) = session.get_inputs()
    pixels = np.fromfile(picture, np.uint8).reshape(fed.shape)
    print(f"img_h, img_w : {fed.shape[1]} {fed.shape[2]}")
    times = []
    for _ in range(WARMUP + repeats):
        started = time.perf_counter()
        maps = session.run(OUTPUTS, {fed.name: pixels})
        times.append(1e3 * (time.perf_counter() - started))
    started = time.perf_counter()
    found = detections(maps, (height, width), (inside[0], inside[1]))
    print(f"post process cost time:{1e3 * (time.perf_counter() - started):.2f} ms")
    times = times[WARMUP:]
    average = f"avg time {sum(times) / repeats:.3f} ms"
    print(f"Repeat {repeats} times, {average}, max_time {max(times):.3f} ms, min_time {min(times):.3f} ms")
    print(f"detection num: {len(found)}")
    names = dict(enumerate(json.loads(Path("coco_classes.json").read_text())["names"]))
    for one in found:
        box = ", ".join(f"{side:.1f}" for side in one.box)
        print(f"{one.class_id}: {100 * one.score:.2f}%, [{box}], {names.get(one.class_id, '')}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
