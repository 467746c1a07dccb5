"""The teaching pages leave no chapter out, and their questions can be asked as they stand."""

from __future__ import annotations

import re

from book.tools import project

TEACHING = project.ROOT / "book" / "teaching"
CHAPTERS = [p.relative_to(project.ROOT / "book").as_posix() for p in project.notebooks()]
QUESTION = re.compile(
    r"\*Diagnostic question\.\* .+?\n\n((?:- \([a-c]\) [^\n]+\n)+)\n"
    r"Right is \*\*\((?P<right>[a-c])\)\*\*.+?\]\(\.\./(?P<page>[\w/]+\.(?:ipynb|md))\)",
    re.DOTALL,
)


def linked(name: str) -> set[str]:
    text = (TEACHING / name).read_text(encoding="utf-8")
    return set(re.findall(r"\]\(\.\./([\w/]+\.ipynb)\)", text))


def test_the_syllabi_leave_no_chapter_out():
    assert linked("syllabi.md") == set(CHAPTERS)


def misconceptions() -> list[str]:
    text = (TEACHING / "misconceptions.md").read_text(encoding="utf-8")
    return re.split(r"(?m)^## ", text)[1:]


def test_each_misconception_has_a_question_with_an_answer_and_a_chapter():
    found = []
    for section in misconceptions():
        question = QUESTION.search(section)
        assert question, section.splitlines()[0]
        assert re.findall(r"- \(([a-c])\) ", question[1]) == ["a", "b", "c"]
        assert question["page"] in CHAPTERS
        found.append(question["right"])
    for letter in "abc":  # the answer cannot be guessed from its place
        assert 0.15 < found.count(letter) / len(found) < 0.6, (letter, found.count(letter))


def test_every_chapter_has_a_misconception_of_its_own():
    assert set(CHAPTERS) <= set(linked("misconceptions.md"))
