"""Files that appear whole or not at all, and what is said when they cannot."""

import errno
from pathlib import Path

import pytest

from helpers.files import in_words, replacing


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "/x/y is full: free some space"),
        (errno.EROFS, "/x/y may not be"),
        (errno.EACCES, "/x/y may not be"),
        (errno.EIO, "/x/y: Input/output error: check"),
    ],
)
def test_file_errors_in_words(number: int, said: str) -> None:
    sentence = in_words(OSError(number, "Input/output error", "/x/y"))
    assert said in sentence and "\n" not in sentence


def test_an_error_that_names_no_file() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert in_words(full) == "the disk is full: free some space and run it again"


def test_a_sentence_of_our_own_is_kept() -> None:
    assert in_words(ConnectionError("the hub cannot be reached")) == "the hub cannot be reached"


def test_it_is_kept_when_it_is_raised_while_a_file_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError) as told, replacing(tmp_path / "a.pth"):
        raise ConnectionError("the hub cannot be reached")
    assert in_words(told.value) == "the hub cannot be reached"
    assert not list(tmp_path.iterdir())
