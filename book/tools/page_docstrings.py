"""A Sphinx extension that reads the library's docstrings, which are written for people, as markup.

They put code in single backticks, as Markdown does, and set formulas off by spaces.
"""

from __future__ import annotations

import re
from typing import Any

SINGLE = re.compile(r"(?<![`:\w])`([^`\n]+)`(?![`_])")
SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Examples?|Notes?):$")
ITEM = re.compile(r"^([-*]|\d+\.) ")


def to_markup(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Double single backticks and make indented formulas literal blocks, in place."""
    made: list[str] = []
    opener = literal = ""
    for line in lines:
        flush = bool(line.strip()) and not line.startswith(" ")
        if flush:
            if literal:
                made.append("")
            opener, literal = line, ""
        formula = line.startswith(" ") and not SECTION.match(opener) and not ITEM.match(opener)
        if formula and line.strip() and not literal:
            made += ["", "::", ""]
            literal = line[: -len(line.lstrip())]
        made.append(line if literal else _words(line))
    lines[:] = made


def _words(line: str) -> str:
    parts = re.split(SINGLE, line)
    # Every second part stood in backticks; in the others a bar is a bar, and no substitution.
    return "".join(
        f"``{part}``" if number % 2 else part.replace("|", r"\|")
        for number, part in enumerate(parts)
    )


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx; before napoleon, which reads sections such as Args."""
    app.connect("autodoc-process-docstring", to_markup, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
