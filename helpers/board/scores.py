"""The best classes of pictures by pyaxengine (AXERA-TECH/pyaxengine): one JSON line for each.

Goes to the board as a file of its own, so it needs numpy and axengine only, and Python 3.8:

    python3 scores.py MODEL PICTURES

PICTURES are raw bytes, as many as the model's only input has for each image. The last run is filled up with
its last picture where the model takes several.
"""

import importlib
import json
import sys

import numpy as np

TOP = 5


def main(model: str, pictures: str) -> None:
    """Prints `{"top": [class, …]}` for each picture, best first; the engine's own lines stand between."""
    session = importlib.import_module("axengine").InferenceSession(model)
    (fed,) = session.get_inputs()
    batch, *shape = fed.shape
    images = np.memmap(pictures, np.uint8, "r").reshape(-1, *shape)
    for start in range(0, len(images), batch):
        some = images[start : start + batch]
        whole = np.concatenate([some, *[some[-1:]] * (batch - len(some))])  # kept: a temporary array crashes
        scores = session.run(None, {fed.name: whole})[0].reshape(batch, -1)
        for best in np.argsort(-scores[: len(some)], axis=1, kind="stable")[:, :TOP].tolist():
            print(json.dumps({"top": best}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
