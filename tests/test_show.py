"""The one function that turns a table's numbers into text."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest

from alignbook import results, tables, weighting
from alignbook.show import cell, show
from book.tools import project


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"mean": 0.8123, "low": 0.79, "high": 0.834}, "0.812 [0.790, 0.834]"),
        ({"mean": 0.8, "low": 0.7, "high": 0.9, "verdict": 1}, "0.800 [0.700, 0.900]*"),
        ({"mean": 0.8, "low": 0.7, "high": 0.9, "verdict": -1}, "0.800 [0.700, 0.900]†"),
        ({"mean": 0.8, "low": np.nan, "high": np.nan}, "0.800"),
        ({"difference": 0.1, "low": 0.05, "high": 0.15}, "+0.100 [+0.050, +0.150]*"),
        ({"difference": -0.1, "low": -0.15, "high": -0.05}, "−0.100 [−0.150, −0.050]†"),
        ({"difference": 0.002, "low": 0.0004, "high": 0.003}, "+0.002 [+0.0004, +0.003]*"),
        ({"difference": -0.002, "low": -0.003, "high": -0.00002}, "−0.002 [−0.003, −0.00002]†"),
        ({"difference": 0.002, "low": -0.0004, "high": 0.003}, "+0.002 [0.000, +0.003]"),
        ({"difference": 0.0, "low": -0.1, "high": 0.1}, "0.000 [−0.100, +0.100]"),
        ({"difference": 0.0, "low": 0.0, "high": 0.0}, "0.000 [0.000, 0.000]"),
        ({"difference": 0.3}, "+0.300"),
        ({"mean": 97.7, "error": 0.4}, "97.700 ± 0.400 s.e."),
        ({"seeds": 5}, "5"),
        ({"anything": np.float64(-0.5)}, "−0.500"),
        ({"word": "ERM"}, "ERM"),
        ({"difference": np.nan, "low": np.nan, "high": np.nan}, "–"),
        ({"value": None}, "–"),
    ],
)
def test_a_cell(parts, text):
    assert cell(parts) == text


def numbers():
    return pd.DataFrame(
        {
            ("masker_iou", "mean"): [0.5, 0.25],
            ("masker_iou", "low"): [0.4, np.nan],
            ("masker_iou", "high"): [0.6, np.nan],
            ("seeds", ""): [3, 1],
            ("what it takes", ""): [
                "the photographs on disk (ALIGN_DATA), and a GPU <1>",
                "nothing",
            ],
        },
        index=["A", "B"],
    )


def test_a_table_has_one_column_a_quantity_and_words_for_headings():
    text = show(numbers(), digits=2).text
    assert list(text.columns) == ["learned mask's IoU", "seeds", "what it takes"]
    assert text.loc["A"].tolist()[:2] == ["0.50 [0.40, 0.60]", "3"]
    assert text.loc["B"].tolist()[:2] == ["0.25", "1"]
    plain = show(pd.DataFrame({"random_iou": [0.5]}, index=["insertion_auc"])).text
    assert (*plain.columns, *plain.index) == ("IoU of random pixels", "insertion AUC")
    several = pd.concat(
        {"x": pd.DataFrame({"difference": [0.1], "low": [0.05], "high": [1.0]})}, axis=1
    )
    assert show(several).text["x"].tolist() == ["+0.100 [+0.050, +1.000]*"]


def test_a_notebook_gets_html_and_a_terminal_plain_text():
    shown = show(numbers(), note="Make them with `align demo`.")
    html = shown._repr_html_()
    assert html.count("<tr>") == 3 and 'class="dataframe short-names"' in html
    assert '<p class="table-note">Make them with <code>align demo</code>.</p>' in html
    assert "a GPU &lt;1&gt;" in html and "<1>" not in html
    # Only a sentence may wrap; a number with its interval may not.
    (wrapping,) = re.findall(r"<td [^>]*sentence[^>]*>([^<]*)<", html)
    assert wrapping.startswith("the photographs")
    assert html == show(numbers(), note="Make them with `align demo`.")._repr_html_()
    assert repr(shown).splitlines()[-1] == "Make them with `align demo`."
    assert "0.500 [0.400, 0.600]" in repr(shown) and "<" not in repr(shown.text["seeds"])


def test_what_the_rows_are_stands_in_the_corner_and_long_names_may_wrap():
    named = pd.DataFrame({"share": [0.5]}, index=["a name of many words"]).rename_axis("row")
    html = show(named)._repr_html_()
    assert 'class="dataframe"' in html and "short-names" not in html
    assert html.count("<tr>") == 2 and html.index(">row<") < html.index(">share<")


def test_two_columns_of_names_are_headed_in_the_row_of_the_other_headings():
    names = pd.MultiIndex.from_tuples([("birds", "a"), ("birds", "b")], names=["where", "what"])
    html = show(pd.DataFrame({"why": ["c", "d"]}, index=names))._repr_html_()
    assert re.findall(r"<th class=\"[^>]*>([^<]*)</th>", html.split("</thead>")[0]) == [
        *("where", "what", "why")
    ]
    assert html.split("</thead>")[0].count("<tr>") == 1


def test_nothing_is_said_to_be_not_run_once():
    assert repr(show(pd.DataFrame())) == "Not run here."
    assert show(pd.DataFrame())._repr_html_().count("Not run here") == 1


def test_the_books_tables_have_no_code_for_headings():
    toy = results.recorded("toy")
    for table in (tables.comparison(toy, "insertion_auc"), tables.per_domain(toy)):
        text = show(table).text
        assert not any("_" in name for name in (*text.columns, *text.index))
    text = show(tables.comparison(toy)).text
    assert text.loc["DRE", "average rank"] == "4.7" and text.loc["ERM", "− ERM"] == "–"
    assert list(text) == ["mean", "− ERM", "spread over seeds", "average rank", "seeds"]
    chosen = weighting.chosen(results.recorded("weights"))
    assert show(chosen).text.loc["energy", "weight"] == "2"


TEXT_READ_BACK = r"endswith\(\(?.?[*†]|split\(. at |\.marked\(\)"


def test_no_chapter_reads_numbers_back_from_text():
    for path in sorted((project.ROOT / "book").rglob("*.ipynb")):
        code = [one.source for one in nbformat.read(path, as_version=4).cells]
        assert not re.search(TEXT_READ_BACK, "\n".join(code)), path


def test_rows_of_one_name_are_all_shown():
    """As where each row is a picture, and three of them are birds."""
    twice = show(pd.DataFrame({"kept": [0.9, 0.25]}, index=["bird", "bird"]))._repr_html_()
    assert twice.count("bird") == 2 and "0.900" in twice and "0.250" in twice


def test_no_line_ends_within_a_setting_or_a_size():
    table = pd.DataFrame({"closed form, λ = 10": ["6 × 6"]}, index=["swap, s = 0.55"])
    html = show(table)._repr_html_()
    for whole in ("λ = 10", "6 × 6", "s = 0.55"):
        assert whole.replace(" ", "\N{NO-BREAK SPACE}") in html and whole not in html


def test_a_level_of_a_sweep_is_written_as_short_as_it_is():
    levels = pd.MultiIndex.from_tuples([("ρ", 0.5), ("pattern", 0.35)], names=["sweep", "level"])
    shown = show(pd.DataFrame({"IoU": [0.1, 0.2]}, index=levels))
    assert list(shown.text.index) == [("ρ", "0.5"), ("pattern", "0.35")]
