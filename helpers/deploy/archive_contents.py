"""What is in a calibration archive, read member by member: nothing is unpacked, no picture decoded."""

import io
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from PIL import Image

MEMBER_LIMIT = 100_000
BYTES_LIMIT = 8 << 30  # all members together, unpacked
HEAD_BYTES = 1 << 20  # read of each member: a picture's size may stand behind long metadata


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
    """Reads a tar (plain or compressed) or a zip.

    Raises ArchiveError when it is missing or damaged, when a member could land outside the folder it is
    unpacked in, and when it would unpack to more than 8 GiB or 100,000 files.
    """
    path = Path(path)
    if not path.is_file():
        raise ArchiveError(f"{path}: no such file; make it with calibration.make_archive")
    found, total = Contents(), 0
    try:
        for number, member in enumerate(_zip(path) if zipfile.is_zipfile(path) else _tar(path)):
            _check_name(path, member)
            total += member.size
            if number >= MEMBER_LIMIT or total > BYTES_LIMIT:
                raise ArchiveError(f"{path.name}: unpacks to over 8 GiB or 100,000 files; make it smaller")
            if member.kind == "file":
                _sort_in(found, member)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, RuntimeError, zlib.error) as error:
        raise ArchiveError(f"{path.name}: not a tar or zip, or a damaged one; make it again") from error
    return found


def _check_name(path: Path, member: _Member) -> None:
    pure = PurePosixPath(member.name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in member.name or member.kind == "special":
        raise ArchiveError(f"{path.name}: {member.name!r} could land outside its folder; do not unpack it")


def _tar(path: Path) -> Iterator[_Member]:
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            kind = "file" if info.isfile() else "folder" if info.isdir() else "special"
            yield _Member(info.name, info.size, kind, partial(archive.extractfile, info))


def _zip(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            linked = stat.S_ISLNK(info.external_attr >> 16)
            kind = "folder" if info.is_dir() else "special" if linked else "file"
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
