"""Where things lie in the checkout."""

from pathlib import Path

from helpers import published

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
DATA = published.DATA
BUILD = ROOT / "build"


def artifacts(model: str) -> Path:
    """The folder for what the chapters make of one model: build/artifacts/MODEL."""
    return BUILD / "artifacts" / model


def shown(path: Path) -> str:
    """A path relative to the checkout, so that no machine's folders are shown; else its bare name."""
    resolved = path.resolve()
    return resolved.relative_to(ROOT).as_posix() if resolved.is_relative_to(ROOT) else path.name
