"""Calibration archives: pictures cut as the board cuts them, in a tar whose bytes depend on them alone.

Pulsar2 resizes a calibration image as a whole; its documentation (pulsar2-docs-en) knows no cropping. The
board program crops, so the pictures are cropped before they go in: what is calibrated is what will be fed.
Archives are read member by member, and nothing is unpacked.
"""

import io
import itertools
import math
import posixpath
import random
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import helper
from PIL import Image
from tqdm.auto import tqdm

from helpers import artifacts
from helpers.files import PHOTO
from helpers.finding import Finding, Level
from helpers.graph.graph import Graph, axes
from helpers.graph.preprocess import Pixels, Preprocessing, as_rgb, fitted, in_board_order, normalize
from helpers.pulsar2.schema import CALIBRATION_SIZE, EVERY, InputQuantConfig

PICTURES = CALIBRATION_SIZE * 5 // 4  # that an archive needs: a rehearsal measures on a fifth of them
FEW = f"fewer than {CALIBRATION_SIZE}: the ranges found may be too narrow; add more"
MIN_SIDE = 64  # pixels; below it the board program enlarges a picture more than four times
# Pillow's modes, beside 16-bit grey, that cv::imread reads as a picture.
READ = ("RGB", "RGBA", "L", "1", "P", "CMYK")
NUMPY = b"\x93NUMPY"  # how an array's file begins
_FINDER = re.compile(r"(?:^|/)(?:\._|\.DS_Store$|__MACOSX/)")  # what macOS adds beside the files


class ArchiveError(ValueError):
    """An archive that cannot be made, or read, or must not be unpacked; one sentence that says what to do."""


@dataclass(frozen=True)
class ArchiveReport:
    """What an archive holds. `left_out`: names and reasons; `stand_in`: what its pictures are not."""

    path: Path
    count: int
    left_out: Sequence[Sequence[str]]
    stand_in: str | None
    remade: bool

    def __str__(self) -> str:
        megabytes = self.path.stat().st_size / 1e6
        lines = [f"{self.path.name}: {self.count} pictures (Image), {megabytes:.1f} MB"]
        lines += [f"left out {name}: {reason}" for name, reason in self.left_out]
        lines += [f"warning: {FEW}"] if self.count < CALIBRATION_SIZE else []
        return "\n".join([*lines, *filter(None, [self.stand_in])])


def calibrate(out: Path, preprocessing: Preprocessing, *, images: Path | str = "") -> ArchiveReport:
    """Writes `calibration.tar` and `calibration.json` into `out`, or keeps those of the same pictures.

    `images` is a folder or paths; where it is empty, cuts of one photo stand in, and the report says so. Of
    more than are needed PICTURES are drawn, always the same ones, and as many again for those that cannot
    serve: broken, tiny or transparent ones are left out and named. Members are the crops as PNG in RGB, which
    Pulsar2 reads in `tensor_format` order and normalises itself; grey and CMYK pictures become RGB, as the
    board reads them. Raises ArchiveError when none is left or there is no such folder.
    """
    named = _listed(images) if images else [(PHOTO.name, PHOTO)]
    if len(named) > PICTURES:
        named = random.Random(0).sample(named, min(len(named), 2 * PICTURES))
    made = artifacts.step(
        "calibration",
        out,
        lambda scratch: _make(scratch / "calibration.tar", named, preprocessing, cuts=not images),
        files=["calibration.tar"],
        arguments={"preprocessing": asdict(preprocessing)},
        inputs={f"{place:02d} {name}": path for place, (name, path) in enumerate(named)},
        packages=["pillow", "numpy"],
    )
    return ArchiveReport(made.path("calibration.tar"), remade=made.remade, **made.facts)


def _make(path: Path, named: list[tuple[str, Path]], fed: Preprocessing, *, cuts: bool) -> artifacts.Facts:
    """Writes PICTURES crops into a tar at most; same pictures, same bytes."""
    left_out: list[tuple[str, str]] = []
    crops = _cuts(named[0][1], fed) if cuts else _valid(named, fed, left_out)
    bar = tqdm(crops, "calibration pictures", min(PICTURES, len(named)), unit="picture", disable=cuts)
    count = 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for count, (name, crop) in enumerate(itertools.islice(bar, PICTURES), start=1):
            buffer = io.BytesIO()
            Image.fromarray(crop).save(buffer, "PNG", compress_level=6)
            # Our own flat names: nothing of a file's name can point out of the folder it is unpacked in.
            member = tarfile.TarInfo(f"{count - 1:05d}_{re.sub('[^A-Za-z0-9-]', '_', name)[:60]}.png")
            member.size, member.mode = buffer.tell(), 0o644  # owner, group and time stay 0
            archive.addfile(member, io.BytesIO(buffer.getvalue()))
    if not count:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out[:3]) or "there are none"
        raise ArchiveError(f"no usable picture for {path.name} ({reasons}); give other images")
    stand_in = (
        f"Stand-in: all {count} pictures are cuts of one photo ({PHOTO.name}). They show that the build "
        "runs; for accuracy, calibrate on images of your own task."
    )
    return {"count": count, "left_out": left_out, "stand_in": stand_in if cuts else None}


