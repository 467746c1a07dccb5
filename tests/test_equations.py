"""Equations and functions name each other: no numbered equation of the book is without its code."""

from __future__ import annotations

import re
from collections import namedtuple

import nbformat
import pytest

from book.tools import project
from book.tools.page_docstrings import skip_unsaid, to_markup
from book.tools.page_equations import NAMED, computed, labelled, shown

NOT_COMPUTED = {
    "eq-faith-slope": "a derivative; its sign is what the chapter uses",
    "eq-ce-split": "a step of the proof of the identity",
    "eq-better-than-chance": "a condition, met or not",
    "eq-chance-identity": "a step of the proof of the best strength",
    "eq-mismatch": "the chapter takes its left side apart, in a cell, for one mask",
    "eq-method-swap": "the chapter's own class computes it, which is what the chapter is about",
}
FOUND = list(computed())
LABELLED = list(labelled())


def prose(chapter: str) -> str:
    path = project.ROOT / "book" / f"{chapter}.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("one", FOUND, ids=lambda one: f"{one.function}-{one.label}")
def test_a_function_names_an_equation_that_names_the_function(one):
    assert (one.chapter, one.label) in LABELLED
    parts = one.function.split(".")
    method = parts[-2][0].isupper()
    short = ".".join(parts[-2:]) if method else parts[-1]
    assert re.search(rf"`[^`\n]*\b{re.escape(short)}\b[^`\n]*`", prose(one.chapter)), short


def test_every_numbered_equation_is_computed_or_excused():
    labels = [label for _, label in LABELLED]
    assert len(labels) == len(set(labels)) > 35
    assert {one.label for one in FOUND} | set(NOT_COMPUTED) == set(labels)
    assert {one.label for one in FOUND}.isdisjoint(NOT_COMPUTED)


def test_a_docstrings_line_becomes_references():
    lines = ["Sum.", "", "Book: theory/evidence, eq-a, eq-b."]
    to_markup(None, "function", "f", None, None, lines)
    assert lines[-1] == "In the book: :eq:`eq-a`, :eq:`eq-b` of :doc:`/book/theory/evidence`."
    assert NAMED.search("    Book: masker, eq-x.")["labels"] == "eq-x"
    assert not NAMED.search("Book: masker, equation 3.")


def test_a_docstrings_chapter_becomes_a_link_and_fields_without_words_are_left_out():
    lines = ["Explain.", "", "Book: your_own_pictures."]
    to_markup(None, "function", "f", None, None, lines)
    assert lines[-1] == "In the book: :doc:`/book/your_own_pictures`."
    point = namedtuple("point", "x")
    assert skip_unsaid(None, "class", "x", point.x, False, None)
    assert not skip_unsaid(None, "class", "to_markup", to_markup, False, None)


def test_functions_are_shown_under_the_names_that_readers_import():
    assert shown("align.metrics.faithfulness.rescale") == "align.metrics.rescale"
    assert shown("align.theory.gap.mse_gap") == "align.theory.gap.mse_gap"


@pytest.mark.parametrize(
    ("what", "thing", "said"),
    [
        ("data", 0.2, ["A share.", "", "Value: ``0.2``."]),
        ("data", ("centre", "random"), ["A share.", "", "Value: ``('centre', 'random')``."]),
        ("data", tuple(range(99)), ["A share."]),
        ("data", re.compile("a"), ["A share."]),
        ("function", 0.2, ["A share."]),
    ],
)
def test_the_reference_says_the_value_of_a_short_constant(what, thing, said):
    lines = ["A share."]
    to_markup(None, what, "SHARE", thing, None, lines)
    assert lines == said
