"""The official checkpoints over the network: verified by hash, moved into place only when whole."""

import http.client
import os
import queue
import threading
import urllib.error
import urllib.request
from pathlib import Path

from helpers.files import replacing
from helpers.model.checkpoint import (
    LIMIT_BYTES,
    CheckpointError,
    check_format,
    check_recorded_hash,
    file_hash,
    recorded_hash,
)
from helpers.model.variants import variant

RELEASES = "https://github.com/xinyuliu-jeffrey/EfficientViT_Model_Zoo/releases/download/v1.0"
"""Linked from microsoft/Cream, EfficientViT/classification/README.md."""
STALL_SECONDS = 15.0
"""A server that sends nothing for so long has stalled."""
_CHUNK = 2**18


class Unreachable(ConnectionError):
    """Weights that did not come over the network; the message says what to do next."""


def reachable(url: str, *, seconds: float = 4.0) -> bool:
    """Whether the server behind `url` answers, with an error page even, within `seconds`.

    A thread asks, because looking up a name can outlast every timeout that a socket has.
    """
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
            answers.put(True)
        except urllib.error.HTTPError:
            answers.put(True)
        except (OSError, http.client.HTTPException):
            answers.put(False)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return False


def download(name: str, *, into: str | Path, sha256: str | None = None) -> Path:
    """The official checkpoint of one of the six models as `into/NAME.pth`, fetched unless it is there.

    The release publishes no hashes. Give `sha256` where you know it; otherwise the first download is trusted,
    its hash is kept beside it (`NAME.pth.sha256`), and every later use of the file is held against that.

    Raises Unreachable when nothing whole arrives, CheckpointError when what is there or arrives is no
    checkpoint or has another hash; a bad download leaves nothing behind.
    """
    variant(name)
    target = Path(into) / f"{name}.pth"
    expected = sha256.strip().lower() if sha256 else None
    if target.exists():
        check_format(target)
        if expected:
            _compare(target, expected, of=str(target))
        else:
            check_recorded_hash(target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(f"{RELEASES}/{target.name}", target, expected or _recorded(target))
    if expected or not recorded_hash(target).exists():
        _record(target)
    return target


def _fetch(url: str, target: Path, expected: str | None) -> None:
    """Downloads to a temporary name beside `target`, checks it there, and moves it into place."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    by_hand = f"download {url} elsewhere and give its path as checkpoint"
    if not reachable(url):
        raise Unreachable(f"{url} cannot be reached from here: {by_hand}")
    try:
        with urllib.request.urlopen(url, timeout=STALL_SECONDS) as answer:
            if url.startswith("https:") and not answer.geturl().startswith("https:"):
                raise Unreachable(f"{url} leads to an address without https: {by_hand}")
            _receive(answer, part)
        check_format(part)
        if expected:
            _compare(part, expected, of=url)
        part.replace(target)
    except urllib.error.HTTPError as error:
        raise Unreachable(f"{url} answered {error.code} {error.reason}: {by_hand}") from error
    except CheckpointError as error:
        raise CheckpointError(str(error).replace(str(part), url)) from error
    except Unreachable:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"{url} broke off ({str(error) or type(error).__name__}): try again, or {by_hand}"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _receive(answer: http.client.HTTPResponse, part: Path) -> None:
    received = 0
    with part.open("wb") as file:
        while chunk := answer.read(_CHUNK):
            received += len(chunk)
            if received > LIMIT_BYTES:
                raise ConnectionError(f"it sends more than {LIMIT_BYTES:,} bytes")
            file.write(chunk)
    announced = answer.headers["Content-Length"]
    if announced and received != int(announced):
        raise ConnectionError(f"{received:,} of {int(announced):,} bytes came")


def _compare(path: Path, expected: str, *, of: str) -> None:
    if (found := file_hash(path)) != expected:
        raise CheckpointError(
            f"{of} has sha256 {found}, not {expected}: do not use it, get it from its source again"
        )


def _recorded(target: Path) -> str | None:
    """The hash of an earlier download whose file is gone."""
    record = recorded_hash(target)
    words = record.read_text(encoding="ascii", errors="replace").split() if record.exists() else []
    return words[0].lower() if words else None


def _record(target: Path) -> None:
    record = recorded_hash(target)
    with replacing(record) as part:
        part.write_text(f"{file_hash(target)}  {target.name}\n", encoding="ascii")
