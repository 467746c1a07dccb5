"""What a visitor of the repository relies on: licences, citation, templates, workflows, minutes."""

from __future__ import annotations

import json
import re
import subprocess

import nbformat
import pytest
import yaml

from book.tools import citation, first_cell, minutes, project

ROOT = project.ROOT
FILES = sorted((ROOT / ".github").rglob("*.yml"))


def tracked() -> list[str]:
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return done.stdout.split()


def test_the_address_stands_in_one_place_and_the_rest_derives_from_it():
    url = project.config()["repository"]["url"]
    derived = {path.relative_to(ROOT).as_posix() for path in project.notebooks()}
    derived |= {"_config.yml", "CITATION.cff"}
    texts = (
        name for name in tracked() if not name.endswith((".woff", ".safetensors", ".js", ".jpg"))
    )
    holding = {name for name in texts if url in (ROOT / name).read_text(encoding="utf-8")}
    assert holding == derived
    assert all(not first_cell.update(nbformat.read(p, 4), project.config()["repository"])
               for p in project.notebooks())  # fmt: skip


def test_the_citation_is_derived_and_well_formed(tmp_path):
    assert (ROOT / citation.FILE).read_text(encoding="utf-8") == citation.text()
    read = yaml.safe_load(citation.text())
    assert {"cff-version", "message", "title", "authors", "version", "repository-code"} <= set(read)
    assert read["license"] == "MIT" and "CC-BY-4.0" in read["message"]  # archives refuse a list
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    fork = (ROOT / "_config.yml").read_text().replace(read["repository-code"], "https://x.org/fork")
    (tmp_path / "_config.yml").write_text(fork)
    assert yaml.safe_load(citation.text(tmp_path))["repository-code"] == "https://x.org/fork"


def test_code_and_text_have_their_licences():
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert "Attribution 4.0" in (ROOT / "LICENSE-TEXT").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_templates_and_workflows_are_well_formed(path):
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "ISSUE_TEMPLATE" in path.parts:
        assert {"name", "description", "body"} <= set(read)
        return
    assert read["permissions"] == {"contents": "read"}
    for job in read["jobs"].values():
        assert job.get("timeout-minutes", 60) <= 60


def test_workflows_and_guides_name_commands_that_exist():
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "book/index.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert set(re.findall(r"(?m)(?:`|^)make ([a-z]+)", text)) <= targets, name
    for path in FILES:
        for module in re.findall(r"-m (book\.[\w.]+)", path.read_text()):
            assert (ROOT / (module.replace(".", "/") + ".py")).is_file()


def test_the_contributors_guide_is_short_and_points_at_files_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.split()) < 500
    for name in re.findall(r"`([\w./]+/[\w./]*)`", text):
        assert (ROOT / name).exists(), name


def test_the_map_shows_every_page_in_the_order_of_the_contents():
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    wanted = [c["file"].removeprefix("book/") for part in parts for c in part["chapters"]]
    text = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"(?m)^\|.*\|$", text))
    shown = re.findall(r"\(([\w/]+)\.(?:ipynb|md)\)", rows)
    assert shown == wanted
    assert re.findall(r"(?m)^\| \*\*(\w+)\*\* \|", rows) == [part["caption"] for part in parts]


def announced_and_measured(tier: str) -> list[tuple[str, float, float]]:
    """Each measured chapter with the minutes that its metadata, and so its first cell, announce."""
    measured = minutes.recorded()[tier]["seconds"]
    notebooks = {project.page(path): path for path in project.notebooks()}
    return [
        (name, nbformat.read(path, 4).metadata["align"]["minutes"][tier], measured[name] / 60)
        for name, path in notebooks.items()
        if name in measured
    ]


def test_announced_minutes_are_not_far_below_the_measured_ones():
    for tier in minutes.recorded():
        for name, told, took in announced_and_measured(tier):
            assert took <= 2 * told + 0.5, f"{name}, {tier}: took {took:.2f}, announced {told}"


def test_minutes_announced_for_the_pages_are_at_most_twice_or_half_the_measured_ones():
    chapters = announced_and_measured("book")
    assert chapters
    for name, told, took in chapters:
        assert took / 2 <= told <= took * 2, f"{name}: took {took:.2f}, announced {told}"


def test_a_page_announces_the_minutes_that_stand_under_its_title():
    for name, told, took in announced_and_measured("book"):
        assert told == pytest.approx(max(0.1, took), abs=0.051), name


def test_measured_minutes_come_from_a_build_and_from_nowhere_else(tmp_path):
    with pytest.raises(ValueError, match="no build"):
        minutes.measured(tmp_path, "book")
    minutes.keep({"machine": "m", "day": "d", "seconds": {"book/x": 3.0}}, "book", tmp_path / "m")
    minutes.keep({"machine": "n", "day": "d", "seconds": {}}, "gpu", tmp_path / "m")
    assert set(json.loads((tmp_path / "m").read_text())) == {"book", "gpu"}
