"""pyproject.toml, constraints.txt and environment.yml say the same."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from helpers.files import ROOT
from helpers.lab.doctor import NEWEST_PYTHON, OLDEST_PYTHON
from helpers.lab.install import CPU_INDEX


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def direct() -> list[Requirement]:
    return [Requirement(line) for line in project()["dependencies"]]


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): pinned for name, pinned in pins}


def test_every_direct_dependency_is_pinned_within_its_range():
    pins = constraints()
    groups = project()["optional-dependencies"].values()
    for requirement in [*direct(), *(Requirement(line) for group in groups for line in group)]:
        pinned = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned), f"{requirement} against {pinned}"


def test_environment_yml_repeats_the_direct_dependencies():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["channels"] == ["conda-forge"]
    *plain, with_pip = conda["dependencies"]
    assert plain == ["python=3.11", "pip"]
    pins, index, *lines = with_pip["pip"]
    assert pins == "-c constraints.txt"
    assert index == f"--extra-index-url {CPU_INDEX}"
    assert lines == project()["dependencies"]


def test_the_same_pythons_are_named_everywhere():
    oldest, newest = (".".join(map(str, end)) for end in (OLDEST_PYTHON, NEWEST_PYTHON))
    minors = [f"3.{minor}" for minor in range(OLDEST_PYTHON[1], NEWEST_PYTHON[1] + 1)]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    makefile = (ROOT / "Makefile").read_text()
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    supported = SpecifierSet(settings["project"]["requires-python"])
    assert [f"3.{minor}" for minor in range(30) if f"3.{minor}.0" in supported] == minors
    assert settings["tool"]["mypy"]["python_version"] == oldest
    assert settings["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"{OLDEST_PYTHON} <= v <= {NEWEST_PYTHON}" in makefile
    assert " ".join(f"python{minor}" for minor in minors) in makefile
    assert " ".join(f"{minor}.0" for minor in minors) in makefile  # lock-check
    assert jobs["nightly"]["strategy"]["matrix"]["python"] == minors
    assert [name for name, job in jobs.items() if {"run": ".ci/run"} in job["steps"]] == [
        "test",
        "nightly",
        "newest",
    ]
    for readme in ("README.md", "README.ja.md"):
        assert re.search(rf"Python {oldest}\D+{newest}\b", (ROOT / readme).read_text(encoding="utf-8"))


def test_constraints_keep_cuda_out():
    assert not [name for name in constraints() if re.match(r"nvidia|cuda|triton", name)]
    assert not [pinned for pinned in constraints().values() if "+" in pinned]


def test_post_build_installs_no_dependency_and_goes_on_without_the_hub(tmp_path: Path):
    (tmp_path / "notebooks").mkdir()
    calls = tmp_path / "calls"
    for name, status in {"pip": 0, "jupyter": 0, "python": 1}.items():
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{calls}\nexit {status}\n')
        (tmp_path / name).chmod(0o755)
    search = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run([ROOT / "postBuild"], cwd=tmp_path, env={"PATH": search}, check=True)
    installed, trusted, fetched = calls.read_text().splitlines()
    assert "--no-deps" in installed
    assert "trust notebooks" in trusted
    assert "timm" in fetched
    (tmp_path / "pip").write_text("#!/bin/sh\nexit 1\n")
    assert subprocess.run([ROOT / "postBuild"], cwd=tmp_path, env={"PATH": search}).returncode == 1


@pytest.mark.parametrize("requirement", direct(), ids=lambda requirement: requirement.name)
def test_this_environment_is_the_pinned_one(requirement: Requirement):
    installed = version(requirement.name).partition("+")[0]
    assert installed == constraints()[canonicalize_name(requirement.name)]
