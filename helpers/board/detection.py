"""A compiled detector on the board, on one picture: pyaxengine runs it, numpy there decodes its maps."""

import io
import tempfile
from pathlib import Path

from PIL import Image

from helpers.board import objects
from helpers.board.run import engine_failed
from helpers.board.ssh import Board, session
from helpers.detect import boxes, results
from helpers.files import DATA
from helpers.graph.graph import load
from helpers.graph.preprocess import Preprocessing, as_rgb, board_crop, placed, read_metadata, upright
from helpers.logs.parse_log import parse
from helpers.logs.records import BoardRun

SENT = {"helpers/detect/boxes.py": boxes, "helpers/detect/results.py": results, "objects.py": objects}


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
    with tempfile.TemporaryDirectory() as scratch:
        picture = Path(scratch, "picture")
        picture.write_bytes(pixels.tobytes())
        files = {name: Path(str(module.__file__)) for name, module in SENT.items()}
        names = DATA / "coco_classes.json"
        files |= {"model.axmodel": axmodel, "picture": picture, names.name: names}
        script = f"run python3 objects.py model.axmodel picture {' '.join(map(str, sizes))} {repeats}"
        session(board, script, files=files, log=log, seconds=600, on_line=lambda _: None)
    text = log.read_text(errors="replace")
    records = [
        each for each in parse(io.BytesIO(text.encode()), source=str(log)) if isinstance(each, BoardRun)
    ]
    if not (records and records[-1].ok):
        raise engine_failed(board, "found nothing", log)
    return records[-1]
