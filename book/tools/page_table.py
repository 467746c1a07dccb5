"""Tables that directives write as Markdown, so that links and roles are those of the pages."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList

# Sphinx finds extensions by their folder and does not know the repository's packages. This one is
# the first in _config.yml, so that those after it can import them.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def table(directive: Any, head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[nodes.Node]:
    """Return a table's nodes.

    Args:
        directive: the directive that is run, on a Markdown page.
        head: the columns' names.
        rows: the cells' Markdown, as many in each row.
    """
    lines = [head, ["---"] * len(head), *rows]
    text = ["| " + " | ".join(cells) + " |" for cells in lines]
    holder = nodes.container()
    directive.state.nested_parse(StringList(text), 0, holder)
    return holder.children


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx; importing this file is all that it is for."""
    return {"parallel_read_safe": True, "parallel_write_safe": True}
