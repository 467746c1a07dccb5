"""A Sphinx extension that reads the library's docstrings, which are written for people, as markup.

They put code in single backticks, as Markdown does, and set equations off by four spaces.
"""

from __future__ import annotations

import re
from typing import Any

SINGLE = re.compile(r"(?<![`:\w])`([^`\n]+)`(?![`_])")


def to_markup(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Turn single backticks into double ones and indented blocks into literal ones, in place."""
    made: list[str] = []
    within = False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not within and made and not made[-1].strip() and not _in_section(made):
            made += ["::", ""]
            within = True
        elif line.strip() and not indented:
            within = False
        made.append(line if within else SINGLE.sub(r"``\1``", line))
    lines[:] = made


def _in_section(lines: list[str]) -> bool:
    """Return True if the last line that is not indented opens or belongs to a section."""
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last.startswith((" ", ":")) or last.rstrip().endswith(":")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx; before napoleon, which reads sections such as Args."""
    app.connect("autodoc-process-docstring", to_markup, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
