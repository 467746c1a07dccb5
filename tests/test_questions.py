"""The chapters' questions: three each, with answers that say why, folded without a script."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import nbformat
import pytest

from book.tools import project

QUESTION = re.compile(
    r"\*\*(?P<number>\d)\.\*\* (?P<asked>.+?)\n\n(?P<options>(?:- \([a-c]\) [^\n]+\n)+)\n"
    r'<details class="quiz">\n<summary>Answer</summary>\n\n'
    r"\*\*\((?P<right>[a-c])\)\.\*\* (?P<why>.+?)\n\n</details>",
    re.DOTALL,
)

SIGNATURE = "signature-figure"
"""Marks the cell of a chapter's main figure."""


def markdown(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def faults(text: str) -> list[str]:
    """Say what is wrong with a chapter's questions."""
    section = text.partition("## Three questions")[2].partition("\n## ")[0]
    found = [match.groupdict() for match in QUESTION.finditer(section)]
    if [q["number"] for q in found] != ["1", "2", "3"]:
        return [f"{len(found)} questions in the pattern of tests/test_questions.py, expected 3"]
    wrong = []
    for question in found:
        options = re.findall(r"- \(([a-c])\) (.+)", question["options"])
        if [letter for letter, _ in options] != ["a", "b", "c"]:
            wrong.append(f"question {question['number']} has not the options (a), (b), (c)")
        if len(question["why"].split()) < 20:
            wrong.append(f"the answer to question {question['number']} hardly says why")
    if len({question["right"] for question in found}) == 1:
        wrong.append("the right answer always stands at the same place")
    return wrong


@pytest.mark.parametrize("path", project.notebooks(), ids=lambda path: path.stem)
def test_a_chapter_asks_three_questions_and_explains_the_answers(path):
    text = markdown(path)
    assert faults(text) == []


@pytest.mark.parametrize("path", project.notebooks(), ids=lambda path: path.stem)
def test_a_chapter_has_every_part_that_the_teaching_kit_promises(path):
    text = markdown(path)
    everything = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    claims = text.count("**Claim.**"), text.count("## Key points"), text.count("Further reading.**")
    assert claims == (1, 1, 1)
    assert invites_to_play(path), "**Play.** ends a cell, and a cell to change follows"
    assert text.count("**Play.**") == 1, "one cell to play in"
    assert "negative control" in everything.lower()
    assert "**baseline**" in text
    marked = [cell.metadata for cell in cells(path) if SIGNATURE in cell.metadata.get("tags", ())]
    assert len(marked) == 1 and marked[0]["mystnb"]["figure"]["name"], "one signature figure"


def invites_to_play(path: Path) -> bool:
    found = nbformat.read(path, as_version=4).cells
    return any(
        "**Play.**" in cell.source
        and "\n## " not in cell.source.partition("**Play.**")[2]
        and after.cell_type == "code"
        for cell, after in itertools.pairwise(found)
    )


def cells(path: Path) -> list:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def test_faulty_questions_are_noticed():
    good = markdown(project.ROOT / "book" / "quickstart.ipynb")
    assert faults(good) == []
    assert faults(good.replace("**2.**", "**3.**"))
    assert faults(good.replace("- (b)", "- (a)", 1))
    begun, heading, rest = good.partition("## Three questions")
    assert faults(begun + heading + rest.replace("</details>", "", 1))
    assert faults(re.sub(r"(\*\*\([abc]\)\.\*\* ).*", r"\1It is so.", good))
    assert faults(re.sub(r"\*\*\([abc]\)\.\*\*", "**(b).**", good))


def test_the_glossary_is_in_the_alphabets_order():
    text = (project.ROOT / "book" / "notation.md").read_text()
    listed = text.partition("```{glossary}\n")[2].partition("\n```")[0]
    words = [line.casefold() for line in listed.splitlines() if line and not line[0].isspace()]
    assert len(words) > 50 and words == sorted(words)
