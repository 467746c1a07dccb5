"""A figure that says in words what it shows is heard that way: its own alt text reaches the page.

An author writes down what kind of picture a cell draws; only the picture knows its numbers. A
figure from records brings them along where Jupyter looks for them, in its output's metadata; the
page builder looks in the cell's. So the text is carried there when a chapter is read.
"""

from __future__ import annotations

from typing import Any

import nbformat


def said(output: Any) -> str:
    """Return the alt text that came with an output's picture, or an empty text."""
    return output.get("metadata", {}).get("image/png", {}).get("alt", "")


def carry(notebook: Any, executed: Any) -> bool:
    """Put the alt texts of executed figures into a notebook's cells; say if there were any."""
    cells = [[c for c in one.cells if c.cell_type == "code"] for one in (notebook, executed)]
    carried = False
    for cell, run in zip(*cells, strict=True):
        for text in filter(None, map(said, run.get("outputs", []))):
            cell.metadata.setdefault("mystnb", {}).setdefault("image", {})["alt"] = text
            carried = True
    return carried


def _read(app: Any, page: str, source: list[str]) -> None:
    if not app.env.doc2path(page).endswith(".ipynb"):
        return
    from jupyter_cache import get_cache

    notebook = nbformat.reads(source[0], as_version=4)
    cache = get_cache(app.config.nb_execution_cache_path or app.srcdir)
    try:
        record = cache.match_cache_notebook(notebook)
    except KeyError:  # not run: the builder says so itself
        return
    if carry(notebook, cache.get_cache_bundle(record.pk).nb):
        source[0] = nbformat.writes(notebook)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
