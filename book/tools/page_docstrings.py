"""A Sphinx extension that reads the library's docstrings, which are written for people, as markup.

They put code in single backticks and formulas between dollars, as Markdown does, and set longer
formulas off by spaces. A line such as `Book: masker, eq-masker-dist.` names chapter and equation.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from book.tools.page_equations import NAMED

MARKED = re.compile(r"(?<![`:\w])`([^`\n]+)`(?![`_])|\$([^$\n]+)\$")
DISPLAYED = re.compile(r"^( *)\$\$([^$]+)\$\$ *(.*)$", re.MULTILINE)
SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Examples?|Notes?):$")
CHAPTER = re.compile(r"^Book: ([\w/]+)\.$")
ITEM = re.compile(r"^([-*]|\d+\.) ")


def to_markup(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Double single backticks and make indented formulas literal blocks, in place."""
    made: list[str] = []
    opener = literal = ""
    for line in DISPLAYED.sub(_block, "\n".join(lines)).split("\n"):
        flush = bool(line.strip()) and not line.startswith(" ")
        if flush:
            if literal:
                made.append("")
            opener, literal = line, ""
        if DIRECTIVE in line:
            made.append(line)
            continue
        if named := NAMED.match(line):
            made += ["", _reference(*named.groups())]
            continue
        if chapter := CHAPTER.match(line):
            made += ["", f"In the book: :doc:`/book/{chapter[1]}`."]
            continue
        formula = line.startswith(" ") and not SECTION.match(opener) and not ITEM.match(opener)
        if formula and line.strip() and not literal:
            made += ["", "::", ""]
            literal = line[: -len(line.lstrip())]
        made.append(line if literal else _words(line))
    if what == "data" and (value := _value(thing)):
        made += ["", f"Value: ``{value}``."]
    lines[:] = made


LONGEST = 72
"""Characters up to which a constant is written out."""


def _value(thing: Any) -> str:
    """A constant of numbers and texts as it would be typed; nothing for what is no such thing."""
    written = repr(thing)
    try:
        ast.literal_eval(written)
    except (SyntaxError, ValueError):
        return ""
    return written if len(written) <= LONGEST else ""


DIRECTIVE = ".. math::"


def _reference(chapter: str, labels: str) -> str:
    """Where the book derives what a function computes."""
    numbers = ", ".join(f":eq:`{label}`" for label in labels.split(", "))
    return f"In the book: {numbers} of :doc:`/book/{chapter}`."


def _block(match: re.Match[str]) -> str:
    """A formula between double dollars, on one line of a block of its own."""
    indent, formula, rest = match.groups()
    lines = ["", f"{indent}{DIRECTIVE} " + " ".join(formula.split()), "", f"{indent}{rest}"]
    return "\n".join(lines)


def _words(line: str) -> str:
    """Code and formulas become markup; between them a bar is a bar, and no substitution."""
    made, end = [], 0
    for match in MARKED.finditer(line):
        code, formula = match.groups()
        made.append(line[end : match.start()].replace("|", r"\|"))
        made.append(f"``{code}``" if code else f":math:`{formula}`")
        end = match.end()
    return "".join(made) + line[end:].replace("|", r"\|")


def skip_unsaid(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> Any:
    """Leave out a named tuple's fields: their docstrings are Python's, and say nothing."""
    return True if str(thing.__doc__).startswith("Alias for field number") else None


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx; before napoleon, which reads sections such as Args."""
    app.connect("autodoc-process-docstring", to_markup, priority=400)
    app.connect("autodoc-skip-member", skip_unsaid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
