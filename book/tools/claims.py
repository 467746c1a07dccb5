"""Find what a page claims, and ask each claim what it rests on.

    python -m book.tools.claims

A *claim* is the paragraph that opens a chapter with **Claim.**, a bullet of its key points, and on
the first page a bullet of what came out or a row of the map. It is *bound* by HTML comments, which
no reader sees, each with a condition that must be true:

- `<!--? gain("toy", "ALIGN, energy") > 0 -->` asks the records, with the names of `prose_numbers`
  and with `recorded("vlcs")`, how many runs of a grid there are;
- `<!--? asserted("masker-17") -->` names a cell of the same notebook, or of another with
  `asserted("masker-17", "book/masker")`. The cell holds an assertion, and a run of the notebook
  fails where that does.

A bound number, `0.8<!--= mean("toy", "ERM") -->`, binds what it stands in as well.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

from book.tools import course, project, prose_numbers

CONDITION = re.compile(r"(?s)<!--\?(.*?)-->")
BINDING = re.compile(r"(?s)<!--[?=].*?-->")
CHECKS = ("assert_close", "assert_allclose")
HOW_TO = ("Data", "Train on a GPU, or on many machines", "Add your own method", "Teaching kit")
"""Rows of the map that say how something is done."""
PARTS = ("Start", "Foundations", "Theory", "ALIGN")
"""The parts of the book whose claims must all be bound."""


def claims(page: str, markdown: str) -> Iterator[str]:
    """Yield what a page claims.

    Args:
        page: its name, such as `book/masker`.
        markdown: its prose.
    """
    if page == "book/index":
        above, _, below = markdown.partition("## A map of the book")
        yield from _bullets(above.partition("\n## ")[0])
        yield from re.findall(rf"(?m)^\| \[(?!(?:{'|'.join(HOW_TO)})\]).*\.ipynb\).*\|$", below)
        return
    if "**Claim.**" in markdown:
        yield markdown.partition("**Claim.**")[2].partition("\n\n")[0].strip()
        yield from _bullets(markdown.partition("## Key points")[2].partition("**Further")[0])


def _bullets(text: str) -> list[str]:
    return [found.strip() for found in re.findall(r"(?ms)^- .*?(?=^- |^\n|\Z|^:::)", text)]


def problems(page: str, markdown: str) -> list[str]:
    """Return one sentence for each claim that rests on nothing, or on what is not true.

    Args:
        page: its name.
        markdown: its prose.
    """
    unbound = [f"{page}: nothing binds: {c}" for c in claims(page, markdown) if not bound(c)]
    false = [
        f"{page}: not true: {condition.strip()}"
        for condition in CONDITION.findall(markdown)
        if not holds(condition.strip(), page)
    ]
    return unbound + false


def bound(claim: str) -> bool:
    """Whether a condition or a bound number stands in a claim.

    Args:
        claim: one of `claims`.
    """
    return bool(BINDING.search(claim))


def holds(condition: str, page: str) -> bool:
    """Whether what a claim rests on is so.

    Args:
        condition: an expression, see the module.
        page: the page that it stands on.
    """
    from alignbook import results

    names = prose_numbers.names() | {
        "recorded": lambda grid: len(results.current(grid)),
        "asserted": lambda cell, where=page: _asserted(cell, where),
    }
    return bool(eval(condition, {"__builtins__": {}}, names))  # the book's own pages, not input


def _asserted(cell: str, page: str) -> bool:
    """Whether a notebook has a cell of this id that asserts something."""
    cells = project.notebook((project.ROOT / page).with_suffix(".ipynb")).cells
    source = next((one.source for one in cells if one.get("id") == cell), "")
    return any(
        isinstance(node, ast.Assert) or isinstance(node, ast.Attribute) and node.attr in CHECKS
        for node in ast.walk(prose_numbers.parsed(source))
    )


def pages() -> dict[str, str]:
    """The pages whose claims must be bound, and those that bind one all the same: their prose."""
    parts = course.parts()
    wanted = {"book/index", *(project.page(path) for part in PARTS for path in parts[part])}
    every = {name: prose for name, prose, _ in prose_numbers.pages() if name != "README"}
    return {n: prose for n, prose in every.items() if n in wanted or CONDITION.search(prose)}


def main() -> int:
    found = [line for name, prose in pages().items() for line in problems(name, prose)]
    print("\n".join(found) or "every claim is bound")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(project.told(main))
