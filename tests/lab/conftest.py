"""What the tests of the runner share."""

from pathlib import Path

import pytest

from helpers import files
from helpers.lab import notebooks


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout: notebooks and build go to a folder of the test's."""
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path / "notebooks")
    for module in (notebooks, files):
        monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    (tmp_path / "notebooks").mkdir()
    return tmp_path
