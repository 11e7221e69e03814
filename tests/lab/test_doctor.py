"""Each check on facts given here, and the whole on this machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from helpers.finding import Finding
from helpers.lab import doctor

ROOT = Path(__file__).parents[2]
GB = 10**9


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 11, 0), "ok"), ((3, 14, 9), "ok"), ((3, 10, 20), "fail"), ((3, 15, 0), "fail")],
)
def test_python_is_held_to_the_minor_version(version: tuple[int, ...], level: str):
    finding = doctor.python(version)
    assert (finding.level, "make PYTHON=" in finding.message) == (level, level == "fail")


def test_another_python_is_told_at_once_and_nothing_else(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    assert [finding.level for finding in doctor.examine()] == ["fail"]


@pytest.mark.parametrize(
    ("installed", "level", "says"),
    [
        ({"torch": "2.13.0+cpu", "onnx": "1.23.2"}, "ok", "all 2"),
        ({"torch": "2.13.0", "onnx": "1.24.0"}, "warn", "onnx 1.24.0 (tested: 1.23.2)"),
        ({"torch": None, "onnx": "1.24.0"}, "fail", "torch missing"),
    ],
)
def test_packages_are_compared_with_the_pins(installed: dict[str, str | None], level: str, says: str):
    finding = doctor.packages(installed, {"torch": "2.13.0", "onnx": "1.23.2"})
    assert finding.level == level
    assert says in finding.message
    assert ("pip install -c constraints.txt" in finding.message) == (level != "ok")


@pytest.mark.parametrize(("usable", "level"), [(0.9, "fail"), (1.1, "warn"), (2.0, "ok")])
def test_memory_and_disk_are_held_against_what_chapters_take(usable: float, level: str):
    assert doctor.memory(int(usable * GB)).level == level
    assert doctor.disk(int(usable * GB)).level == ("ok" if usable > 1 else "warn")


def test_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    checkpoint = tmp_path / "m5.pth"
    named = {"EFFICIENTVIT_CHECKPOINT": str(checkpoint)}
    assert doctor.weights({}).level == "warn"
    assert doctor.weights(named).level == "fail"
    checkpoint.touch()
    assert doctor.weights(named).level == "ok"


@pytest.mark.parametrize(("limit", "usable"), [("9000000", 5_000_000), ("3000000", 0), ("max", None)])
def test_a_container_leaves_its_limit_less_what_is_taken_and_is_not_cache(
    limit: str, usable: int | None, tmp_path: Path
):
    stat = "inactive_anon 7\ninactive_file 1000000"
    for name, text in {"max": limit, "current": "5000000", "stat": stat}.items():
        (tmp_path / f"memory.{name}").write_text(f"{text}\n")
    found = doctor.usable_bytes(tmp_path)
    assert found == usable if usable is not None else found > 10**8


def test_requirements_are_those_of_the_project_with_their_pins():
    direct, pins = doctor.requirements(ROOT)
    assert {"torch", "ipykernel", "pyyaml"} <= set(direct) <= set(pins)


@pytest.mark.parametrize("name", ["python", "packages", "memory", "disk", "weights"])
def test_any_fail_is_the_exit_status(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, name, lambda *_, **__: Finding(name, "fail", "broken in this test"))
    assert doctor.main() == 1


def test_it_is_well_here_and_prints_one_line_each(capsys: pytest.CaptureFixture[str]):
    assert doctor.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(re.match(r"(ok  |warn)  \S.*: \S", line) for line in lines)


def test_without_any_package_it_still_says_which():
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    code += "from helpers.__main__ import main; sys.exit(main(['doctor']))"
    outside = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PATH")}
    bare = subprocess.run(
        [getattr(sys, "_base_executable", sys.executable), "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        env=outside | {"PATH": ""},
    )
    assert bare.returncode == 1, bare.stderr
    assert "torch, torchvision, timm" in bare.stdout
