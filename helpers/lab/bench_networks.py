"""What the bench measures of networks and graphs: size, latency, the rival, growth. One thread throughout."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from helpers.graph import export
from helpers.graph.cost import activation_bytes
from helpers.graph.fold import fold
from helpers.graph.graph import Graph
from helpers.lab import contest
from helpers.lab.bench_entry import WARMUP, Bar, Entry, Side, entry, growth, pair
from helpers.model import weights
from helpers.model.memory import release_memory
from helpers.model.reference import timm_model
from helpers.model.variants import INPUT_SIZE, VARIANTS
from helpers.quant import quantize, rehearsal
from helpers.quant.ranges import Values
from helpers.timing import in_turn

M5 = "efficientvit_m5"
NODES = Bar(side="at most", limit=565)
BYTES = Bar(side="at most", limit=0.92)  # of what the recipe's graph writes
NO_SLOWER = Bar(side="at most", limit=1)
INT8 = Bar(side="at most", limit=0.65)  # of the float graph's latency


def graphs(models: Sequence[str] = tuple(VARIANTS)) -> list[Entry]:
    """Nodes, Constants apart, and bytes written by the folded graphs and the post's recipe, at opset 11."""
    found = []
    for name in models:
        sizes = {}
        with tempfile.TemporaryDirectory() as scratch:
            for kind, graph in _graphs(name, Path(scratch)):
                sizes[kind] = (Graph(graph).operators.total(), activation_bytes(graph))
        release_memory()
        judged = name == M5
        for at, (what, unit) in enumerate((("nodes", "nodes"), ("bytes written", "bytes"))):
            folded, recipe = sizes["folded"][at], sizes["recipe"][at]
            sides = {"folded": Side.of(folded, unit), "recipe": Side.of(recipe, unit)}
            bar = BYTES if judged and unit == "bytes" else None
            title = f"{what} of {VARIANTS[name].short}, folded / recipe"
            found.append(entry(title, folded / recipe, unit="", rounds=1, sides=sides, bar=bar))
        if judged:
            nodes = sizes["folded"][0]
            found.append(entry("nodes of M5, folded", nodes, unit="nodes", rounds=1, bar=NODES))
    return found


def latency(name: str = M5, rounds: int = 100) -> list[Entry]:
    """ONNX Runtime on one image: the folded graph against the recipe's, and INT8 against float."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {kind: Path(scratch, f"{kind}.onnx") for kind in ("recipe", "folded", "INT8")}
        for kind, graph in _graphs(name, Path(scratch)):
            onnx.save(graph, files[kind])
            if kind == "folded":
                onnx.save(quantize.quantize(quantize.calibrate(graph, _pictures(2))), files["INT8"])
        release_memory()
        runs = {kind: contest.session(file, batch=1) for kind, file in files.items()}
        seconds = in_turn(runs, rounds=rounds, warmup=WARMUP)
    short = VARIANTS[name].short
    excuse = "" if export.int8_instructions() else "this CPU has no instructions for 8-bit products"
    return [
        pair(f"latency of {short}, folded / recipe", seconds, "folded", "recipe", bar=NO_SLOWER),
        pair(f"latency of {short}, INT8 / folded", seconds, "INT8", "folded", bar=INT8, excuse=excuse),
    ]


def rival(name: str = M5, rounds: int = 20, batches: Sequence[int] = (1, 16)) -> list[Entry]:
    """MobileNetV3-Large against `name`: the last batch in PyTorch, then each in ONNX Runtime.

    Above 1, `name` is so many times as fast as its rival. PyTorch comes first, and also with its freed memory
    kept: how often the system must map the rival's pages anew depends on what the process did before.
    """
    ours, theirs = VARIANTS[name].short, "MobileNetV3-Large"
    names = {theirs: contest.RIVAL, ours: name}
    batch = batches[-1]
    passes = {title: contest.eager(timm_model(of), batch=batch) for title, of in names.items()}
    found = [_lead(f"PyTorch, batch {batch}", passes, rounds=rounds)]
    with contest.memory_kept() as can:
        if can:
            found.append(_lead(f"PyTorch, batch {batch}, memory kept", passes, rounds=rounds))
    del passes
    networks = {title: timm_model(of) for title, of in names.items()}
    with tempfile.TemporaryDirectory() as scratch:
        theirs_file = contest.exported(networks[theirs], Path(scratch, "theirs.onnx"))
        ours_files = {
            ours: contest.exported(networks[ours], Path(scratch, "ours.onnx")),
            f"{ours} folded": contest.exported(fold(networks[ours]), Path(scratch, "folded.onnx")),
        }
        for batch in batches:
            for title, file in ours_files.items():
                runs = {
                    theirs: contest.session(theirs_file, batch=batch),
                    title: contest.session(file, batch=batch),
                }
                found.append(_lead(f"ONNX Runtime, batch {batch}", runs, rounds=rounds))
                del runs
                release_memory()
    return found


def _lead(engine: str, runs: Mapping[str, Callable[[], object]], *, rounds: int) -> Entry:
    """How many times as fast as the first of two the second is."""
    theirs, ours = runs
    seconds = in_turn(runs, rounds=rounds, warmup=WARMUP)
    return pair(f"latency of {theirs} / {ours}, {engine}", seconds, theirs, ours)


def export_growth(models: Sequence[str] = tuple(VARIANTS), rounds: int = 3) -> list[Entry]:
    """The gated export of each model, from weights to files, against the first one's."""
    with tempfile.TemporaryDirectory() as scratch:

        def exporting(name: str) -> Callable[[], object]:
            return lambda: export.board_ready(name, _fresh(scratch), checkpoint="random")

        seconds = in_turn({VARIANTS[name].short: exporting(name) for name in models}, rounds=rounds, warmup=1)
    release_memory()
    return growth("export", seconds, warmup=1)


