"""The rooms: who may import whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HELPERS = Path(__file__).parents[1] / "helpers"
# Each room may import those before it.
ORDER = ["logs", "model", "graph", "quant", "pocket", "pulsar2", "board", "lab"]
MAY_IMPORT = {room: set(ORDER[: place + 1]) for place, room in enumerate(ORDER)} | {"view": {"view"}}
MAY_IMPORT["lab"].add("view")
UPWARD = {("model", "pocket"), ("graph", "pulsar2"), ("quant", "pulsar2")}  # still to be turned round
HALL = {"files", "finding", "process", "published"}  # open to every room, so they import none
FILES = sorted(path for room in MAY_IMPORT for path in (HELPERS / room).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Full names of all modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(HELPERS).as_posix())
def test_imports_point_one_way(path: Path):
    room = path.relative_to(HELPERS).parts[0]
    names = {name.split(".")[1] for name in imported(path) if name.startswith("helpers.")}
    upward = {above for below, above in UPWARD if below == room}
    assert names & MAY_IMPORT.keys() <= MAY_IMPORT[room] | upward
    assert names - MAY_IMPORT.keys() <= HALL


@pytest.mark.parametrize("name", sorted(HALL))
def test_the_hall_imports_no_room(name: str):
    assert not {full for full in imported(HELPERS / f"{name}.py") if full.startswith("helpers.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(HELPERS).as_posix())
def test_heavy_packages_stay_in_their_rooms(path: Path):
    room = path.relative_to(HELPERS).parts[0]
    packages = {name.split(".")[0] for name in imported(path)}
    if room == "logs":
        assert not packages & {"torch", "numpy", "pandas", "timm", "onnx", "pydantic"}
    if room != "model":
        assert "timm" not in packages  # the shim in helpers/model must run before it


def test_files_are_read_in_a_sitting():
    files = [*FILES, *(HELPERS / f"{name}.py" for name in HALL)]
    long = {path.name: len(path.read_text().splitlines()) for path in files}
    assert not {name: lines for name, lines in long.items() if lines > 450}
