"""Calibration archives: pictures cut as the board cuts them, in a tar whose bytes depend on them alone.

Pulsar2 resizes a calibration image as a whole; its documentation (pulsar2-docs-en) knows no cropping. The
board program crops, so the pictures are cropped before they go in: what is calibrated is what will be fed.
Archives are read member by member, and nothing is unpacked.
"""

import hashlib
import io
import itertools
import lzma
import random
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import numpy.typing as npt
from onnx import helper
from PIL import Image
from tqdm.auto import tqdm

from helpers import artifacts
from helpers.files import replacing
from helpers.finding import Finding
from helpers.graph.graph import Graph, axes
from helpers.graph.preprocess import (
    Pixels,
    Preprocessing,
    as_rgb,
    centre_crop,
    in_board_order,
    normalize,
    sample_linear,
)
from helpers.published import DATA
from helpers.pulsar2.schema import EVERY, InputQuantConfig

STAND_IN = DATA / "images" / "chelsea.jpg"
CUTS = 40  # of the stand-in photo: a rehearsal measures on a fifth, which leaves 32 to calibrate
TYPICAL = 32  # pictures: Pulsar2's default calibration_size
MIN_SIDE = 64  # pixels; below it the board program enlarges a picture more than four times
READ = ("RGB", "L", "1", "P", "CMYK")  # Pillow's modes beside 16-bit grey that cv::imread reads as a picture
HEAD_BYTES = 1 << 20  # read of each member that is judged: a picture's size may stand behind long metadata

DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, RuntimeError, KeyError, UnicodeError),  # the last two for odd links and names
)


class ArchiveError(ValueError):
    """An archive that cannot be made, or read, or must not be unpacked; one sentence that says what to do."""


class _Invalid(ValueError):
    """One picture that cannot serve; the message is the reason."""


@dataclass(frozen=True)
class ArchiveReport:
    """What an archive holds. `left_out`: names and reasons; `stand_in`: what its pictures are not."""

    path: Path
    count: int
    bytes: int
    left_out: Sequence[Sequence[str]] = ()
    stand_in: str | None = None
    remade: bool = True

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {self.count} pictures (Image), {self.bytes / 1e6:.1f} MB"]
        lines += [f"left out {name}: {reason}" for name, reason in self.left_out]
        if self.count < TYPICAL:
            lines.append(f"warning: fewer than {TYPICAL}: the ranges found may be too narrow; add more")
        return "\n".join([*lines, *([self.stand_in] if self.stand_in else [])])


def calibrate(
    out: Path, preprocessing: Preprocessing, *, images: Path | str | Collection[Path | str] = ""
) -> ArchiveReport:
    """Writes `calibration.tar` and `calibration.json` into `out`, or keeps those of the same pictures.

    `images` is a folder or a list of paths; where it is empty, cuts of one photo stand in. Raises
    ArchiveError.
    """
    inputs = dict(_listed(images)) if images else {STAND_IN.name: STAND_IN}
    made = artifacts.step(
        "calibration",
        out,
        lambda folder: _facts(archive_for(images, folder / "calibration.tar", preprocessing)),
        files=["calibration.tar"],
        arguments={"preprocessing": asdict(preprocessing)},
        inputs=inputs,
        code="helpers.pulsar2.archive",
        packages=["pillow", "numpy"],
    )
    return ArchiveReport(made.path("calibration.tar"), remade=made.remade, **made.facts)


def _facts(report: ArchiveReport) -> artifacts.Facts:
    return {key: value for key, value in asdict(report).items() if key not in ("path", "remade")}


