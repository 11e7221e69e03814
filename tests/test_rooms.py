"""The rooms: who may import whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HELPERS = Path(__file__).parents[1] / "helpers"
# Each room may import those before it.
ORDER = ["logs", "model", "graph", "quant", "detect", "pocket", "pulsar2", "board", "lab"]
MAY_IMPORT = {room: set(ORDER[: place + 1]) for place, room in enumerate(ORDER)} | {"view": {"view"}}
MAY_IMPORT["lab"].add("view")
HALL = {"artifacts", "files", "finding", "paired", "process", "published", "timing"}  # open to every room
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
    assert names & MAY_IMPORT.keys() <= MAY_IMPORT[room]
    assert names - MAY_IMPORT.keys() <= HALL


@pytest.mark.parametrize("name", sorted(HALL))
def test_the_hall_imports_no_room(name: str):
    assert {full.split(".")[1] for full in imported(HELPERS / f"{name}.py") if "helpers." in full} <= HALL


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(HELPERS).as_posix())
def test_heavy_packages_stay_in_their_rooms(path: Path):
    room = path.relative_to(HELPERS).parts[0]
    packages = {name.split(".")[0] for name in imported(path)}
    if room == "logs":
        assert not packages & {"torch", "numpy", "pandas", "timm", "onnx", "pydantic"}
    if path != HELPERS / "model" / "reference.py":
        assert "timm" not in packages  # the shim in it must run before timm's first import


@pytest.mark.parametrize("module", ["source", "variants"])
def test_what_doctor_and_the_runner_import_of_the_model_is_light(module: str):
    heavy = "{'torch', 'timm', 'numpy'} & sys.modules.keys()"
    code = f"import sys, helpers.model.{module}; sys.exit(str({heavy}) if {heavy} else 0)"
    subprocess.run([sys.executable, "-c", code], cwd=HELPERS.parent, check=True)


def test_files_are_read_in_a_sitting():
    files = [*FILES, *(HELPERS / f"{name}.py" for name in HALL)]
    long = {path.name: len(path.read_text().splitlines()) for path in files}
    assert not {name: lines for name, lines in long.items() if lines > 450}
