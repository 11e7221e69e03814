"""pyproject.toml, constraints.txt and environment.yml say the same."""

import re
import tomllib
from importlib.metadata import version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers.files import ROOT


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
    index, *lines = with_pip["pip"]
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert lines == project()["dependencies"]


def test_constraints_keep_cuda_out():
    assert not [name for name in constraints() if re.match(r"nvidia|cuda|triton", name)]
    assert not [pinned for pinned in constraints().values() if "+" in pinned]


def test_post_build_stops_at_the_first_error_and_installs_no_dependency():
    script = (ROOT / "postBuild").read_text()
    assert "set -e" in script
    assert "--no-deps" in script


@pytest.mark.parametrize("place", ["postBuild", "Makefile"])
def test_notebooks_are_trusted_before_jupyterlab_opens_them(place: str):
    """JupyterLab shows no SVG figure of a notebook that it does not trust."""
    assert "jupyter trust notebooks/*.ipynb" in (ROOT / place).read_text()


def test_no_second_list_beside_them():
    assert not list(ROOT.glob("*requirements*.txt"))


@pytest.mark.parametrize("requirement", direct(), ids=lambda requirement: requirement.name)
def test_this_environment_is_the_pinned_one(requirement: Requirement):
    installed = version(requirement.name).partition("+")[0]
    assert installed == constraints()[canonicalize_name(requirement.name)]
