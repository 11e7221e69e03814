"""What is in a calibration archive, read member by member: nothing is unpacked."""

import io
import itertools
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image

from helpers.graph.preprocess import Preprocessing, in_board_order, normalize

MEMBER_LIMIT = 100_000
BYTES_LIMIT = 8 << 30  # all members together, unpacked
MEMBER_BYTES = 64 << 20  # of one picture that is decoded
EXTENSION_BYTES = 1 << 20  # of one tar header
HEAD_BYTES = 1 << 20  # read of each member: a picture's size may stand behind long metadata

DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, RuntimeError, UnicodeError),  # the last for names that are not the UTF-8 they claim
)


class ArchiveError(ValueError):
    """An archive that cannot be read, or must not be unpacked; one sentence."""


@dataclass
class Contents:
    """The members: pictures by (width, height) and by mode, arrays by (dtype, shape), others by name."""

    pictures: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    arrays: Counter[tuple[str, tuple[int, ...]]] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    kind: str  # "file", "folder", or "special": links, devices
    open: Callable[[], IO[bytes] | None]


def contents(path: Path | str) -> Contents:
    """What a tar (plain or compressed) or a zip holds; no picture is decoded.

    Raises ArchiveError when it is missing or damaged, when a member could land outside the folder it is
    unpacked in, and when it would unpack to more than 8 GiB or 100,000 files.
    """
    path, found = Path(path), Contents()
    with _damage_told(path):
        for member in _files(path):
            _sort_in(found, member)
    return found


def pictures(path: Path | str, preprocessing: Preprocessing, count: int) -> list[npt.NDArray[np.float32]]:
    """The first `count` members as the model gets them: float32 [1, 3, size, size], in board order.

    Images are normalised as the compiled model does it, arrays come as they are; so Pulsar2 calibrates on the
    same values. Raises ArchiveError as `contents` does, and for a member of another size.
    """
    path = Path(path)
    found: list[npt.NDArray[np.float32]] = []
    with _damage_told(path):
        for member in itertools.islice(_files(path), count):
            stream = member.open()
            values = _decoded(stream.read(MEMBER_BYTES) if stream else b"", preprocessing)
            expected = (1, 3, preprocessing.size, preprocessing.size)
            if values is None or values.shape != expected or values.dtype != np.float32:
                raise ArchiveError(
                    f"{path.name}: {member.name!r} is no picture of {preprocessing.size} × "
                    f"{preprocessing.size}; make the archive again for this model"
                )
            found.append(values)
    return found


def _decoded(content: bytes, preprocessing: Preprocessing) -> npt.NDArray[np.float32] | None:
    try:
        if content.startswith(b"\x93NUMPY"):
            array: npt.NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
            return array
        with Image.open(io.BytesIO(content)) as image:
            if image.size != (preprocessing.size, preprocessing.size):
                return None  # before it is decoded: a small file can hold a huge picture
            pixels = np.asarray(image.convert("RGB"))
    except Exception:  # decoders raise nearly anything on damaged files
        return None
    return normalize(in_board_order(pixels, preprocessing), preprocessing)


def _files(path: Path) -> Iterator[_Member]:
    """The files of an archive, each checked before it is given; ArchiveError as `contents` says."""
    if not path.is_file():
        raise ArchiveError(f"{path}: no such file; chapter 07 makes one: python -m helpers run 07")
    total = 0
    for number, member in enumerate(_zip(path) if zipfile.is_zipfile(path) else _tar(path)):
        _check_name(path, member)
        total += member.size
        if number >= MEMBER_LIMIT or total > BYTES_LIMIT:
            raise ArchiveError(f"{path.name}: unpacks to over 8 GiB or 100,000 files; make it smaller")
        if member.kind == "file":
            yield member


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Whatever reading a damaged archive raises, as one sentence."""
    try:
        yield
    except DAMAGE as error:
        raise ArchiveError(f"{path.name}: not a tar or zip, or a damaged one; make it again") from error


def _check_name(path: Path, member: _Member) -> None:
    pure = PurePosixPath(member.name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in member.name or member.kind == "special":
        raise ArchiveError(f"{path.name}: {member.name!r} could land outside its folder; do not unpack it")


class _SmallHeaders(tarfile.TarInfo):
    """Headers whose extensions (long names and the like) are small: tarfile reads each into memory whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_SmallHeaders":
        found = super().frombuf(buf, encoding, errors)
        if not found.isreg() and found.size > EXTENSION_BYTES:
            raise tarfile.ReadError(f"a header of {found.size} bytes")
        return found


def _tar(path: Path) -> Iterator[_Member]:
    with tarfile.open(path, "r:*", tarinfo=_SmallHeaders) as archive:
        for info in archive:
            kind = "file" if info.isfile() else "folder" if info.isdir() else "special"
            yield _Member(info.name, info.size, kind, partial(archive.extractfile, info))
        # tarfile takes any damaged header but the first for the end, which is two blocks of zeros.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if any(archive.fileobj.read(2 * tarfile.BLOCKSIZE)):
            raise tarfile.ReadError("a damaged header")


def _zip(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            kind = "folder" if info.is_dir() else "file" if plain else "special"
            yield _Member(info.filename, info.file_size, kind, partial(archive.open, info))


def _sort_in(found: Contents, member: _Member) -> None:
    stream = member.open()
    head = io.BytesIO(stream.read(HEAD_BYTES) if stream else b"")
    try:
        if head.getvalue().startswith(b"\x93NUMPY"):
            found.arrays[_array_header(head)] += 1
            return
        with Image.open(head) as image:
            found.pictures[image.size] += 1
            found.modes[image.mode] += 1
    except Exception:  # decoders raise nearly anything on damaged files
        found.others.append(member.name)


def _array_header(head: IO[bytes]) -> tuple[str, tuple[int, ...]]:
    """dtype and shape of a .npy file, whose body is not read."""
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    return str(dtype), tuple(shape)