def archive_for(
    images: Path | str | Collection[Path | str], path: Path | str, preprocessing: Preprocessing
) -> ArchiveReport:
    """Writes the pictures of a folder, or of a list of paths, into the tar `path`: same ones, same bytes.

    Where `images` is empty, cuts of one photo stand in, and the report says so. Members are the crops as PNG
    in RGB, which Pulsar2 reads in `tensor_format` order and normalises itself. Grey and CMYK pictures become
    RGB, as the board reads them; those that are broken, tiny, transparent or there twice are left out and
    named. Raises ArchiveError when none is left, or `path` does not end in .tar.
    """
    path, left_out = Path(path), list[tuple[str, str]]()
    if path.suffix != ".tar":
        raise ArchiveError(f"{path.name}: archives are written as .tar; give a name ending in .tar")
    if images:
        stand_in, pictures = None, _valid(_listed(images), preprocessing.size, left_out)
    else:
        stand_in = (
            f"Stand-in: all {CUTS} pictures are cuts of one photo ({STAND_IN.name}). They show that the "
            "build runs; for accuracy, calibrate on images of your own task."
        )
        cuts = crops_of_one_photo(STAND_IN, CUTS, size=preprocessing.size)
        pictures = ((f"cut-{index}", crop) for index, crop in enumerate(cuts))
    count = 0
    with replacing(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
            for name, crop in pictures:
                buffer = io.BytesIO()
                Image.fromarray(crop).save(buffer, "PNG", compress_level=6)
                # Our own flat names: nothing of a file's name can point out of the folder it is unpacked in.
                member = tarfile.TarInfo(f"{count:05d}_{re.sub('[^A-Za-z0-9-]', '_', name)[:60]}.png")
                member.size, member.mode = buffer.tell(), 0o644  # owner, group and time stay 0
                archive.addfile(member, io.BytesIO(buffer.getvalue()))
                count += 1
        if not count:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out[:3]) or "there are none"
            raise ArchiveError(f"no usable picture for {path.name} ({reasons}); give other images")
    return ArchiveReport(path, count, path.stat().st_size, tuple(left_out), stand_in)


def crops_of_one_photo(photo: Path | str, count: int, *, size: int) -> list[Pixels]:
    """`count` random square cuts of one photo, half of them mirrored: uint8 RGB [size, size, 3] each.

    The same cuts each time. Raises ArchiveError for a photo that cannot be read.
    """
    try:
        pixels = np.asarray(_open_rgb(Path(photo)))
    except _Invalid as error:
        raise ArchiveError(f"{photo}: {error}; give another photo") from error
    height, width = pixels.shape[:2]
    draw = random.Random(0)
    crops = []
    for _ in range(count):
        side = draw.uniform(0.5, 1.0) * min(height, width)
        top, left = draw.uniform(0, height - side), draw.uniform(0, width - side)
        steps = (np.arange(size) + 0.5) * (side / size) - 0.5
        crop = sample_linear(pixels, top + steps, left + steps)
        crops.append(np.ascontiguousarray(crop[:, ::-1]) if draw.random() < 0.5 else crop)
    return crops


def _listed(images: Path | str | Collection[Path | str]) -> list[tuple[str, Path]]:
    """Name and path of each file, in an order that does not depend on the file system or on the caller."""
    if not isinstance(images, Path | str):
        return sorted((Path(path).name, Path(path)) for path in set(images))
    folder = Path(images)
    if not folder.is_dir():
        raise ArchiveError(f"{folder}: no such folder; give a folder of images or a list of image paths")
    files = (path for path in folder.rglob("*") if path.is_file())
    named = ((path.relative_to(folder).as_posix(), path) for path in files)
    return sorted((name, path) for name, path in named if not any(p.startswith(".") for p in name.split("/")))


def _valid(
    named: list[tuple[str, Path]], size: int, left_out: list[tuple[str, str]]
) -> Iterator[tuple[str, Pixels]]:
    """The crops that can serve, under the names of their files; the rest goes to `left_out`."""
    seen: dict[bytes, str] = {}
    for name, path in tqdm(named, desc="calibration pictures", unit="picture"):
        try:
            crop = centre_crop(_open_rgb(path), size)
            digest = hashlib.sha256(crop.tobytes()).digest()
            if digest in seen:
                raise _Invalid(f"the same picture as {seen[digest]}")
            seen[digest] = name
        except _Invalid as error:
            left_out.append((name, str(error)))
        else:
            yield Path(name).stem, crop


