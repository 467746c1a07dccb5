"""Minutes on the pages: the line under each title, the tables, and a role for other places.

- under every title: the minutes to read the page, to run it, and of its exercises; a page made of
  docstrings says instead how many entries it has;
- `{minutes}`, a directive: the table of measured minutes, one row a chapter;
- `{path}`, a directive: pages and sections to read in a row, with their minutes and the sum;
- `{takes}`, a role: the minutes of a page, as in {takes}`book/quickstart`; or of a page's path, as
  in {takes}`path:book/an_hour`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.addnodes import desc

from book.tools import minutes, project, reading
from book.tools.page_table import table


class Minutes(Directive):
    """Reads book/minutes.json, which the build measured; nothing in the table is typed.

    The words inside are for those who open the notebook itself; the page shows the table.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table and a line on each tier's machine."""
        self.state.document.settings.env.note_dependency(str(minutes.RECORD))
        head, chapters, notes = minutes.shown(minutes.recorded())
        rows = [[f"{{doc}}`/{name}`", *cells] for name, cells in chapters.items()]
        listed = nodes.bullet_list(
            "", *(nodes.list_item("", nodes.paragraph("", n)) for n in notes)
        )
        return [*table(self, head, rows), listed]


class Step(NamedTuple):
    """One step of a path: a page, the sections to read (None: all), and why."""

    page: str
    titles: list[str] | None
    why: str

    @property
    def minutes(self) -> float:
        """What the step takes, reading and running."""
        found = reading.minutes(self.page, self.titles)
        return found.reading + (found.running if self.titles is None else 0)


class ReadingPath(Directive):
    """A list in YAML: page, read (titles of sections; without it, the whole page), why."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table and, in its last row, the sum."""
        for page in project.pages():
            self.state.document.settings.env.note_dependency(_source(page))
        try:
            steps = path_steps("\n".join(self.content))
            folder = Path(self.state.document.settings.env.docname).parent
            rows = [_row(number, step, folder) for number, step in enumerate(steps, 1)]
            total = sum(step.minutes for step in steps)
        except ValueError as error:
            raise self.error(str(error)) from error
        head = ["", "page", "read", "for", "minutes"]
        return table(self, head, [*rows, ["", "", "", "all of them", f"{total:.0f}"]])


def path_steps(content: str) -> list[Step]:
    """Return the steps that a `{path}` lists."""
    return [Step(one["page"], one.get("read"), one["why"]) for one in yaml.safe_load(content)]


def path_of(page: str) -> list[Step]:
    """Return the steps of the path on a Markdown page."""
    text = (project.ROOT / f"{page}.md").read_text(encoding="utf-8")
    found = re.search(r"(?ms)^```\{path\}\n(.*?)^```$", text)
    if not found:
        raise ValueError(f"{page} holds no path")
    return path_steps(found[1])


def takes(name: str) -> float:
    """Return the minutes of a page, reading and running, or of `path:page`."""
    if name.startswith("path:"):
        return sum(step.minutes for step in path_of(name.removeprefix("path:")))
    return Step(name, None, "").minutes


def _row(number: int, step: Step, folder: Path) -> list[str]:
    """A step's cells; each section's name leads to it."""
    there = os.path.relpath(f"{step.page}.html", folder)
    links = (f'<a href="{there}#{nodes.make_id(t)}">{t}</a>' for t in step.titles or ())
    read = "; ".join(links) or "all of it"
    return [str(number), f"{{doc}}`/{step.page}`", read, step.why, f"{step.minutes:.0f}"]


def _takes_role(name: str, rawtext: str, text: str, lineno: int, inliner: Any, *_: Any) -> Any:
    return [nodes.Text(reading.said(takes(text)))], []


def _under_title(app: Any, document: nodes.document) -> None:
    page = app.env.docname
    title = next(iter(document.findall(nodes.title)), None)
    if title is None or page not in project.pages():
        return
    entries = len(list(document.findall(desc)))
    looked_up = f"{entries} entries, to look things up in"
    words = looked_up if entries else reading.line(reading.minutes(page))
    title.parent.insert(title.parent.index(title) + 1, _small(words))


def _small(words: str) -> nodes.paragraph:
    return nodes.paragraph("", words, classes=["page-minutes"])


def _source(page: str) -> str:
    path = project.ROOT / f"{page}.ipynb"
    return str(path if path.is_file() else path.with_suffix(".md"))


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("minutes", Minutes)
    app.add_directive("path", ReadingPath)
    app.add_role("takes", _takes_role)
    app.connect("doctree-read", _under_title)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
