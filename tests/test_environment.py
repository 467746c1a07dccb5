"""The three doors into the environment agree: pyproject.toml, environment.yml, constraints.txt."""

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


def wanted() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        lines += extra
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def pinned() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def conda() -> tuple[list[str], list[str]]:
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    plain = [entry for entry in entries if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    return plain, pip


@pytest.mark.parametrize("name", sorted(wanted()))
def test_every_requirement_is_pinned_to_a_version_it_allows(name):
    assert name in pinned(), f"constraints.txt does not pin {name}"
    version, requirement = pinned()[name], wanted()[name]
    assert requirement.specifier.contains(version), f"{name} {version} is outside {requirement}"


def test_the_conda_door_asks_for_what_pyproject_asks_for():
    _, pip = conda()
    named = [Requirement(line) for line in pip if not line.startswith("-")]
    for requirement in named:
        name = canonicalize_name(requirement.name)
        assert requirement.specifier == wanted()[name].specifier, f"{name} differs"
    fixed = "torch torchvision jupyter jupyter-book matplotlib seaborn ipywidgets nbval"
    assert {canonicalize_name(r.name) for r in named} == set(fixed.split())


def test_the_conda_door_installs_this_package_under_the_constraints():
    plain, pip = conda()
    assert "-c constraints.txt" in pip
    assert "-e .[book,test]" in pip
    (python,) = [entry for entry in plain if entry.startswith("python=")]
    assert Version(python.removeprefix("python=")) in (Version("3.11"), Version("3.12"))


def test_a_torch_that_may_come_without_a_working_torchvision_is_ruled_out():
    torch = wanted()["torch"].specifier
    assert not torch.contains("2.13.0") and not torch.contains("2.13.1")
    assert not torch.contains("2.10.0") and torch.contains("2.11.0") and torch.contains("2.14.0")
    assert not wanted()["torchvision"].specifier.contains("0.25.1")


def test_the_page_builder_stays_below_version_two():
    assert not wanted()["jupyter-book"].specifier.contains("2.0.0")


def test_the_constraints_name_no_private_source():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert "@" not in line and "://" not in line and not line.startswith("-")
