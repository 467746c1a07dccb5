"""A Sphinx directive, `{exercises}`: all exercises in one table, as their chapters state them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from docutils import nodes
from docutils.parsers.rst import Directive

from book.tools import plain, project
from book.tools.page_table import table


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
            level, hint = plain.LEVEL.search(text), plain.HINT.search(text)
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
        rows = []
        for path in project.notebooks():
            self.state.document.settings.env.note_dependency(str(path))
            found = list(exercises(project.notebook(path)))
            chapter = project.page(path)
            total = sum(one.minutes for one in found)
            rows.append([f"**{{doc}}`/{chapter}`**", "", "", str(total)])
            for one in found:
                link = f"{{ref}}`{one.title} <{one.label}>`"
                kind = "code" if one.coded else "paper"
                rows.append([link, kind, one.level, str(one.minutes)])
        return table(self, ["exercise", "with", "level", "minutes"], rows)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("exercises", Exercises)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
