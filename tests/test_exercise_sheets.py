"""Each exercise says how hard it is and how long it takes, and folds a hint and a solution."""

from __future__ import annotations

import copy

import nbformat
import pytest

from book.tools import plain, project
from book.tools.page_exercises import exercises

each = pytest.mark.parametrize("path", project.notebooks(), ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def solutions(notebook):
    """Yield the label of the exercise that each folded solution solves."""
    for cell in notebook.cells:
        for part in plain.split(cell.source) if cell.cell_type == "markdown" else []:
            if getattr(part, "name", "") in ("solution", "solution-start"):
                assert part.options["class"] == "dropdown", part.title
                yield part.title


@each
def test_an_exercise_has_level_minutes_hint_and_a_folded_solution(path):
    found = list(exercises(read(path)))
    assert found, "a chapter has exercises"
    for one in found:
        assert 5 <= one.minutes <= 30, one.label
        assert len(one.hint.split()) >= 8, one.label
    assert list(solutions(read(path))) == [one.label for one in found]


@each
def test_an_exercise_in_code_is_checked_and_its_stub_is_no_answer(path):
    cells = read(path).cells
    coded = [one for one in exercises(read(path)) if one.coded]
    starts = [n for n, c in enumerate(cells) if "{exercise-start}" in c.source]
    assert len(starts) == len(coded)
    for at in starts:
        stub = cells[at + 1].source
        assert "\n    return None  # " in stub
        assert "exercises.check_" in stub
        solved = next(c.source for c in cells[at + 2 :] if c.cell_type == "code")
        assert "exercises.is_right(" in solved


def test_no_two_exercises_use_the_same_checker():
    asked = []
    for path in project.notebooks():
        cells = read(path).cells
        for at in [n for n, c in enumerate(cells) if "{exercise-start}" in c.source]:
            asked.append(cells[at + 1].source.partition("exercises.check_")[2].partition("(")[0])
    assert len(asked) >= 15
    assert sorted(asked) == sorted(set(asked))


@pytest.mark.parametrize("missing", ["*Easy, about", '<details class="hint">'])
def test_an_exercise_that_lacks_a_part_is_noticed(missing):
    notebook = read(project.ROOT / "book" / "quickstart.ipynb")
    assert len(list(exercises(notebook))) == 3
    broken = copy.deepcopy(notebook)
    for cell in broken.cells:
        cell.source = cell.source.replace(missing, "")
    with pytest.raises(ValueError, match="lacks its level and minutes or its hint"):
        list(exercises(broken))
