"""What a page claims rests on a record or on an assertion, and fails with it."""

from __future__ import annotations

import pytest

from book.tools import claims
from book.tools.claims import problems

PAGES = claims.pages()
HEAD = (
    "# T\n\n**Claim.** It helps.{}\n\n## Key points\n\n:::{{admonition}} K\n- One.{}\n"
    "- Two,\n  long.{}\n:::\n\n**Further reading.** x"
)
TRUE, FALSE = "<!--? 1 < 2 -->", "<!--? 2 < 1 -->"


@pytest.mark.parametrize("page", PAGES)
def test_every_claim_rests_on_something_true(page):
    assert problems(page, PAGES[page]) == []


def test_the_first_page_and_the_chapters_up_to_align_are_asked():
    assert {"book/index", "book/summary", "book/saliency", "book/masker", "book/align"} <= set(
        PAGES
    )
    assert "book/theory/evidence" in PAGES


def test_a_claim_without_ground_is_named():
    assert problems("page", HEAD.format(TRUE, TRUE, TRUE)) == []
    for place in range(3):
        given = [TRUE] * 3
        given[place] = ""
        (found,) = problems("page", HEAD.format(*given))
        assert ["It helps", "One.", "Two,"][place] in found
    number = '0.9<!--= mean("toy", "ERM") -->'
    assert problems("page", HEAD.format(number, TRUE, TRUE)) == []


def test_a_ground_that_is_not_so_is_named_wherever_it_stands():
    (found,) = problems("page", HEAD.format(TRUE, TRUE, FALSE))
    assert "not true: 2 < 1" in found
    (found,) = problems("page", f"Prose.{FALSE}")
    assert "2 < 1" in found


def test_the_first_page_is_asked_for_its_findings_and_for_each_row_of_its_map():
    text = f"- a{TRUE}\n- b\n\n## Doors\n\n- no claim\n\n## A map of the book\n\n| C | W |\n"
    text += "|---|---|\n"
    text += f"| **P** | |\n| [x](x.ipynb) | good{TRUE} |\n| [y](y.ipynb) | bad |\n"
    found = problems("book/index", text)
    assert len(found) == 2 and "- b" in found[0] and "[y]" in found[1]


def test_records_and_assertions_are_what_a_claim_can_rest_on():
    assert claims.holds('gap("toy", "ALIGN, energy").low > 0', "page")
    assert not claims.holds('gap("toy", "true masks, BCE").low > 0', "page")
    assert claims.holds('effect("sparsity λ1: 0.0").high < 0', "page")
    assert not claims.holds('effect("smoothness λ2: 0.8").high < 0', "page")
    assert claims.holds('asserted("masker-17")', "book/masker")
    assert claims.holds('asserted("masker-17", "book/masker")', "page")
    assert not claims.holds('asserted("masker-12")', "book/masker")  # a cell that asserts nothing
    assert not claims.holds('asserted("no-such-cell")', "book/masker")
