"""A Sphinx directive, `{equations}`: which function computes which equation of the book.

A docstring names the equations that its function computes, in a line such as
`Book: theory/what_to_align, eq-alignment.`; the table is read from these lines.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from docutils.parsers.rst import Directive

from book.tools import plain, project
from book.tools.page_table import table

NAMED = re.compile(r"(?m)^\s*Book: (?P<chapter>[\w/]+), (?P<labels>eq-[\w-]+(?:, eq-[\w-]+)*)\.$")
# Where the reference documents what a module defines, if not under the module's own name.
SHOWN_AS = {"align.networks.classifier.": "align.", "align.metrics.faithfulness.": "align.metrics."}


class Computed(NamedTuple):
    """A function and an equation that it computes."""

    function: str
    chapter: str
    label: str


def computed() -> Iterator[Computed]:
    """Yield what the docstrings of both packages say, file by file."""
    for package in (project.ROOT / "align", project.ROOT / "book" / "alignbook"):
        yield from _computed(package)


def _computed(package: Path) -> Iterator[Computed]:
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for name, text in _docstrings(ast.parse(path.read_text(encoding="utf-8")), module):
            for found in NAMED.finditer(text):
                for label in found["labels"].split(", "):
                    yield Computed(name, found["chapter"], label)


def _docstrings(tree: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}"
            yield name, ast.get_docstring(node) or ""
            if isinstance(node, ast.ClassDef):
                yield from _docstrings(node, name)


def labelled() -> Iterator[tuple[str, str]]:
    """Yield chapter and label of each numbered equation, in reading order."""
    for path in project.notebooks():
        chapter = project.page(path).removeprefix("book/")
        for cell in project.notebook(path).cells:
            if cell.cell_type == "markdown":
                for equation in plain.EQUATION.finditer(cell.source):
                    if equation["label"]:
                        yield chapter, equation["label"]


def shown(function: str) -> str:
    """Return the name under which the reference documents a function."""
    for start, instead in SHOWN_AS.items():
        if function.startswith(start):
            return instead + function.removeprefix(start)
    return function


class Equations(Directive):
    """One row an equation that code computes, in reading order."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        by_label: dict[str, list[str]] = {}
        for one in computed():
            by_label.setdefault(one.label, []).append(shown(one.function))
        rows = []
        for chapter, label in labelled():
            if label in by_label:
                names = ", ".join(f"{{py:obj}}`{name}`" for name in by_label[label])
                rows.append([f"{{eq}}`{label}`", f"{{doc}}`/book/{chapter}`", names])
        return table(self, ["equation", "chapter", "function"], rows)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("equations", Equations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
