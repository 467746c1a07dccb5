"""A Sphinx directive, `{minutes}`: the table of measured minutes, one row a chapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from book.tools import project
from book.tools.page_table import table

TIERS = ("smoke", "book", "gpu")


class Minutes(Directive):
    """Reads book/minutes.json, which the build measured; nothing in the table is typed."""

    def run(self) -> list[nodes.Node]:
        """Return the table and a line on each tier's machine."""
        env = self.state.document.settings.env
        path = Path(env.srcdir) / "book" / "minutes.json"
        env.note_dependency(str(path))
        record = json.loads(path.read_text(encoding="utf-8"))
        names = [project.page(path) for path in project.notebooks()]
        head = ["chapter", *(f"minutes, {tier}" for tier in TIERS)]
        rows = [
            [f"{{doc}}`/{name}`", *(_said(record, tier, name) for tier in TIERS)] for name in names
        ]
        notes = [
            f"{tier}: {record[tier]['machine']}; measured on {record[tier]['day']}."
            if tier in record
            else f"{tier}: not recorded yet."
            for tier in TIERS
        ]
        listed = nodes.bullet_list(
            "", *(nodes.list_item("", nodes.paragraph("", n)) for n in notes)
        )
        return [*table(self, head, rows), listed]


def _said(record: dict[str, Any], tier: str, name: str) -> str:
    seconds = record.get(tier, {}).get("seconds", {}).get(name)
    return "–" if seconds is None else f"{seconds / 60:.1f}"


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("minutes", Minutes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
