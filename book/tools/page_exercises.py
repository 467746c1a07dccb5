"""A Sphinx directive, `{exercises}`: all exercises in one table, as their chapters state them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.addnodes import pending_xref

# Sphinx loads this file by its folder and does not know the repository's packages.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from book.tools import plain

LEVEL = re.compile(r"^\*(Easy|Medium|Hard), about (\d+) minutes\.\*$", re.MULTILINE)


class Exercise(NamedTuple):
    """One exercise as its chapter states it."""

    label: str
    title: str
    level: str
    minutes: int
    coded: bool
    hint: str


def exercises(notebook: Any) -> Iterator[Exercise]:
    """Yield a notebook's exercises in order.

    Args:
        notebook: the source, of version 4.

    Raises:
        ValueError: if an exercise does not state its level, minutes and hint.
    """
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        parts = plain.split(cell.source)
        for part, after in zip(parts, [*parts[1:], ""], strict=True):
            if getattr(part, "name", "") not in ("exercise", "exercise-start"):
                continue
            coded = part.name == "exercise-start"
            text = after if coded else part.body
            text = text if isinstance(text, str) else ""
            level, hint = LEVEL.search(text), plain.HINT.search(text)
            if level is None or hint is None:
                raise ValueError(
                    f"exercise '{part.options['label']}' lacks its level and minutes or its hint"
                )
            said = level[1], int(level[2])
            yield Exercise(part.options["label"], part.title, *said, coded, hint[1])


class Exercises(Directive):
    """Reads the chapters; nothing in the table is typed."""

    def run(self) -> list[nodes.Node]:
        """Return the table, one row an exercise, under a row for each chapter."""
        env = self.state.document.settings.env
        root = Path(env.srcdir)
        contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
        names = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
        body = nodes.tbody("")
        for name in names:
            path = root / f"{name}.ipynb"
            if not path.is_file():
                continue
            env.note_dependency(str(path))
            found = list(exercises(nbformat.read(path, as_version=4)))
            total = sum(one.minutes for one in found)
            chapter = _link(env, "doc", "/" + name, name)
            body += nodes.row(
                "", _entry(nodes.strong("", "", chapter)), *_texts("", "", str(total))
            )
            for one in found:
                link = _link(env, "ref", one.label, one.title, explicit=True)
                kind = "code" if one.coded else "paper"
                body += nodes.row("", _entry(link), *_texts(kind, one.level, str(one.minutes)))
        return [_table(["exercise", "with", "level", "min"], body)]


def _table(head: Sequence[str], body: nodes.tbody) -> nodes.table:
    group = nodes.tgroup("", cols=len(head))
    group.extend(nodes.colspec(colwidth=width) for width in (5, 1, 1, 1))
    group += nodes.thead("", nodes.row("", *_texts(*head)))
    group += body
    return nodes.table("", group, classes=["exercises"])


def _texts(*texts: str) -> list[nodes.entry]:
    return [_entry(nodes.Text(text)) for text in texts]


def _entry(node: nodes.Node) -> nodes.entry:
    return nodes.entry("", nodes.paragraph("", "", node))


def _link(env: Any, kind: str, target: str, words: str, explicit: bool = False) -> nodes.Node:
    options = {"refdomain": "std", "reftype": kind, "reftarget": target}
    options |= {"refdoc": env.docname, "refexplicit": explicit, "refwarn": True}
    return pending_xref("", nodes.inline("", words), **options)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("exercises", Exercises)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
