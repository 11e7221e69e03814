"""Files: where they lie in the checkout, whole or not at all, and what is said when they cannot."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS, DATA = ROOT / "notebooks", ROOT / "data"
BUILD = Path(os.environ.get("EFFICIENTVIT_BUILD") or ROOT / "build")  # a sweep gives each chapter its own
PHOTO = DATA / "images" / "chelsea.jpg"  # one cat, where nobody gives a picture


def shown(path: Path) -> str:
    """A path relative to the checkout, so that no machine's folders are shown; else its bare name."""
    resolved = path.resolve()
    return resolved.relative_to(ROOT).as_posix() if resolved.is_relative_to(ROOT) else path.name


def here(path: Path) -> Path:
    """A path as the caller's folder has it, where it lies below that; else the whole path."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def packaged(package: str, name: str) -> Path:
    """A file that an installed package brings, which is not imported; FileNotFoundError where it does not."""
    try:
        path = Path(str(distribution(package).locate_file(name)))
    except PackageNotFoundError:
        path = Path()
    if not path.is_file():
        install = f"run `make tutorial`, or `pip install -c constraints.txt {package}`"
        raise FileNotFoundError(f"the package {package} with {name} is not installed: {install}")
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; moved to `path` when the block ends well, removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.part.{path.name}")  # papermill looks at the suffix
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):  # a full disk names none
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all, and the folders that it lies in."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def in_words(error: OSError) -> str:
    """One sentence on a file error, with what to do next.

    An error that carries its own sentence, and no number of the system's, keeps it.
    """
    if error.errno is None:
        return str(error)
    where = error.filename
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        disk = f"the disk that holds {where}" if where else "the disk"
        return f"{disk} is full: free some space and run it again"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{where or 'a file'} may not be read or written: use a folder that belongs to you"
    named = f"{where}: " if where else ""
    return f"{named}{error.strerror}: check the path, or use another folder"
