"""Figures of chapters on the pages: heard by their own words, and shown again on the first page."""

from __future__ import annotations

import re
from html import unescape
from types import SimpleNamespace
from urllib.parse import unquote

import nbformat
import pytest

from alignbook.figures import FIGURES
from book.tools import execute, page_figures, project

PICTURE = {"image/png": "aGVsbG8="}
IMAGE = re.compile(r'<img alt="([^"]*)"[^>]*?src="([^"]*)"')


def notebook(alt="", metadata=None):
    cell = nbformat.v4.new_code_cell("draw()", metadata=metadata or {})
    cells = [nbformat.v4.new_markdown_cell("# T"), nbformat.v4.new_code_cell("1"), cell]
    made = nbformat.v4.new_notebook(cells=cells)
    said = {"image/png": {"alt": alt}} if alt else {}
    cell.outputs = [nbformat.v4.new_output("display_data", PICTURE, metadata=said)]
    return made


def test_a_pictures_own_words_take_the_place_of_the_authors():
    written = {"mystnb": {"image": {"alt": "Dots."}, "figure": {"name": "fig-x"}}}
    source = notebook(metadata=written)
    assert page_figures.carry(source, notebook("Dots; the highest is 0.9."))
    assert source.cells[2].metadata["mystnb"]["image"]["alt"] == "Dots; the highest is 0.9."
    assert source.cells[2].metadata["mystnb"]["figure"]["name"] == "fig-x"
    bare = notebook()
    assert page_figures.carry(bare, notebook("A line."))
    assert bare.cells[2].metadata["mystnb"]["image"]["alt"] == "A line."


def test_a_picture_without_words_keeps_the_authors():
    source = notebook(metadata={"mystnb": {"image": {"alt": "Dots."}}})
    assert not page_figures.carry(source, notebook())
    assert source.cells[2].metadata["mystnb"]["image"]["alt"] == "Dots."


def test_a_chapter_whose_words_were_carried_is_not_run_again(tmp_path):
    """The key of the builder's cache takes in the metadata that `carry` changes."""
    path, cache = tmp_path / "page.ipynb", tmp_path / "cache"
    cache.mkdir()
    source = notebook(metadata={"mystnb": {"image": {"alt": "Dots."}}})
    execute.keep(cache, path, notebook("Dots; the highest is 0.9.", source.cells[2].metadata))
    app = SimpleNamespace(
        env=SimpleNamespace(
            doc2path=lambda page: str(path),
            mystnb_config=SimpleNamespace(execution_cache_path=str(cache)),
        )
    )
    read = [nbformat.writes(source)]
    page_figures._read(app, "page", read)
    carried = nbformat.reads(read[0], as_version=4)
    assert carried.cells[2].metadata["mystnb"]["image"]["alt"] == "Dots; the highest is 0.9."
    for one in (source, carried):
        assert execute.stored(cache, one).cells[-1].outputs[0].data == PICTURE


def test_a_figure_is_found_by_its_name():
    found, place = page_figures.find("fig-quickstart-looks")
    cell = [cell for cell in found.cells if cell.cell_type == "code"][place]
    assert cell.metadata["mystnb"]["figure"]["name"] == "fig-quickstart-looks"
    assert page_figures.find("fig-of-nobody") is None


def images(site, page):
    """The pictures of a page: what is said of each, and its bytes."""
    path = site / f"{page}.html"
    for alt, source in IMAGE.findall(path.read_text(encoding="utf-8")):
        if not source.startswith(("http", "data:")):
            yield unescape(alt), (path.parent / unquote(source)).read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_from_records_says_its_numbers_on_its_page(site, name):
    pages = [project.page(path) for path in project.notebooks()]
    heard = {alt for page in pages if "benchmark" in page for alt, _ in images(site, page)}
    assert FIGURES[name].draw().alt in heard


def test_the_first_page_shows_the_picture_of_its_chapter(site):
    first = dict(images(site, "book/index"))
    chapter = dict(images(site, "book/align"))
    (alt,) = first
    assert first[alt] == chapter[alt]
