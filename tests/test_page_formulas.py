"""A formula and the punctuation at it stay on one line, and no letter of the page is lost."""

import pytest
from docutils import nodes, utils

from book.tools import page_formulas


def paragraph(*parts: str) -> nodes.document:
    """A page of one paragraph; every second part is a formula."""
    made = [
        nodes.math("", part) if place % 2 else nodes.Text(part) for place, part in enumerate(parts)
    ]
    document = utils.new_document("page")
    document += nodes.paragraph("", "", *made)
    return document


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("for ", "x", ", and"), ["x,"]),
        (("(at ", "x", ")."), ["x)."]),
        (("both (", "x", " and ", "y", "), then"), ["(x", "y),"]),
        (("a ", "k", "-fold rise"), ["k-fold"]),
        (("of ", "x", "’s size"), ["x’s"]),
        (("from ", "a", "–", "b", "."), ["b."]),
        (("the pair (", "a", ", ", "b", ")"), ["(a,", "b)"]),
        (("f", "x", "(", "y", ")"), ["(y)"]),
        (("between ", "x", " words"), []),
        (("", "x", ""), []),
    ],
)
def test_what_is_glued_to_a_formula_is_joined_to_it(parts, joined):
    document = paragraph(*parts)
    page_formulas.join(None, document)
    assert [one.astext() for one in document.findall(nodes.inline)] == joined
    assert document.astext() == "".join(parts)
    assert all("joined" in one["classes"] for one in document.findall(nodes.inline))


def test_each_formula_stays_a_formula():
    document = paragraph("(", "a", ") and (", "b", ")")
    page_formulas.join(None, document)
    assert [one.astext() for one in document.findall(nodes.math)] == ["a", "b"]
