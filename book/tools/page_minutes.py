"""A Sphinx directive, `{minutes}`: the table of measured minutes, one row a chapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.addnodes import pending_xref

TIERS = ("smoke", "book", "gpu")


class Minutes(Directive):
    """Reads book/minutes.json, which the build measured; nothing in the table is typed."""

    def run(self) -> list[nodes.Node]:
        """Return the table and a line on each tier's machine."""
        env = self.state.document.settings.env
        path = Path(env.srcdir) / "book" / "minutes.json"
        env.note_dependency(str(path))
        record = json.loads(path.read_text(encoding="utf-8"))
        order = _notebooks(env)
        head = ["chapter", *(f"minutes, {tier}" for tier in TIERS)]
        rows = [[name, *(_said(record, tier, name) for tier in TIERS)] for name in order]
        notes = [
            f"{tier}: {record[tier]['machine']}; measured on {record[tier]['day']}."
            if tier in record
            else f"{tier}: not recorded yet."
            for tier in TIERS
        ]
        listed = nodes.bullet_list(
            "", *(nodes.list_item("", nodes.paragraph("", n)) for n in notes)
        )
        return [_table(head, rows, env), listed]


def _said(record: dict[str, Any], tier: str, name: str) -> str:
    seconds = record.get(tier, {}).get("seconds", {}).get(name)
    return "–" if seconds is None else f"{seconds / 60:.1f}"


def _table(head: list[str], rows: list[list[str]], env: Any) -> nodes.table:
    group = nodes.tgroup("", cols=len(head))
    group.extend(nodes.colspec(colwidth=1) for _ in head)
    group += nodes.thead("", nodes.row("", *(_entry(nodes.Text(text)) for text in head)))
    body = nodes.tbody("")
    for name, *cells in rows:
        body += nodes.row(
            "", _entry(_link(env, name)), *(_entry(nodes.Text(cell)) for cell in cells)
        )
    group += body
    return nodes.table("", group, classes=["minutes"])


def _link(env: Any, name: str) -> nodes.Node:
    # The title is filled in when every page has been read.
    options = {"refdomain": "std", "reftype": "doc", "reftarget": "/" + name}
    options |= {"refdoc": env.docname, "refexplicit": False, "refwarn": True}
    return pending_xref("", nodes.inline("", name), **options)


def _notebooks(env: Any) -> list[str]:
    """Return the chapters that run, in reading order."""
    root = Path(env.srcdir)
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    names = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    return [name for name in names if (root / f"{name}.ipynb").is_file()]


def _entry(node: nodes.Node) -> nodes.entry:
    return nodes.entry("", nodes.paragraph("", "", node))


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("minutes", Minutes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