def _open_rgb(path: Path) -> Image.Image:
    """The decoded image, or _Invalid with the reason."""
    if not path.is_file():
        raise _Invalid("no such file")
    try:
        with Image.open(path) as image:
            width, height = image.size
            if min(width, height) < MIN_SIDE:
                raise _Invalid(f"tiny: {width} × {height}, the short side must have {MIN_SIDE} pixels")
            if image.has_transparency_data:
                raise _Invalid(f"transparent ({image.mode})")
            if image.mode not in READ and not image.mode.startswith("I;16"):
                raise _Invalid(f"of mode {image.mode}, neither RGB nor grey nor CMYK")
            return as_rgb(image)
    except _Invalid:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise _Invalid(f"not a picture that Pillow can read ({error})") from error


@dataclass
class Contents:
    """The members: pictures by (width, height) and by mode, arrays by (dtype, shape), others by name."""

    pictures: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    arrays: Counter[tuple[str, tuple[int, ...]]] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        pictures = [f"{number} pictures of {w} × {h}" for (w, h), number in self.pictures.items()]
        arrays = [f"{number} arrays {dtype} {list(shape)}" for (dtype, shape), number in self.arrays.items()]
        others = [f"{len(self.others)} others, such as {self.others[0]}"] if self.others else []
        return ", ".join([*(pictures + arrays)[:4], *others]) or "no files"


def contents(path: Path | str) -> Contents:
    """What a tar (plain or compressed) or a zip holds; no picture is decoded.

    Raises ArchiveError when it is missing or damaged, and when a member could land outside the folder that it
    is unpacked in.
    """
    found = Contents()
    for name, content in _files(Path(path), HEAD_BYTES):
        head = io.BytesIO(content)
        try:
            if content.startswith(b"\x93NUMPY"):
                found.arrays[_array_header(head)] += 1
                continue
            with Image.open(head) as image:
                found.pictures[image.size] += 1
                found.modes[image.mode] += 1
        except Exception:  # decoders raise nearly anything on damaged files
            found.others.append(name)
    return found


def pictures(path: Path | str, preprocessing: Preprocessing, count: int) -> list[npt.NDArray[np.float32]]:
    """The first `count` members as the model gets them: float32 [1, 3, size, size], in board order.

    Images are normalised as the compiled model does it, arrays come as they are; so Pulsar2 calibrates on the
    same values. Raises ArchiveError as `contents` does, and for a member of another size.
    """
    path, size, found = Path(path), preprocessing.size, []
    for name, content in itertools.islice(_files(path), count):
        values = _decoded(content, preprocessing)
        if values is None or values.shape != (1, 3, size, size) or values.dtype != np.float32:
            text = f"{path.name}: {name!r} is no picture of {size} × {size}"
            raise ArchiveError(f"{text}; make the archive again for this model")
        found.append(values)
    return found


def check_archive(path: Path, entry: InputQuantConfig | None, graph: Graph | None) -> Finding:
    """One archive against its entry in the configuration and the model's input, each where there is one."""
    try:
        held = contents(path)
    except ArchiveError as error:
        return Finding("calibration", "fail", str(error))
    kinds = {"Image": held.pictures.total(), "Numpy": held.arrays.total(), "Binary": len(held.others)}
    kinds["NumpyObject"] = kinds["Numpy"]
    wanted = entry.calibration_format if entry else "Image" if held.pictures else "Numpy"
    count, everything = kinds[wanted], kinds["Image"] + kinds["Numpy"] + kinds["Binary"]
    if not count or count < everything:
        text = f"{count} of {everything} members are of the format {wanted}: {held}; chapter 07 makes one"
        return Finding("calibration", "fail", f"{path.name}: {text}")
    if mismatch := _mismatch(held, wanted, entry, graph):
        return Finding("calibration", "fail", f"{path.name}: {mismatch}")
    if odd := sorted(set(held.modes) - {"RGB"}):
        return Finding("calibration", "warn", f"{path.name}: some pictures are {', '.join(odd)}, not RGB")
    if count < TYPICAL:
        text = f"{count} files, fewer than {TYPICAL}: the ranges found may be too narrow; add more"
        return Finding("calibration", "warn", f"{path.name}: {text}")
    if entry is not None and count < entry.calibration_size:
        text = f"{count} files, fewer than calibration_size {entry.calibration_size}: it uses what there is"
        return Finding("calibration", "warn", f"{path.name}: {text}")
    return Finding("calibration", "ok", f"{path.name}: {held}")


