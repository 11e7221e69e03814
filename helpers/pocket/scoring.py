"""How good a detector is on scenes: average precision by COCO's code, and what it finds at a score.

All is kept per scene, so that drawing scenes anew (the bootstrap) gives the interval of any figure.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn
from tqdm.auto import tqdm

from helpers.detect.boxes import BACKGROUND, Integers
from helpers.detect.results import Found, detections
from helpers.graph.convert import simplify, to_onnx
from helpers.graph.fold import fold
from helpers.graph.session import session_of
from helpers.model.reference import to_input
from helpers.pocket.data import CLASSES, SIZE
from helpers.pocket.detector import GRID, OUTPUTS
from helpers.pocket.scenes import Scenes
from helpers.quant.quantize import calibrate, quantize

SHOWN = 0.3  # the score from which an application would draw a box


@torch.inference_mode()
def found(detector: nn.Module | onnx.ModelProto, drawn: Scenes) -> list[list[Found]]:
    """What a detector, in PyTorch or as a graph, finds in each scene, best first."""
    network: Any = detector
    session = session_of(detector, optimized=True) if isinstance(detector, onnx.ModelProto) else None
    answers = []
    for picture in tqdm(drawn["picture"], desc="scenes", leave=False):
        fed = to_input(picture[None])
        said = session.run(None, {"input": fed.contiguous().numpy()}) if session else network(fed)
        maps = [np.asarray(part) for part in said]
        answers.append(detections(maps, (SIZE, SIZE), (SIZE, SIZE), grid=GRID))
    return answers


def graphs(network: nn.Module, calibrating: Scenes) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The detector as the board would get it, in float and with Pulsar2's INT8 rounding in it.

    Some 32 scenes of the training split calibrate.
    """
    graph = simplify(to_onnx(fold(network), outputs=OUTPUTS))
    images = to_input(calibrating["picture"]).contiguous().numpy()
    return graph, quantize(calibrate(graph, np.split(images, len(images))))


@dataclass(frozen=True)
class Scored:
    """A detector's answers held against the truth by pycocotools.

    `chosen` are places of scenes, each never, once or several times; all once if left out.
    """

    evaluation: COCOeval

    @cached_property
    def _matches(self) -> NDArray[Any]:
        """What COCOeval matched, of each class in each scene: [classes, scenes]."""
        return np.array(self.evaluation.evalImgs, object).reshape(len(CLASSES), -1)

    def average_precision(self, chosen: Any = slice(None)) -> NDArray[np.float64]:
        """At overlaps of 0.5, 0.55, … 0.95, of each class: [10, classes]; NaN for one without objects."""
        self.evaluation.evalImgs = [*self._matches[:, chosen].ravel()]
        with contextlib.redirect_stdout(io.StringIO()):
            self.evaluation.accumulate()
        precision = self.evaluation.eval["precision"][..., 0, 0]  # [overlaps, recalls, classes]
        return np.where((precision < 0).any(axis=1), np.nan, precision.mean(axis=1))

    def ap(self, chosen: Any = slice(None)) -> float:
        """COCO's AP: the mean over overlaps and classes."""
        return float(np.nanmean(self.average_precision(chosen)))

    def ap50(self, chosen: Any = slice(None)) -> float:
        """The mean over classes where half an overlap is enough."""
        return float(np.nanmean(self.average_precision(chosen)[0]))

    @cached_property
    def counts(self) -> Integers:
        """Objects, boxes SHOWN, and right ones of these: [scenes, 3].

        A box is right where it overlaps an object of its class by half that no better one has taken.
        """
        counted = np.zeros((self._matches.shape[1], 3), np.int64)
        for scenes in self._matches:
            for place, held in enumerate(scenes):
                if held is not None:  # neither object nor box of this class
                    shown = np.asarray(held["dtScores"]) >= SHOWN
                    right = shown & (held["dtMatches"][0] > 0)
                    counted[place] += len(held["gtIds"]), shown.sum(), right.sum()
        return counted


def score(drawn: Scenes, answers: Sequence[Sequence[Found]]) -> Scored:
    """Holds what was `found` in scenes against their objects."""
    truth = zip(drawn["classes"].tolist(), drawn["boxes"].tolist(), strict=True)
    objects = [[Found(label, 1.0, box) for label, box in zip(*scene, strict=True)] for scene in truth]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(objects), _coco(answers), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
    return Scored(evaluation)


def _coco(boxes: Sequence[Sequence[Found]]) -> COCO:
    """Boxes, scene by scene, as COCO's code takes them; those of BACKGROUND are none."""
    held, entries = COCO(), list[dict[str, Any]]()
    for place, scene in enumerate(boxes):
        for label, score, (left, top, right, bottom) in scene:
            if label != BACKGROUND:
                entry = {"image_id": place, "category_id": label, "score": score, "iscrowd": 0, "area": 0}
                box = [left, top, right - left, bottom - top]
                entries.append(entry | {"id": len(entries) + 1, "bbox": box})
    held.dataset["images"] = [{"id": place} for place in range(len(boxes))]
    held.dataset["categories"] = [{"id": label} for label in range(len(CLASSES))]
    held.dataset["annotations"] = entries
    held.createIndex()
    return held


def interval(
    figure: Callable[[Integers], float], scenes: int, *, rounds: int = 400, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of a figure by the bootstrap: `figure` of `scenes` drawn anew, `rounds` times.

    What lies between two detectors on the same scenes is a figure too: both take the same places.
    """
    rng = np.random.default_rng(seed)
    values = [figure(rng.integers(scenes, size=scenes)) for _ in range(rounds)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
