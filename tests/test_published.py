"""Published tables: whole, internally consistent, and apart from ours."""

import tomllib
from importlib import resources

import pytest

from align.data import benchmarks, folders
from alignbook.campaign.grid import GRIDS
from alignbook.published import MARKS, PUBLISHED
from book.tools import project as project_root

each = pytest.mark.parametrize("name", PUBLISHED)


@each
def test_reported_averages_follow_from_their_rows_within_rounding(name):
    table = PUBLISHED[name]
    for method, average in table.averages.items():
        row = table.rows[method]
        # Entries and average are each rounded to one decimal: off by .05 and .05 at most.
        assert sum(row) / len(row) == pytest.approx(average, abs=0.1 + 1e-9), method
    if (table.protocol, table.shift, table.metric) == ("leave-one-out", "out", "accuracy"):
        assert set(table.averages) == set(table.rows)


@each
def test_a_table_says_where_it_is_from_and_fits_its_benchmark(name):
    table = PUBLISHED[name]
    assert table.mark in MARKS and ("arXiv" in table.source or table.mark == "?")
    assert table.benchmark in benchmarks()
    assert table.protocol in ("single-source", "leave-one-out") and table.shift in ("in", "out")
    assert set(table.columns) <= set(getattr(folders, table.benchmark.upper()).domains)
    for values in (*table.rows.values(), *table.errors.values()):
        assert len(values) == len(table.columns)
        assert all(0 <= value <= 100 for value in values)


def test_rows_that_two_papers_share_are_the_same():
    for benchmark in ("vlcs", "terra"):
        dre, domainbed = PUBLISHED[f"dre-{benchmark}"], PUBLISHED[f"domainbed-{benchmark}"]
        assert dre.rows["ERM"] == domainbed.rows["ERM"]
    paper = PUBLISHED["align-vlcs"].frame()["VOC2007"]
    assert PUBLISHED["align-maskers"].rows["ALIGN"] == (paper["ALIGN"],)
    assert PUBLISHED["align-maskers"].rows["without guidance"] == (paper["DRE"],)


def test_the_numbers_are_data_that_travels_with_the_package():
    text = resources.files("alignbook").joinpath("published.toml").read_text(encoding="utf-8")
    assert set(tomllib.loads(text)) == set(PUBLISHED)
    project = tomllib.loads((project_root.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "*.toml" in project["tool"]["setuptools"]["package-data"]["alignbook"]
    assert PUBLISHED["align-vlcs"].digits == 2 and PUBLISHED["dre-vlcs"].digits == 1


@each
def test_the_grid_of_a_table_is_one_that_there_is(name):
    assert PUBLISHED[name].grid in GRIDS
