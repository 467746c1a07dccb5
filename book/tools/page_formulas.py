"""A Sphinx extension: a formula and the punctuation at it stay on one line.

A browser may break a line on either side of a formula, which is a box to it, so a comma could begin
the next line, and an opening bracket end one.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes

AFTER = re.compile(r"^[^\s\w(\[{“‘/–—-]\S*|^-\w+")
"""What must not begin a line: punctuation with what is glued to it, or `-fold` after a number."""
BEFORE = re.compile(r"\S*[(\[{“‘]$")
"""What must not end one: an opening bracket or mark with what is glued to it."""


def join(app: Any, document: nodes.document) -> None:
    """Put each formula with punctuation at it into one element of class `joined`, in place."""
    for formula in list(document.findall(nodes.math)):
        parent = formula.parent
        place = parent.index(formula)
        before, kept_before = _end(parent[place - 1] if place else None)
        after, kept_after = _start(parent[place + 1] if place + 1 < len(parent) else None)
        if not before and not after:
            continue
        joined = nodes.inline("", "", classes=["joined"])
        first, last = place - bool(before), place + 1 + bool(after)
        parent[first:last] = [*_text(kept_before), joined, *_text(kept_after)]
        joined += [*_text(before), formula, *_text(after)]


def _text(words: str) -> list[nodes.Text]:
    return [nodes.Text(words)] if words else []


def _start(node: nodes.Node | None) -> tuple[str, str]:
    """What of a text belongs to the formula before it, and the rest."""
    found = AFTER.match(node) if isinstance(node, nodes.Text) else None
    return (found[0], node[found.end() :]) if found else ("", "")


def _end(node: nodes.Node | None) -> tuple[str, str]:
    """What of a text belongs to the formula after it, and what stands before that."""
    found = BEFORE.search(node) if isinstance(node, nodes.Text) else None
    return (found[0], node[: found.start()]) if found else ("", "")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-read", join)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
