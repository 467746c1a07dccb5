"""No number in prose that looks measured stands there without a cell, a record or a definition."""

from __future__ import annotations

import pytest

from book.tools import prose_numbers
from book.tools.prose_numbers import measured, problems

PAGES = {name: (prose, code) for name, prose, code in prose_numbers.pages()}
CONSTANTS = prose_numbers.constants()


@pytest.mark.parametrize("name", PAGES)
def test_every_number_is_bound(name):
    assert problems(name, *PAGES[name], CONSTANTS.get(name, {})) == []


def test_every_constant_is_still_in_the_prose_and_has_a_reason():
    for name, known in CONSTANTS.items():
        said = {text for text, *_ in measured(PAGES[name][0])}
        assert set(known) <= said, name
        assert all(len(reason.split()) >= 3 for reason in known.values())


@pytest.mark.parametrize(
    ("prose", "found"),
    [
        ("ALIGN reaches 0.83 elsewhere.", ["0.83"]),
        ("a gain of +.04, or 4 %", ["+.04", "4 %"]),
        ("a loss of −3.5 percent", ["−3.5 percent"]),
        ("it takes 40 seconds, 3.3× as long, 2 times", ["40 seconds", "3.3×", "2 times"]),
        ("at 1,650 images/s", ["1,650 images/s"]),
        ("in formulas too: $t=0.83$", ["0.83"]),
        ("| ERM | 0.41 |", ["0.41"]),
        ("five domains, 3 seeds, $2^{12}=4096$ masks, in 2026", []),
        ("`0.83`, [a](x-0.83.html), {eq}`eq-0.83`, https://x.org/0.83", []),
        ("```python\nx = 0.83\n```", []),
        ("```{prf:theorem} Title\n:label: a-0.5\nThe bound is 0.7.\n```", ["0.7"]),
        ("```{note}\nIt is 0.7.\n```\nThen 0.8.\n```python\nx = 0.9\n```", ["0.7", "0.8"]),
        ("````{exercise}\n```python\nx = 0.9\n```\nIt is 0.7.\n````\n0.8", ["0.7", "0.8"]),
        (":::{tip}\nIt is 0.7.\n:::\n```text\n0.9\n```\n0.8", ["0.7", "0.8"]),
        ("::::{grid}\n:::{card} A\n0.7\n:::\n::::\n0.8", ["0.7", "0.8"]),
    ],
)
def test_what_looks_measured(prose, found):
    assert [text for text, *_ in measured(prose)] == found


def test_code_binds_what_it_sets_up_and_nothing_else():
    prose = "Bits agree with probability .75, or 60 %, and the accuracy is 0.91."
    left = problems("page", prose, "%pip list\nrate = 0.75\nassert share == 0.6", {})
    assert len(left) == 1 and "0.91" in left[0]
    assert problems("page", prose, "rate = 0.75, 0.6", {"0.91": "a definition of ours"}) == []


def test_a_record_binds_a_number_to_its_last_digit():
    true = prose_numbers._evaluate('mean("toy", "ERM")')
    bound = '<!--= mean("toy", "ERM") -->'
    assert problems("page", f"ERM has {true:.3f}{bound}.", "", {}) == []
    wrong = problems("page", f"ERM has {true + 0.001:.3f}{bound}.", "", {})
    assert len(wrong) == 1 and "records say" in wrong[0]
    gain = prose_numbers._evaluate('gain("toy", "true masks, energy")')
    text = f'{gain:+.2f}<!--= gain("toy", "true masks, energy") -->'.replace("-0", "−0")
    assert problems("page", text, "", {}) == []