def _cuts(photo: Path, fed: Preprocessing) -> Iterator[tuple[str, Pixels]]:
    """Random cuts of one photo, half of them mirrored, the same ones each time."""
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    height, width = pixels.shape[:2]
    draw = random.Random(0)
    for index in itertools.count():
        side = draw.uniform(0.5, 1.0) * min(height, width)
        top, left = draw.uniform(0, height - side), draw.uniform(0, width - side)
        crop = fitted(Image.fromarray(pixels[int(top) : int(top + side), int(left) :]), fed)
        yield f"cut-{index}", np.ascontiguousarray(crop[:, ::-1]) if draw.random() < 0.5 else crop


def _listed(images: Path | str) -> list[tuple[str, Path]]:
    """Name and path of each file, in an order that does not depend on the file system or on the caller."""
    folder = Path(images)
    if not folder.is_dir():
        raise ArchiveError(f"{folder}: no such folder; give a folder of images")
    files = (path for path in folder.rglob("*") if path.is_file())
    named = ((path.relative_to(folder).as_posix(), path) for path in files)
    return sorted((name, path) for name, path in named if not any(p.startswith(".") for p in name.split("/")))


def _valid(
    named: list[tuple[str, Path]], fed: Preprocessing, left_out: list[tuple[str, str]]
) -> Iterator[tuple[str, Pixels]]:
    """The crops that can serve, under the names of their files; the rest goes to `left_out`."""
    for name, path in named:
        try:
            with Image.open(path) as image:
                reason = _unfit(image)
                crop = None if reason else fitted(as_rgb(image), fed)
        except Exception as error:  # decoders raise nearly anything on damaged files
            crop, reason = None, f"not a picture that Pillow can read ({error})"
        if crop is None:
            left_out.append((name, reason))
        else:
            yield Path(name).stem, crop


def _unfit(image: Image.Image) -> str:
    if min(image.size) < MIN_SIDE:
        return f"tiny: {image.width} × {image.height}, the short side must have {MIN_SIDE} pixels"
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        return f"transparent ({image.mode})"
    fits = image.mode in READ or image.mode.startswith("I;16")
    return "" if fits else f"of mode {image.mode}, neither RGB nor grey nor CMYK"


class Member(NamedTuple):
    """What a file in an archive is: a picture by size and mode, an array by shape and dtype, or a name."""

    format: str  # Image, Numpy, NumpyObject or Binary, as Pulsar2 calls them
    shape: tuple[int, ...]  # of a picture width and height, of a raw file its bytes
    detail: str


def contents(path: Path) -> dict[str, Member]:
    """What a tar (plain or compressed) or a zip holds, by name; no picture is decoded.

    Raises ArchiveError when it is missing or damaged, and when a member could land outside the folder that it
    is unpacked in.
    """
    return {name: _member(name, content) for name, content in _files(path)}


def _member(name: str, content: bytes) -> Member:
    file = io.BytesIO(content)
    try:
        if content.startswith(NUMPY):
            version = np.lib.format.read_magic(file)
            one = version == (1, 0)
            header = np.lib.format.read_array_header_1_0 if one else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            return Member("NumpyObject" if dtype.hasobject else "Numpy", tuple(shape), str(dtype))
        with Image.open(file) as image:
            return Member("Image", image.size, image.mode)
    except Exception:  # decoders raise nearly anything on damaged files
        return Member("Binary", (len(content),), name)


def pictures(path: Path | str, preprocessing: Preprocessing, count: int) -> list[npt.NDArray[np.float32]]:
    """The first `count` members as the model gets them: float32 [1, 3, size, size], in board order.

    Images are normalised as the compiled model does it, arrays come as they are; so Pulsar2 calibrates on the
    same values. Raises ArchiveError as `contents` does, and for a member of another size.
    """
    path, size, found = Path(path), preprocessing.size, []
    for name, content in itertools.islice(_files(path), count):
        try:
            if content.startswith(NUMPY):
                values = np.load(io.BytesIO(content), allow_pickle=False)
            else:
                with Image.open(io.BytesIO(content)) as image:
                    pixels = in_board_order(np.asarray(image.convert("RGB")), preprocessing)
                values = normalize(pixels, preprocessing)
        except Exception:  # decoders raise nearly anything on damaged files
            values = None
        if values is None or values.shape != (1, 3, size, size) or values.dtype != np.float32:
            text = f"{path.name}: {name!r} is no picture of {size} × {size}"
            raise ArchiveError(f"{text}; make the archive again for this model")
        found.append(values)
    return found


