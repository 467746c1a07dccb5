"""A Sphinx directive, `{takeaways}`: what a teacher takes away, one click each.

The files are made after the pages, by `course.publish` and, where somebody asks for it, by
`pdf.publish`; so the links are written as they are, and not resolved by Sphinx.
"""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from book.tools import course, pdf


class Takeaways(Directive):
    """A list of links: the archive, each deck of slides, the PDF."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        page = self.state.document.settings.env.docname
        return [nodes.raw("", listed(page), format="html")]


def listed(page: str) -> str:
    """Return the list as HTML.

    Args:
        page: the page that it stands on, such as `book/teaching/kit`.
    """
    root = os.path.relpath(".", Path(page).parent)
    decks = ", ".join(
        f'<a href="{root}/{course.SLIDES}/{course.deck_name(part)}">{html.escape(part)}</a>'
        for part in course.parts()
    )
    rows = [
        f'<a href="{root}/{course.ARCHIVE}" download>{course.ARCHIVE}</a>: the notebooks for '
        "students and for instructors, the slides, the lab's sheet, and the project",
        f"Slides: {decks}",
        pdf.offer(f"{root}/{pdf.NAME}"),
    ]
    return "<ul>" + "".join(f"<li>{row}</li>" for row in rows) + "</ul>"


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("takeaways", Takeaways)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
