"""The teaching pages leave no chapter out, and their questions can be asked as they stand."""

from __future__ import annotations

import re

from alignbook import gallery
from book.tools import course, project

TEACHING = project.ROOT / "book" / "teaching"
CHAPTERS = [p.relative_to(project.ROOT / "book").as_posix() for p in project.notebooks()]
QUESTION = re.compile(
    r"\*Diagnostic question\.\* .+?\n\n((?:- \([a-c]\) [^\n]+\n)+)\n"
    r"Right is \*\*\((?P<right>[a-c])\)\*\*.+?\]\(\.\./(?P<page>[\w/]+\.(?:ipynb|md))\)",
    re.DOTALL,
)


def section(page: str, label: str) -> str:
    """The section of a teaching page that a label names."""
    text = (TEACHING / page).read_text(encoding="utf-8")
    _, found, rest = text.partition(f"({label})=\n## ")
    assert found, (page, label)
    return rest.partition("\n## ")[0]


def linked(text: str) -> set[str]:
    return set(re.findall(r"\]\(\.\./([\w/]+\.ipynb)\)", text))


def test_the_syllabi_leave_no_chapter_out():
    assert linked(section("kit.md", "sec-syllabi")) == set(CHAPTERS)


def test_every_chapter_has_learning_goals():
    folded = section("kit.md", "sec-goals")
    rows = re.findall(r"(?m)^- \[[^\]]+\]\(\.\./([\w/]+\.(?:ipynb|md))\)\n  - .+", folded)
    assert [page for page in rows if page.endswith(".ipynb")] == CHAPTERS
    assert re.findall(r"<summary>(.+)</summary>", folded) == list(course.parts())


def misconceptions() -> list[str]:
    text = section("exercises.md", "sec-misconceptions")
    return re.split(r"(?m)^### ", text)[1:]


def test_each_misconception_has_a_question_with_an_answer_and_a_chapter():
    found = []
    for asked in misconceptions():
        question = QUESTION.search(asked)
        assert question, asked.splitlines()[0]
        assert re.findall(r"- \(([a-c])\) ", question[1]) == ["a", "b", "c"]
        assert question["page"] in CHAPTERS
        found.append(question["right"])
    for letter in "abc":  # the answer cannot be guessed from its place
        assert 0.15 < found.count(letter) / len(found) < 0.6, (letter, found.count(letter))


def test_every_chapter_has_a_misconception_of_its_own():
    assert set(CHAPTERS) <= linked(section("exercises.md", "sec-misconceptions"))


def test_the_lab_has_a_sheet_with_maps_and_one_without(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (TEACHING / "lab.md").read_text(encoding="utf-8")
    names = {"gallery": gallery, "photographs": gallery.photographs()}
    exec(re.search(r"(?s)```python\n(.*?)```", text)[1], names)  # the book's own page
    assert all((tmp_path / f"{name}.pdf").read_bytes()[:4] == b"%PDF" for name in ("maps", "plain"))
    mixed = names["mixed"]
    assert sorted(one.name for one in mixed) == sorted(one.name for one in names["photographs"])
    for maps in (True, False):
        sheet = gallery.riddles(mixed, maps=maps)
        drawn = [ax for ax in sheet.figure.axes if ax.images]
        assert len(drawn) == len(mixed) * (1 + maps)
        # The boxes were drawn by people: they would tell more than the map.
        assert not any(ax.lines for ax in drawn)
        # Neither what it is nor the answer, in no words at all.
        titles = [ax.get_title(loc) for ax in drawn for loc in ("left", "center")]
        assert sorted(int(title) for title in titles if title) == list(range(1, len(mixed) + 1))
        assert not any(one.answer in sheet.alt or one.shows in sheet.alt for one in mixed)