def check_archive(path: Path, entry: InputQuantConfig | None, graph: Graph | None) -> Finding:
    """One archive against its entry in the configuration and the model's input, each where there is one."""
    try:
        level, text = _judged(contents(path), entry, graph)
    except ArchiveError as error:
        return Finding("calibration", "fail", str(error))
    return Finding("calibration", level, f"{path.name}: {text}")


def _judged(
    members: dict[str, Member], entry: InputQuantConfig | None, graph: Graph | None
) -> tuple[Level, str]:
    if finder := [name for name in members if _FINDER.search(name)]:
        text = f"{len(finder)} members that macOS adds, such as {finder[0]}; pack again without them"
        return "fail", f"{text}: COPYFILE_DISABLE=1 tar --exclude .DS_Store -cf …"
    held = Counter(members.values())
    groups = [f"{number} {kind} {list(shape)} {detail}" for (kind, shape, detail), number in held.items()]
    said = ", ".join(groups[:5]) or "no files"
    formats = {member.format for member in held}
    held_first = next((kind for kind in ("Image", "Numpy", "NumpyObject") if kind in formats), "Binary")
    wanted = entry.calibration_format if entry else held_first
    if formats != {wanted}:
        return "fail", f"not all members are of the format {wanted}: {said}; chapter 07 makes one"
    if wanted == "NumpyObject":
        return "warn", f"{said}: not looked into, as reading pickled arrays can run code"
    if mismatch := _mismatch(held, entry.tensor_name if entry else EVERY, graph):
        return "fail", mismatch
    if wanted == "Image" and (odd := sorted({member.detail for member in held} - {"RGB"})):
        return "warn", f"some pictures are {', '.join(odd)}, not RGB"
    if (count := held.total()) < CALIBRATION_SIZE:
        return "warn", f"{count} files, {FEW}"
    if entry is not None and count < entry.calibration_size:
        return "warn", f"{count} files, fewer than calibration_size {entry.calibration_size}: all are used"
    return "ok", said


def _mismatch(held: Counter[Member], name: str, graph: Graph | None) -> str | None:
    """What does not fit the model's input; None when all does, or when that input is not known."""
    value = next((v for v in graph.inputs if name in (v.name, EVERY)), None) if graph else None
    shape = tuple(size for size in axes(value) if isinstance(size, int)) if value else ()
    if value is None or len(shape) < len(axes(value)):
        return None
    dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    last = len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)  # channels
    height, width = (shape[1:3] if last else shape[2:4]) if len(shape) == 4 else (0, 0)
    for kind, given, detail in held:
        if kind == "Image" and len(shape) == 4 and given != (width, height):
            return (
                f"pictures of {given[0]} × {given[1]}, the model takes {width} × {height}: Pulsar2 would "
                "stretch where the board crops; let chapter 07 make the archive"
            )
        if kind == "Numpy" and (given, detail) != (shape, dtype):
            return f"arrays {detail} {given}, the model takes {dtype} {shape}: let chapter 07 make it"
        if kind == "Binary" and given != (size := math.prod(shape) * np.dtype(dtype).itemsize,):
            return (
                f"{detail} has {given[0]:,} bytes, the model takes {size:,}: {dtype} {shape}, batch included"
            )
    return None


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of an archive; ArchiveError as `contents`."""
    if not path.is_file():
        raise ArchiveError(f"{path}: no such file; chapter 07 makes one: python -m helpers run 07")
    try:
        with path.open("rb") as file:  # a tar may end in a zip, and a zip begin with a stored tar
            zipped = file.read(4) in (b"PK\3\4", b"PK\5\6")
        yield from _zip(path) if zipped else _tar(path)
    except ArchiveError:
        raise
    except Exception as error:  # of tarfile, zipfile, gzip, lzma and zlib, and for odd names and links
        raise ArchiveError(f"{path.name}: not a tar or zip, or a damaged one; make it again") from error


def _tar(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for info in archive:
            _check_name(path, info.name)
            if not (info.isfile() or info.isdir()):
                told = f"{info.name!r} is a link or a device: pack the file itself"
                raise ArchiveError(f"{path.name}: {told} (tar -h --hard-dereference)")
            if stream := archive.extractfile(info):
                yield info.name, stream.read()
        # tarfile takes any damaged header but the first for the end, which is two blocks of zeros.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if any(archive.fileobj.read(2 * tarfile.BLOCKSIZE)):
            raise tarfile.ReadError("a damaged header")


def _zip(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            _check_name(path, name)
            if not name.endswith("/"):
                yield name, archive.read(name)


def _check_name(path: Path, name: str) -> None:
    """Refuses one that leads out of the folder of the archive, on Linux or on Windows."""
    place = posixpath.normpath(name.replace("\\", "/"))
    if place.startswith(("/", "../")) or place == ".." or re.match("[A-Za-z]:", place):
        raise ArchiveError(f"{path.name}: {name!r} could land outside its folder; do not unpack it")
