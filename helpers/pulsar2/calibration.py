"""Calibration archives: pictures cut as the board cuts them, in a tar whose bytes depend on them alone.

Pulsar2 resizes a calibration image as a whole; its documentation (pulsar2-docs-en) knows no cropping. The
board program crops, so the pictures are cropped before they go in: what is calibrated is what will be fed.
"""

import hashlib
import io
import random
import re
import tarfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from helpers.files import replacing
from helpers.graph.preprocess import (
    Pixels,
    Preprocessing,
    as_rgb,
    centre_crop,
    in_board_order,
    normalize,
    sample_linear,
)

TYPICAL = 32  # pictures: Pulsar2's default calibration_size
MIN_SIDE = 64  # pixels; below it the board program enlarges a picture more than four times
MAX_PIXELS = 50_000_000  # decoded, 150 MB; read off the header before anything is decoded
READ = ("RGB", "L", "1", "P", "CMYK")  # Pillow's modes beside 16-bit grey that cv::imread reads as a picture

ArchiveFormat = Literal["Image", "Numpy"]


class CalibrationError(ValueError):
    """No calibration archive could be made; the message says what to do."""


class _Unusable(ValueError):
    """One picture that cannot serve; the message is the reason."""


@dataclass(frozen=True)
class LeftOut:
    """A picture that is not in the archive, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class ArchiveReport:
    """What an archive holds. `stand_in` says in words what its pictures are not; None for real ones."""

    path: Path
    format: ArchiveFormat
    count: int
    bytes: int
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()
    stand_in: str | None = None

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {self.count} pictures ({self.format}), {self.bytes / 1e6:.1f} MB"]
        lines += [f"left out {entry.name}: {entry.reason}" for entry in self.left_out]
        lines += [f"warning: {text}" for text in self.warnings]
        return "\n".join([*lines, *([self.stand_in] if self.stand_in else [])])


def make_archive(
    source: Path | str | Iterable[Path | str],
    out: Path | str,
    preprocessing: Preprocessing,
    *,
    calibration_format: ArchiveFormat = "Image",
) -> ArchiveReport:
    """Writes the pictures of a folder, or of a list of paths, into the tar `out`; same pictures, same bytes.

    "Image" stores the crops as PNG, which Pulsar2 normalises itself; "Numpy" stores what the model gets,
    float32 [1, 3, size, size] in board order. Grey and CMYK pictures become RGB, as the board
    reads them; those that are broken, tiny, huge, transparent or there twice are left out and named. Raises
    CalibrationError when none is left, or `out` does not end in .tar.
    """
    left_out: list[LeftOut] = []
    pictures = _usable(_listed(source), preprocessing.size, left_out)
    return _write(pictures, Path(out), preprocessing, calibration_format, left_out)


def crops_of_one_photo(photo: Path | str, count: int, *, size: int = 224, seed: int = 0) -> list[Pixels]:
    """`count` random square cuts of one photo, half of them mirrored: uint8 RGB [size, size, 3] each.

    A stand-in for calibration images where none are at hand. Same seed, same cuts. Raises CalibrationError
    for a photo that cannot be read.
    """
    try:
        pixels = np.asarray(_open_rgb(Path(photo)))
    except _Unusable as error:
        raise CalibrationError(f"{photo}: {error}; give another photo") from error
    height, width = pixels.shape[:2]
    draw = random.Random(seed)
    crops = []
    for _ in range(count):
        side = draw.uniform(0.5, 1.0) * min(height, width)
        top, left = draw.uniform(0, height - side), draw.uniform(0, width - side)
        steps = (np.arange(size) + 0.5) * (side / size) - 0.5
        crop = sample_linear(pixels, top + steps, left + steps)
        crops.append(np.ascontiguousarray(crop[:, ::-1]) if draw.random() < 0.5 else crop)
    return crops


def make_stand_in_archive(
    photo: Path | str,
    out: Path | str,
    preprocessing: Preprocessing,
    *,
    count: int = TYPICAL,
    seed: int = 0,
    calibration_format: ArchiveFormat = "Image",
) -> ArchiveReport:
    """`make_archive` from cuts of one photo, for where there are no images; the report says so in words."""
    crops = crops_of_one_photo(photo, count, size=preprocessing.size, seed=seed)
    words = (
        f"Stand-in: all {count} pictures are cuts of one photo ({Path(photo).name}). They show that the "
        "build runs; for accuracy, calibrate on images of your own task."
    )
    named = ((f"cut-{index}", crop) for index, crop in enumerate(crops))
    return _write(named, Path(out), preprocessing, calibration_format, [], stand_in=words)


def _listed(source: Path | str | Iterable[Path | str]) -> list[tuple[str, Path]]:
    """Name and path of each file, in an order that does not depend on the file system or on the caller."""
    if not isinstance(source, Path | str):
        paths = {Path(path) for path in source}
        return sorted((path.name, path) for path in paths)
    folder = Path(source)
    if not folder.is_dir():
        raise CalibrationError(f"{folder}: no such folder; give a folder of images or a list of image paths")
    files = (path for path in folder.rglob("*") if path.is_file())
    named = ((path.relative_to(folder).as_posix(), path) for path in files)
    return sorted((name, path) for name, path in named if not any(p.startswith(".") for p in name.split("/")))


def _usable(
    named: list[tuple[str, Path]], size: int, left_out: list[LeftOut]
) -> Iterator[tuple[str, Pixels]]:
    """The crops that can serve, under the names of their files; the rest goes to `left_out`."""
    seen: dict[bytes, str] = {}
    for name, path in tqdm(named, desc="calibration pictures", unit="picture"):
        try:
            crop = centre_crop(_open_rgb(path), size)
            digest = hashlib.sha256(crop.tobytes()).digest()
            if digest in seen:
                raise _Unusable(f"the same picture as {seen[digest]}")
            seen[digest] = name
        except _Unusable as error:
            left_out.append(LeftOut(name, str(error)))
        else:
            yield Path(name).stem, crop


def _open_rgb(path: Path) -> Image.Image:
    """The decoded image, or _Unusable with the reason."""
    if not path.is_file():
        raise _Unusable("no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # judged below, by our own limit
            image = Image.open(path)
    except Image.DecompressionBombError as error:
        raise _Unusable(f"too large to decode, the limit is {MAX_PIXELS // 10**6} megapixels") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise _Unusable("not an image that Pillow can read") from error
    with image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _Unusable(f"{width} × {height}, the limit is {MAX_PIXELS // 10**6} megapixels")
        if min(width, height) < MIN_SIDE:
            raise _Unusable(f"tiny: {width} × {height}, the short side must have {MIN_SIDE} pixels")
        if image.has_transparency_data:
            raise _Unusable(f"transparent ({image.mode})")
        if image.mode not in READ and not image.mode.startswith("I;16"):
            raise _Unusable(f"of mode {image.mode}, neither RGB nor grey nor CMYK")
        try:
            return as_rgb(image)
        except Exception as error:  # as above
            raise _Unusable("broken: it cannot be decoded to its end") from error


def _write(
    pictures: Iterable[tuple[str, Pixels]],
    out: Path,
    preprocessing: Preprocessing,
    calibration_format: ArchiveFormat,
    left_out: list[LeftOut],
    stand_in: str | None = None,
) -> ArchiveReport:
    if out.suffix != ".tar":
        raise CalibrationError(f"{out.name}: archives are written as .tar; give a name ending in .tar")
    count = 0
    with replacing(out) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
            for name, crop in pictures:
                content = _encoded(crop, preprocessing, calibration_format)
                suffix = "png" if calibration_format == "Image" else "npy"
                # Our own flat names: nothing of a file's name can point out of the folder it is unpacked in.
                member = tarfile.TarInfo(f"{count:05d}_{re.sub('[^A-Za-z0-9-]', '_', name)[:60]}.{suffix}")
                member.size, member.mode = len(content), 0o644  # owner, group and time stay 0
                archive.addfile(member, io.BytesIO(content))
                count += 1
        if not count:
            reasons = "; ".join(f"{entry.name}: {entry.reason}" for entry in left_out[:3]) or "there are none"
            raise CalibrationError(f"no usable picture for {out.name} ({reasons}); give other images")
    few = f"{count} pictures, fewer than {TYPICAL}: the ranges found may be too narrow; add more"
    return ArchiveReport(
        path=out,
        format=calibration_format,
        count=count,
        bytes=out.stat().st_size,
        left_out=tuple(left_out),
        warnings=(few,) if count < TYPICAL else (),
        stand_in=stand_in,
    )


def _encoded(crop: Pixels, preprocessing: Preprocessing, calibration_format: ArchiveFormat) -> bytes:
    """One member from an RGB crop; an image file stays RGB: Pulsar2 reads it in `tensor_format` order."""
    buffer = io.BytesIO()
    if calibration_format == "Image":
        Image.fromarray(crop).save(buffer, "PNG", compress_level=6)
    else:
        np.save(buffer, normalize(in_board_order(crop, preprocessing), preprocessing))
    return buffer.getvalue()
