"""A compiled detector on the board, on one picture: pyaxengine runs it, numpy there decodes its maps."""

from pathlib import Path

from PIL import Image

from helpers.board import objects
from helpers.board.run import engine_failed, on_engine
from helpers.board.ssh import Board
from helpers.detect import boxes, results
from helpers.files import DATA
from helpers.graph.graph import load
from helpers.graph.preprocess import Preprocessing, as_rgb, board_crop, placed, read_metadata, upright
from helpers.logs.parse_log import parse
from helpers.logs.records import BoardRun

SENT = {
    "objects.py": Path(objects.__file__),
    "helpers/detect/boxes.py": Path(boxes.__file__),
    "helpers/detect/results.py": Path(results.__file__),
    "coco_classes.json": DATA / "coco_classes.json",
}


def whole(axmodel: Path) -> Preprocessing | None:
    """How pictures come to a compiled detector, by the graph beside it; None where that is no detector."""
    graph = axmodel.with_name("model-sim.onnx")
    said = read_metadata(load(graph)) if graph.is_file() else None
    return said if said and said.fit == "letterbox" else None


def detect(
    board: Board, axmodel: Path, photo: Path, fed: Preprocessing, *, out: Path, repeats: int = 100
) -> BoardRun:
    """The record of a run: latency of `session.run`, post-processing on the board's processor, and objects.

    What was printed stays in `out`/board.log. Raises BoardError with what pyaxengine said, and OSError and
    ValueError for a picture that cannot be read or fed.
    """
    with Image.open(photo) as image:
        rgb = as_rgb(image)
    pixels, (height, width) = board_crop(rgb, fed), upright(rgb).shape[:2]
    sizes = [height, width, *placed((height, width), fed.size)]
    out.mkdir(parents=True, exist_ok=True)
    log = out / "board.log"
    on_engine(board, axmodel, SENT, *sizes, repeats, pictures=[pixels], log=log)
    records = [each for each in parse(log) if isinstance(each, BoardRun)]
    if not (records and records[-1].ok):
        raise engine_failed(board, "found nothing", log)
    return records[-1]
