"""How many minutes a page takes to read: counted in its source, so that no number is typed.

A page is its claim and its sections. What a reader may leave out is not counted: exercises with
their solutions have minutes of their own, and the answers to questions are folded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat

from alignbook.tiers import SHORT
from book.tools import plain, project
from book.tools.page_exercises import exercises

PACE = 150
"""Words a minute: slower than a novel (some 240), for prose that argues."""
WORTH = {"equation": 15, "figure": 40, "code": 20}
"""What is no prose, in words that take as long."""
SKIPPED = ("Exercises", "Three questions")
TOP = "the claim"
FENCED = re.compile(r"(?ms)^(`{3,}|:{3,})\{(?:solution|exercise)[^\n]*\n.*?^\1[ \t]*$")
FOLDED = re.compile(r"(?ms)^:::\{dropdown\}.*?^:::$")
INCLUDE = re.compile(r'(?m)^```\{include\} (?P<file>\S+)\n:start-after: "(?P<after>.+)"\n```$')
NOT_READ = (
    r"(?s)<!--.*?-->",
    r"(?s)<details.*?</details>",
    r"(?m)^(?:`{3,}|:{3,}).*$",
    r"(?m)^:[\w-]+:.*$",
    r"(?m)^\|[\s|:-]+\|$",
    r"\]\([^)]*\)",
)


class Section(NamedTuple):
    """A section's title and what reading it is worth, in words."""

    title: str
    words: int


class Minutes(NamedTuple):
    """What a page asks of a reader, in minutes."""

    reading: float
    running: float
    exercises: int


def sections(page: str, root: Path = project.ROOT) -> list[Section]:
    """Return a page's sections in order, the first named `TOP`.

    Args:
        page: its name, such as `book/saliency`.
        root: the repository.
    """
    found: dict[str, int] = {TOP: 0}
    title = TOP
    for kind, source in _cells(page, root):
        if kind == "code":
            found[title] += WORTH["code"]
            continue
        if kind == "figure":
            found[title] += WORTH["figure"]
            continue
        for part in re.split(r"(?m)^(?=## )", FENCED.sub("", source)):
            heading = re.match(r"## (.+)", part)
            title = heading[1].strip() if heading else title
            found[title] = found.get(title, 0) + words(part)
    return [Section(*item) for item in found.items()]


def words(markdown: str) -> int:
    """Return what a piece of Markdown is worth, in words."""
    equations = len(plain.EQUATION.findall(markdown))
    text = plain.EQUATION.sub(" ", markdown)
    for pattern in NOT_READ:
        text = re.sub(pattern, " ", text)
    return len(re.findall(r"\S*\w\S*", text)) + equations * WORTH["equation"]


def minutes(page: str, titles: Iterable[str] | None = None, root: Path = project.ROOT) -> Minutes:
    """Return what a page, or some of its sections, ask of a reader.

    Args:
        page: its name, such as `book/saliency`.
        titles: sections to read besides the claim; None takes the whole page.
        root: the repository.

    Raises:
        ValueError: if the page has no section of such a title.
    """
    known = sections(page, root)
    wanted = {s.title for s in known} - set(SKIPPED) if titles is None else {TOP, *titles}
    if missing := wanted - {s.title for s in known}:
        raise ValueError(f"{page} has no section {sorted(missing)}, expected one of its headings")
    read = sum(section.words for section in known if section.title in wanted) / PACE
    path = root / f"{page}.ipynb"
    if not path.is_file():
        return Minutes(read, 0.0, 0)
    asked = sum(one.minutes for one in exercises(nbformat.read(path, as_version=4)))
    return Minutes(read, running(page, root), asked)


def running(page: str, root: Path = project.ROOT) -> float:
    """Return the minutes that a chapter's cells run at tier `book`: measured, else announced."""
    record = root / "book" / "minutes.json"
    kept: dict[str, Any] = json.loads(record.read_text("utf-8")) if record.is_file() else {}
    seconds = kept.get("book", {}).get("seconds", {}).get(page)
    if seconds is not None:
        return round(seconds / 60, 1)  # as the notebook's first cell says it
    notebook = nbformat.read(root / f"{page}.ipynb", as_version=4)
    return float(notebook.metadata.get("align", {}).get("minutes", {}).get("book", 0))


def said(count: float) -> str:
    """Return minutes in words: at least one, without decimals."""
    whole = max(1, round(count))
    return f"{whole} minute{'' if whole == 1 else 's'}"


def line(found: Minutes) -> str:
    """Return the line that stands under a page's title."""
    parts = [f"{said(found.reading)} to read"]
    if found.running:
        short = found.running < SHORT
        parts.append(f"{'less than a minute' if short else said(found.running)} to run")
    if found.exercises:
        parts.append(f"{said(found.exercises)} of exercises")
    return " · ".join(parts)


def _included(found: re.Match[str], folder: Path) -> str:
    """The part of another file that a page shows as its own."""
    return (folder / found["file"]).read_text(encoding="utf-8").partition(found["after"])[2]


def _cells(page: str, root: Path) -> Iterator[tuple[str, str]]:
    path = root / f"{page}.ipynb"
    if not path.is_file():
        path = root / f"{page}.md"
        source = FOLDED.sub("", path.read_text(encoding="utf-8"))
        yield "markdown", INCLUDE.sub(lambda found: _included(found, path.parent), source)
        return
    for cell in nbformat.read(path, as_version=4).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            yield "markdown", cell.source
            continue
        if "figure" in cell.metadata.get("mystnb", {}):
            yield "figure", cell.source
        if "hide-input" not in tags:
            yield "code", cell.source