def rehearsal_growth(
    models: Sequence[str] = (next(iter(VARIANTS)), M5),
    images: Sequence[int] = (1, 2, 4, 8, 16),
    rounds: int = 3,
) -> list[Entry]:
    """The whole rehearsal on the most images, by model; the ranges and rounding of the last, by images."""
    most, found = max(images), []
    with tempfile.TemporaryDirectory() as scratch:
        files = {
            VARIANTS[name].short: export.board_ready(name, _fresh(scratch), checkpoint="random").simplified
            for name in models
        }

        def rehearsing(file: Path) -> Callable[[], object]:
            return lambda: rehearsal.rehearse(file, _fresh(scratch), pictures=_pictures(most))

        seconds = in_turn({title: rehearsing(file) for title, file in files.items()}, rounds=rounds, warmup=0)
        found += growth(f"rehearsal on {most} images", seconds, warmup=0)
        title, graph = list(files)[-1], onnx.load(files[list(files)[-1]])

    def rounding(number: int) -> Callable[[], object]:
        return lambda: quantize.quantize(quantize.calibrate(graph, _pictures(number)))

    steps = {f"{number} image" + "s" * (number > 1): rounding(number) for number in images}
    seconds = in_turn(steps, rounds=rounds, warmup=1)
    return found + growth(f"calibration and rounding of {title}", seconds, warmup=1)


def _graphs(name: str, scratch: Path) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The simplified graph of the post's recipe and the folded one, of the same random weights."""
    network = weights.load(name, "random")
    for kind, made in (("recipe", lambda: network), ("folded", lambda: fold(network))):
        yield kind, export.simplify(export.to_onnx(made(), scratch / "exported.onnx"))
        release_memory()


def _pictures(number: int) -> list[Values]:
    """Noise: the time of a rehearsal does not depend on what the pictures show."""
    generator = np.random.default_rng(0)
    shape = (1, 3, INPUT_SIZE, INPUT_SIZE)
    return [generator.standard_normal(shape, dtype=np.float32) for _ in range(number)]


def _fresh(folder: str) -> Path:
    """A new folder in `folder`: an export or rehearsal that is there already would be used again."""
    return Path(tempfile.mkdtemp(dir=folder))
