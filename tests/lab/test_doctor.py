"""Each check on facts given here, and the whole on this machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.finding import Finding
from helpers.lab import doctor

ROOT = Path(__file__).parents[2]
GB = 10**9


def which(*there: str):
    """A PATH that has these programs only."""
    return lambda name: f"/bin/{name}" if name in there else None


def test_python_is_held_to_the_minor_version():
    assert doctor.python((3, 11, 7)) == Finding("Python", "ok", "3.11.7")
    for other in ((3, 10, 2), (3, 12, 0)):
        finding = doctor.python(other)
        assert finding.level == "fail"
        assert "make PYTHON=" in finding.message


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


@pytest.mark.parametrize(
    ("torch", "torchvision", "level"),
    [
        ("2.13.0", "0.28.0", "ok"),
        ("2.13.0+cpu", "0.28.0+cpu", "ok"),
        ("2.13.0", "0.27.1", "fail"),
        ("2.1.0", "0.28.0", "fail"),
        ("2.13.0", None, "fail"),
    ],
)
def test_torchvision_must_pair_with_torch(torch: str, torchvision: str | None, level: str):
    assert doctor.torch_pair(torch, torchvision).level == level


def test_different_builds_are_named():
    assert "different builds" in doctor.torch_pair("2.13.0+cpu", "0.28.0").message
    assert "different builds" not in doctor.torch_pair("2.13.0+cpu", "0.28.0+cpu").message


@pytest.mark.parametrize(("usable", "level"), [(0.9, "fail"), (1.1, "warn"), (2.0, "ok")])
def test_memory_is_held_against_what_chapters_take(usable: float, level: str):
    assert doctor.memory(int(usable * GB)).level == level


def test_disk():
    assert doctor.disk(5 * GB).level == "ok"
    assert doctor.disk(GB // 2).level == "warn"


def test_fonts(tmp_path: Path):
    assert doctor.fonts(None).level == "fail"
    assert doctor.fonts(tmp_path).level == "fail"
    font = tmp_path / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    font.parent.mkdir(parents=True)
    font.touch()
    assert doctor.fonts(tmp_path).level == "ok"


def test_chromium():
    assert doctor.chromium(which("chromium-browser")).message == "/bin/chromium-browser"
    assert doctor.chromium(which()).level == "warn"


@pytest.mark.parametrize(
    ("programs", "images", "level", "says"),
    [
        (["pulsar2", "docker"], None, "ok", "/bin/pulsar2"),
        (["docker"], ["ubuntu:24.04", "pulsar2:6.0", "pulsar2:7.0"], "ok", "pulsar2:7.0"),
        (["docker"], ["ubuntu:24.04"], "warn", "no image"),
        (["docker"], None, "warn", "does not answer"),
        ([], None, "warn", "install docker"),
    ],
)
def test_pulsar2(programs: list[str], images: list[str] | None, level: str, says: str):
    finding = doctor.pulsar2(which(*programs), lambda docker: images)
    assert finding.level == level
    assert says in finding.message


def test_ssh():
    assert doctor.ssh(which("ssh", "scp")).level == "ok"
    assert doctor.ssh(which("ssh")).message.startswith("no scp,")


def test_weights(tmp_path: Path):
    shipped = tmp_path / "pocket.safetensors"
    at = {"HF_HOME": str(tmp_path / "hf")}
    assert doctor.weights(at, shipped=shipped).level == "fail"
    shipped.touch()
    assert doctor.weights(at, shipped=shipped).level == "warn"

    checkpoint = tmp_path / "m5.pth"
    named = at | {"EFFICIENTVIT_CHECKPOINT": str(checkpoint)}
    assert doctor.weights(named, shipped=shipped).level == "fail"
    checkpoint.touch()
    assert doctor.weights(named, shipped=shipped).level == "ok"

    snapshot = tmp_path / "hf" / "hub" / "models--timm--efficientvit_m5.r224_in1k" / "snapshots" / "1a2b"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    assert doctor.weights(at, shipped=shipped).message == "pocket model, efficientvit_m5"


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, ("huggingface.co", 443)),
        ({"HF_ENDPOINT": "http://mirror.example:8080/hub"}, ("mirror.example", 8080)),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, ("proxy.example", 3128)),
        ({"https_proxy": "proxy.example"}, ("proxy.example", 80)),
    ],
)
def test_network_asks_the_hub_or_the_proxy_before_it(environment: dict[str, str], asked: tuple[str, int]):
    calls = []
    doctor.network(environment, lambda *target: calls.append(target) or True)
    assert calls == [asked]


def test_without_network_it_says_what_still_works():
    assert doctor.network({}, lambda host, port: True).level == "ok"
    absent = doctor.network({}, lambda host, port: False)
    assert absent.level == "warn"
    assert "everything runs but" in absent.message
    assert doctor.network({"HF_HUB_OFFLINE": "1"}, lambda host, port: 1 / 0).level == "warn"
    assert doctor.network({"HF_ENDPOINT": "nowhere"}, lambda host, port: 1 / 0).level == "warn"


def test_requirements_are_those_of_the_project_with_their_pins():
    direct, pins = doctor.requirements(ROOT)
    assert {"torch", "jupyter-server-proxy", "pyyaml"} <= set(direct) <= set(pins)


@pytest.mark.parametrize("name", ["python", "packages", "torch_pair", "memory", "disk", "weights"])
def test_any_fail_is_the_exit_status(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "network", lambda *_: Finding("network", "warn", "not asked in this test"))
    monkeypatch.setattr(doctor, name, lambda *_, **__: Finding(name, "fail", "broken in this test"))
    assert doctor.main() == 1


def test_it_is_well_here_and_prints_one_line_each(capsys: pytest.CaptureFixture[str]):
    assert doctor.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert all(re.match(r"(ok  |warn)  \S.*: \S", line) for line in lines)


def test_without_any_package_it_still_answers_and_imports_nothing_heavy():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from helpers.__main__ import main; main(['doctor'])"
    )
    outside = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PATH")}
    bare = subprocess.run(
        [getattr(sys, "_base_executable", sys.executable), "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        env=outside | {"PATH": ""},
    )
    assert bare.returncode == 0, bare.stderr
    assert "torch, torchvision, timm" in bare.stdout
    assert len(bare.stdout.splitlines()) == 11
