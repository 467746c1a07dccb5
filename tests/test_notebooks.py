"""The notebooks as files: what their authors wrote and nothing else, and ready for Colab.

That they *run* is what `pytest --nbval-lax book` shows; here a broken notebook shows that it would
be noticed.
"""

import ast
import copy
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from book.tools import execute, first_cell, project, strip

BOOK = project.ROOT / "book"
NOTEBOOKS = sorted(p for p in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
REPOSITORY = project.config()["repository"]


def read(path: Path):
    return nbformat.read(path, as_version=4)


def code_of(notebook) -> str:
    """The notebook as one Python module, without IPython's own lines."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(
        line if not line.lstrip().startswith(("%", "!")) else line[: -len(line.lstrip())] + "pass"
        for cell in cells
        for line in cell.splitlines()
    )


each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_the_table_of_contents_names_every_chapter_and_each_exists():
    files = [*NOTEBOOKS, *BOOK.rglob("*.md")]
    in_folder = {path.relative_to(project.ROOT).with_suffix("").as_posix() for path in files}
    assert set(project.pages()) == in_folder


@each
def test_no_outputs_or_stray_metadata(path):
    assert path.read_text() == strip.text(strip.strip(read(path))), "run `make format`"


@each
def test_first_cell_is_derived_from_the_address(path):
    assert not first_cell.update(read(path), REPOSITORY), "run `make cells`"


@each
def test_opens_with_a_title_and_then_the_first_cell(path):
    title, first = read(path).cells[:2]
    assert title.cell_type == "markdown" and title.source.startswith("# ")
    assert "first-cell" in first.metadata["tags"]


@each
def test_asserts_something(path):
    tree = ast.parse(code_of(read(path)))
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))


@each
def test_no_cell_is_allowed_to_fail(path):
    for cell in read(path).cells:
        assert not {"raises-exception", "nbval-skip"} & set(cell.metadata.get("tags", []))


PROMPTS = {"code_prompt_show", "code_prompt_hide"}
"""A folded cell that only asserts says so, in place of "Show code cell source"."""


@each
def test_figures_have_caption_name_and_alternative_text(path):
    names = []
    for cell in read(path).cells:
        picture = cell.metadata.get("mystnb")
        if not picture or set(picture) == PROMPTS:
            continue
        assert len(picture["image"]["alt"].split()) >= 4, f"alt says too little in\n{cell.source}"
        assert picture["figure"]["caption"].strip().endswith((".", "?"))
        names.append(picture["figure"]["name"])
    assert names, "a chapter has at least its signature figure"
    assert all(name.startswith("fig-") for name in names) and len(names) == len(set(names))


def make(*cells: str):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["align"] = {"minutes": {"smoke": 0.2, "book": 1, "gpu": 2}}
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# Title"))
    return notebook


def test_a_raising_cell_fails_although_no_output_is_stored(tmp_path):
    nbformat.write(strip.strip(make("assert 1 == 1", "assert 1 == 2")), tmp_path / "tiny.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-q"]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "tiny.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout


def test_strip_takes_out_what_a_run_leaves_and_keeps_what_the_author_wrote():
    notebook = make("x = 1\nx")
    wanted = strip.text(strip.strip(notebook))
    dirty = copy.deepcopy(notebook)
    dirty.cells[1].outputs = [nbformat.v4.new_output("stream", text="hello")]
    dirty.cells[1].execution_count = 7
    dirty.cells[1].metadata["ExecuteTime"] = {"start": "now"}
    dirty.metadata["widgets"] = {"state": {}}
    dirty.metadata["kernelspec"] = {"name": "mine", "display_name": "Mine", "language": "python"}
    assert strip.text(strip.strip(dirty)) == wanted
    tagged = copy.deepcopy(notebook)
    tagged.cells[1].metadata["tags"] = ["hide-input"]
    assert "hide-input" in strip.text(strip.strip(tagged))
    assert '"minutes"' in wanted


def test_a_fork_rewrites_the_first_cell_by_changing_one_line():
    notebook = make("assert True")
    assert first_cell.update(notebook, REPOSITORY)
    assert not first_cell.update(notebook, REPOSITORY)
    fork = REPOSITORY | {"url": "https://example.org/me/fork", "branch": "mine"}
    assert first_cell.update(notebook, fork)
    assert "git+https://example.org/me/fork@mine" in notebook.cells[1].source
    assert REPOSITORY["url"] not in notebook.cells[1].source
    assert [cell.source for cell in notebook.cells[2:]] == ["assert True"]


def test_the_first_cell_never_installs_dependencies():
    source = first_cell.source(make(), REPOSITORY)
    installs = [line for line in source.splitlines() if "pip install" in line]
    assert len(installs) == 2 and all("--no-deps" in line for line in installs)
    assert not any("torch" in line or "numpy" in line for line in installs)


def test_the_first_cell_speaks_of_a_gpu_only_where_one_pays():
    plain, paying = make(), make()
    paying.metadata["accelerator"] = "GPU"
    assert "gpu_pays" not in first_cell.source(plain, REPOSITORY)
    assert "gpu_pays=True" in first_cell.source(paying, REPOSITORY)


def test_a_notebook_without_minutes_is_refused():
    notebook = make()
    del notebook.metadata["align"]
    with pytest.raises(ValueError, match="minutes"):
        first_cell.source(notebook, REPOSITORY)


def test_a_changed_library_or_tier_makes_stored_outputs_stale(tmp_path):
    (tmp_path / "align").mkdir()
    (tmp_path / "align" / "losses.py").write_text("WEIGHT = 1")
    (tmp_path / "results").mkdir()
    prints = [project.fingerprint(tmp_path, pages_too=False)]
    (tmp_path / "align" / "losses.py").write_text("WEIGHT = 2")
    prints.append(project.fingerprint(tmp_path, pages_too=False))
    (tmp_path / "results" / "runs.jsonl").write_text("{}")
    prints.append(project.fingerprint(tmp_path, pages_too=False))
    (tmp_path / "align" / "__pycache__").mkdir()
    (tmp_path / "align" / "__pycache__" / "losses.py").write_text("")
    assert len(set(prints)) == 3 and project.fingerprint(tmp_path, pages_too=False) == prints[-1]
    assert execute.cache_key("smoke") != execute.cache_key("book")


def test_stored_outputs_are_used_until_the_key_changes_and_errors_are_told(tmp_path, capfd):
    good, bad = tmp_path / "good.ipynb", tmp_path / "bad.ipynb"
    nbformat.write(strip.strip(make("print(6 * 7)")), good)
    nbformat.write(strip.strip(make("raise RuntimeError('no luck')")), bad)
    assert not execute.cached([good, bad], tmp_path / "cache", "one", workers=1)
    said = capfd.readouterr()
    assert "of which 2 must run" in said.out and "no luck" in said.err
    assert execute.cached([good], tmp_path / "cache", "one", workers=1)
    assert "of which 0 must run" in capfd.readouterr().out
    assert execute.cached([good], tmp_path / "cache", "two", workers=1)
    assert "of which 1 must run" in capfd.readouterr().out


@pytest.mark.parametrize("path", project.notebooks(), ids=lambda path: path.stem)
def test_a_cell_shows_one_table(path):
    """`show` returns what a cell displays if it is the last: an earlier one would vanish."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "show(" in cell.source:
            lines = [line for line in cell.source.splitlines() if not line.startswith("%")]
            lost = [one for one in ast.parse("\n".join(lines)).body[:-1] if _shows(one)]
            assert lost == [], cell.id


def _shows(statement: ast.stmt) -> bool:
    called = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(called, ast.Call) and getattr(called.func, "id", "") == "show"
