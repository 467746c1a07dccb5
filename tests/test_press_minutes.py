"""Minutes are counted in the sources: under each title, on the hour's path, in the lab."""

from __future__ import annotations

import json
import re

import nbformat
import pytest

from book.tools import minutes, page_minutes, project, reading

LAB = (project.ROOT / "book" / "teaching" / "lab.md").read_text(encoding="utf-8")


def test_words_count_prose_and_equations_and_not_what_is_folded():
    assert reading.words("Two words.") == 2
    assert reading.words("[a link](some/where.html) <!-- a comment -->") == 2
    assert reading.words("$$\nx = 1\n$$ (eq-x)") == reading.WORTH["equation"]
    assert reading.words("Seen. <details>\nfolded away\n</details>") == 1
    assert reading.words(":::{tip}\n:class: tip\nInside.\n:::") == 1


@pytest.fixture
def root(tmp_path):
    (tmp_path / "book").mkdir()
    cells = [
        nbformat.v4.new_markdown_cell("# T\n\n" + "word " * 149),
        nbformat.v4.new_code_cell("1", metadata={"tags": ["first-cell", "hide-input"]}),
        nbformat.v4.new_markdown_cell("## A\n\n" + "word " * 149),
        nbformat.v4.new_code_cell("draw()", metadata={"mystnb": {"figure": {"name": "fig-x"}}}),
        nbformat.v4.new_markdown_cell("## Exercises\n\n" + "word " * 900),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["align"] = {"minutes": {"smoke": 0.1, "book": 2, "gpu": 1}}
    nbformat.write(notebook, tmp_path / "book" / "x.ipynb")
    return tmp_path


def test_a_page_takes_the_minutes_of_its_sections(root):
    figure = (reading.WORTH["figure"] + reading.WORTH["code"]) / reading.PACE
    whole = reading.minutes("book/x", root=root)
    assert whole.reading == pytest.approx(2 + figure, abs=0.02)
    assert whole.running == 2
    assert reading.minutes("book/x", [], root).reading == pytest.approx(1, abs=0.01)
    with pytest.raises(ValueError, match=r"book/x has no section \['B'\]"):
        reading.minutes("book/x", ["B"], root)


def test_what_a_page_includes_is_read_and_what_it_folds_is_not(root):
    whole = '```{include} ../LIST.md\n:start-after: "## Faults"\n```\n'
    folded = ":::{dropdown} More\n" + "word " * 300 + "\n:::\n"
    (root / "LIST.md").write_text("word " * 300 + "## Faults\n" + "word " * 149)
    (root / "book" / "y.md").write_text(f"# T\n\n{folded}{whole}")
    assert reading.minutes("book/y", root=root).reading == pytest.approx(1, abs=0.01)


def test_measured_minutes_take_the_place_of_announced_ones(root):
    record = {"book": {"seconds": {"book/x": 30.0}}}
    (root / "book" / "minutes.json").write_text(json.dumps(record))
    assert reading.minutes("book/x", root=root).running == 0.5
    assert reading.line(reading.Minutes(3.4, 0.5, 20)) == (
        "3 minutes to read · less than a minute to run · 20 minutes of exercises"
    )


def test_the_table_has_no_column_for_a_tier_that_nobody_measured():
    some = {"machine": "2 cores", "day": "2026-01-02", "seconds": {"book/saliency": 90.0}}
    head, rows, notes = minutes.shown({"book": some})
    assert head == ["chapter", "minutes, book"]
    assert rows["book/saliency"] == ["1.5"] and rows["book/align"] == ["–"]
    assert list(rows) == [project.page(path) for path in project.notebooks()]
    assert "book: 2 cores; measured on 2026-01-02." in notes
    assert "No chapter has been measured at tier gpu yet." in notes


def test_the_page_shows_what_was_measured_and_says_what_was_not(site):
    head, rows, notes = minutes.shown(minutes.recorded())
    page = (site / "book" / "train_on_a_gpu.html").read_text("utf-8")
    table = page.partition('id="sec-minutes"')[2].partition("</table>")
    assert re.findall(r"<th[^>]*><p>([^<]+)</p></th>", table[0]) == head
    assert table[0].count("<tr") == 1 + len(rows)
    assert all(f"<p>{note}</p>" in table[2] for note in notes)


def test_the_hours_path_takes_an_hour_and_every_step_exists():
    steps = page_minutes.path_of("book/an_hour")
    assert 45 <= sum(step.minutes for step in steps) <= 61
    assert {step.page for step in steps} <= set(project.pages())
    assert all(len(step.why.split()) > 4 for step in steps)


def test_the_quickstart_takes_about_five_minutes():
    assert 3 <= page_minutes.takes("book/quickstart") < 5.5


def test_every_page_says_its_minutes_under_its_title(site):
    for page in project.pages():
        article = (site / f"{page}.html").read_text("utf-8").partition("<article")[2]
        found = re.search(r'</h1>\s*<p class="page-minutes">([^<]+)</p>', article)
        assert found, page
        if entries := len(re.findall(r'<dl class="py ', article)):  # docstrings, to look up
            assert found[1] == f"{entries} entries, to look things up in", page
        else:
            assert found[1] == reading.line(reading.minutes(page)), page


def lab() -> list[tuple[int, str]]:
    rows = re.findall(r"(?m)^\| (\d+) \| (.+) \|$", LAB)
    return [(int(minutes), row) for minutes, row in rows]


def test_the_lab_fits_its_ninety_minutes_and_its_cells_run_in_time():
    rows = lab()
    assert sum(minutes for minutes, _ in rows) == 90
    started = next(minutes for minutes, row in rows if "*Run All Above Selected Cell*" in row)
    assert reading.running("book/quickstart") < started
    for path in re.findall(r"\]\(\.\./([\w/]+)\.ipynb\), \*([^*]+)\*", LAB):
        titles = {section.title for section in reading.sections(f"book/{path[0]}")}
        assert path[1] in titles | {"Play", "Play."} | {t.split(" · ")[-1] for t in titles}, path