def _mismatch(held: Contents, wanted: str, entry: InputQuantConfig | None, graph: Graph | None) -> str | None:
    """What does not fit the model's input; None when all does, or when that input is not known."""
    name = entry.tensor_name if entry else EVERY
    value = next((v for v in graph.inputs if name in (v.name, EVERY)), None) if graph else None
    shape = tuple(size for size in axes(value) if isinstance(size, int)) if value else ()
    if value is None or len(shape) < len(axes(value)):
        return None
    if wanted == "Image" and len(shape) == 4:
        height, width = shape[1:3] if shape[3] in (1, 3) and shape[1] not in (1, 3) else shape[2:4]
        if other := [size for size in held.pictures if size != (width, height)]:
            return (
                f"pictures of {other[0][0]} × {other[0][1]}, the model takes {width} × {height}: Pulsar2 "
                "would stretch where the board crops; let chapter 07 make the archive"
            )
    dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
    if wanted == "Numpy" and (strange := [array for array in held.arrays if array != (dtype, shape)]):
        return f"arrays {strange[0]}, the model takes {(dtype, shape)}: let chapter 07 make it"
    return None


def _decoded(content: bytes, preprocessing: Preprocessing) -> npt.NDArray[np.float32] | None:
    try:
        if content.startswith(b"\x93NUMPY"):
            array: npt.NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
            return array
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception:  # decoders raise nearly anything on damaged files
        return None
    return normalize(in_board_order(pixels, preprocessing), preprocessing)


def _array_header(head: IO[bytes]) -> tuple[str, tuple[int, ...]]:
    """dtype and shape of a .npy file, whose body is not read."""
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    return str(dtype), tuple(shape)


def _files(path: Path, limit: int = -1) -> Iterator[tuple[str, bytes]]:
    """Name and content, up to `limit` bytes of it, of each file of an archive; ArchiveError as `contents`."""
    if not path.is_file():
        raise ArchiveError(f"{path}: no such file; chapter 07 makes one: python -m helpers run 07")
    try:
        yield from _tar(path, limit) if tarfile.is_tarfile(path) else _zip(path, limit)
    except DAMAGE as error:
        raise ArchiveError(f"{path.name}: not a tar or zip, or a damaged one; make it again") from error


def _tar(path: Path, limit: int) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for info in archive:
            _check_name(path, info.name)
            try:
                tarfile.data_filter(info, str(path.parent))  # refuses devices, and links that lead out
            except tarfile.FilterError as error:
                raise _leaves(path, info.name) from error
            if stream := archive.extractfile(info):
                yield info.name, stream.read(limit)
        # tarfile takes any damaged header but the first for the end, which is two blocks of zeros.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if any(archive.fileobj.read(2 * tarfile.BLOCKSIZE)):
            raise tarfile.ReadError("a damaged header")


def _zip(path: Path, limit: int) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            _check_name(path, info.filename)
            if not info.is_dir():
                with archive.open(info) as stream:
                    yield info.filename, stream.read(limit)


def _check_name(path: Path, name: str) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts:
        raise _leaves(path, name)


def _leaves(path: Path, name: str) -> ArchiveError:
    return ArchiveError(f"{path.name}: {name!r} could land outside its folder; do not unpack it")
