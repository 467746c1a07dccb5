"""The three doors into the environment agree: pyproject.toml, environment.yml, constraints.txt."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def wanted() -> dict[str, Requirement]:
    lines = [*PROJECT["dependencies"]]
    for extra in PROJECT["optional-dependencies"].values():
        lines += extra
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def pythons() -> list[str]:
    """The versions that the classifiers name, oldest first."""
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", str(PROJECT["classifiers"]))
    return sorted(named, key=Version)


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
    assert python.removeprefix("python=") in pythons()


def test_one_range_of_pythons_is_allowed_named_and_checked_by_make(monkeypatch):
    """An older or a newer one is refused by `make` in a sentence, before anything is installed."""
    allowed = SpecifierSet(PROJECT["requires-python"])
    check = re.search(r"\$\(PYTHON\) -c '(import sys; .*)'", (ROOT / "Makefile").read_text())[1]
    for minor in range(9, 17):
        version = f"3.{minor}"
        assert (
            (version in pythons()) == allowed.contains(version) == allowed.contains(f"{version}.7")
        )
        monkeypatch.setattr(sys, "version_info", (3, minor, 7, "final", 0))
        if version in pythons():
            exec(check)
            continue
        with pytest.raises(SystemExit) as stop:
            exec(check)
        first, *_, last = pythons()
        assert stop.value.code == (
            f"Python {first} to {last} is needed, this is {version}; try make PYTHON=python{last}"
        )


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
