"""Figures of chapters that were run: their own alt text on the page, and a figure shown elsewhere.

An author writes down what kind of picture a cell draws; only the picture knows its numbers. A
figure from records brings them along where Jupyter looks for them, in its output's metadata; the
page builder looks in the cell's. So the text is carried there when a chapter is read.

A Markdown page shows a chapter's figure by its name:

    ```{chapter-figure} fig-quickstart-looks
    Words that stand below it.
    ```
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from docutils.parsers.rst import Directive

from book.tools import execute, project


def said(output: Any) -> str:
    """Return the alt text that came with an output's picture, or an empty text."""
    return output.get("metadata", {}).get("image/png", {}).get("alt", "")


def carry(notebook: Any, executed: Any) -> bool:
    """Put the alt texts of executed figures into a notebook's cells; say if there were any."""
    carried = False
    for cell, run in zip(_codes(notebook), _codes(executed), strict=True):
        for text in filter(None, map(said, run.get("outputs", []))):
            cell.metadata.setdefault("mystnb", {}).setdefault("image", {})["alt"] = text
            carried = True
    return carried


def find(name: str) -> tuple[Any, int] | None:
    """Return the notebook that draws a named figure and its code cell's place, if there is one."""
    for path in project.notebooks():
        notebook = project.notebook(path)
        for place, cell in enumerate(_codes(notebook)):
            if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == name:
                return notebook, place
    return None


class ChapterFigure(Directive):
    """The picture that a chapter's cell has drawn, with words of its own below."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the picture and, below it, the words."""
        env = self.state.document.settings.env
        found = find(self.arguments[0])
        executed = found and execute.stored(_cache(env.app), found[0])
        if not executed:
            raise self.error(f"no chapter that was run has a figure '{self.arguments[0]}'")
        notebook, place = found
        carry(notebook, executed)
        drawn, cell = _codes(executed)[place], _codes(notebook)[place]
        picture = next(out.data["image/png"] for out in drawn.outputs if "image/png" in out.data)
        folder = Path(env.app.outdir).parent / "jupyter_execute"
        image = nodes.image(
            uri=_written(base64.b64decode(picture), folder, Path(env.doc2path(env.docname)).parent),
            alt=cell.metadata["mystnb"]["image"]["alt"],
        )
        words = nodes.container(classes=["chapter-figure"])
        self.state.nested_parse(self.content, self.content_offset, words)
        return [nodes.container("", image, words, classes=["chapter-figure"])]


def _codes(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _written(picture: bytes, folder: Path, page: Path) -> str:
    """Write a picture beside those of the chapters; return its address seen from the page."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(picture).hexdigest()}.png"
    path.write_bytes(picture)
    return Path(os.path.relpath(path, page)).as_posix()


def _cache(app: Any) -> Path:
    """Where the page builder keeps what it ran."""
    return Path(app.env.mystnb_config.execution_cache_path)


def _read(app: Any, page: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(page))
    if path.suffix != ".ipynb":
        return
    notebook = nbformat.reads(source[0], as_version=4)
    executed = execute.stored(_cache(app), notebook)
    if executed and carry(notebook, executed):
        source[0] = nbformat.writes(notebook)
        # The cache's key takes in the cells' metadata: without this the chapter would run again.
        carry(executed, executed)
        execute.keep(_cache(app), path, executed)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("chapter-figure", ChapterFigure)
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
