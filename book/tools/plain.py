"""Chapters in plain Markdown, for readers who open a notebook without the book around it.

The book's pages know directives and roles, such as `{prf:theorem}`; Jupyter and Colab show
them as they are written. Here they become headings, numbers and names. The same step leaves
solutions out or shows them.
"""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from book.tools import minutes, project

FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\}[ \t]*(?P<title>.*)$")
OPTION = re.compile(r"^:(?P<key>[\w-]+):[ \t]*(?P<value>.*)$")
EQUATION = re.compile(r"\$\$(?P<body>.*?)\$\$(?:[ \t]*\((?P<label>[\w-]+)\))?", re.DOTALL)
ROLE = re.compile(r"\{(?P<name>[\w:]+)\}`(?P<value>[^`]+)`")
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[\w./-]+\.(?:ipynb|md))\)")
SECTION = re.compile(r"^\((?P<name>sec-[\w-]+)\)=\n", re.MULTILINE)
TO_SECTION = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<name>sec-[\w-]+)\)")
ANSWER = re.compile(r"<details class=\"quiz\">.*?</details>\n*", re.DOTALL)
HINT = re.compile(
    r"<details class=\"hint\">\n<summary>Hint</summary>\n*(.*?)\n*</details>", re.DOTALL
)
LEVEL = re.compile(r"^\*(Easy|Medium|Hard), about (\d+) minutes\.\*$", re.MULTILINE)
COMMENT = re.compile(r"(?s)<!--.*?-->")
YOUR_ANSWER = "*Your answer:*"
SOLUTION = "solution"
"""The tag of a cell that only asserts an answer: students do not get it."""


@dataclass
class Directive:
    """A fenced directive: what it is, its title, options and lines."""

    name: str
    title: str
    body: str
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Label:
    """What a label stands for, and the notebook that it stands in."""

    words: str
    page: str


@dataclass
class Book:
    """What references across chapters need: labels, chapter titles, works cited, sections."""

    labels: dict[str, Label]
    titles: dict[str, str]
    works: dict[str, tuple[str, str]]
    sections: dict[str, str] = field(default_factory=dict)  # the notebook that a target is in


def split(source: str) -> list[str | Directive]:
    """Take a cell's Markdown apart into text and directives, in order."""
    parts: list[str | Directive] = []
    lines, text = source.split("\n"), []
    at = 0
    while at < len(lines):
        opening = FENCE.match(lines[at])
        if not opening:
            text.append(lines[at])
            at += 1
            continue
        if "".join(text).strip():
            parts.append("\n".join(text).strip("\n"))
        text = []
        fence, end = opening["fence"], at + 1
        closing = re.compile(rf"^{re.escape(fence[0])}{{{len(fence)},}}\s*$")
        while end < len(lines) and not closing.match(lines[end]):
            end += 1
        parts.append(_directive(opening, lines[at + 1 : end]))
        at = end + 1
    if "".join(text).strip():
        parts.append("\n".join(text).strip("\n"))
    return parts


def _directive(opening: re.Match[str], lines: Sequence[str]) -> Directive:
    options = {}
    rest = list(lines)
    while rest and (option := OPTION.match(rest[0])):
        options[option["key"]] = option["value"]
        rest.pop(0)
    return Directive(opening["name"], opening["title"], "\n".join(rest).strip("\n"), options)


def read_book(paths: Sequence[Path], root: Path, bibliography: Path) -> Book:
    """Number everything that chapters refer to.

    Args:
        paths: the notebooks, in reading order.
        root: the repository.
        bibliography: the `.bib` file.
    """
    labels: dict[str, Label] = {}
    titles: dict[str, str] = {}
    sections: dict[str, str] = {}
    counts: Counter[str] = Counter()  # through all chapters, as on the pages
    for path in paths:
        page = path.relative_to(root).as_posix()
        notebook = project.notebook(path)
        titles[page] = notebook.cells[0].source.split("\n")[0].lstrip("# ")
        prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        sections |= dict.fromkeys(SECTION.findall(prose), page)
        for kind, name in _labelled(notebook):
            counts[kind] += 1
            if name:
                number = f"({counts[kind]})" if kind == "equation" else f"{kind} {counts[kind]}"
                labels[name] = Label(number, page)
    return Book(labels, titles, _works(bibliography), sections)


def _labelled(notebook: Any) -> Iterator[tuple[str, str]]:
    """Yield kind and label of all that is numbered, in order."""
    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if figure:
            yield "Figure", figure["name"]
        if cell.cell_type != "markdown":
            continue
        for part in split(cell.source):
            if isinstance(part, Directive):
                kind = part.name.removeprefix("prf:").removesuffix("-start")
                if "label" in part.options:
                    yield kind.capitalize(), part.options["label"]
            text = part.body if isinstance(part, Directive) else part
            for equation in EQUATION.finditer(text):
                if equation["label"]:
                    yield "equation", equation["label"]


def _works(bibliography: Path) -> dict[str, tuple[str, str]]:
    from pybtex.database import parse_file

    works = {}
    for key, entry in parse_file(str(bibliography)).entries.items():
        names = [" ".join(person.last_names) for person in entry.persons.get("author", [])]
        who = names[0] if len(names) == 1 else " and ".join(names[:2])
        who = f"{names[0]} et al." if len(names) > 2 else who
        works[key] = (who, entry.fields.get("year", ""))
    return works


class Plain:
    """Rewrites the Markdown of one notebook.

    Args:
        book: labels, titles and works.
        page: the notebook's path in the repository, such as `book/saliency.ipynb`.
    """

    def __init__(self, book: Book, page: str) -> None:
        self.book = book
        self.page = page

    def text(self, source: str) -> str:
        """Return Markdown without roles and comments, and with numbered equations."""
        source = SECTION.sub("", COMMENT.sub("", source))
        source = EQUATION.sub(self._equation, source)
        source = ROLE.sub(lambda role: self._role(role["name"], role["value"]), source)
        return TO_SECTION.sub(self._to_section, LINK.sub(self._link, source))

    def directive(self, part: Directive, solutions: bool) -> str:
        """Return a directive as plain Markdown; empty where it is not to be shown."""
        body = "\n\n".join(
            self.text(inner) if isinstance(inner, str) else self.directive(inner, solutions)
            for inner in split(part.body)
        )
        kind = part.name.removeprefix("prf:")
        if kind == "proof":
            return f"<details>\n<summary>Proof</summary>\n\n{body}\n\n</details>"
        if kind in ("exercise", "exercise-start"):
            return f"### {self._number(part, 'Exercise')} · {part.title}\n\n{body}".strip()
        if kind in ("solution", "solution-start"):
            return f"**Solution.** {body}".strip() if solutions else ""
        if kind in ("exercise-end", "solution-end"):
            return ""
        if kind == "minutes":
            return self._minutes()
        if part.name.startswith("prf:"):
            named = f" ({part.title})" if part.title else ""
            return f"**{self._number(part, kind.capitalize())}{named}.** {body}"
        return f"**{part.title or kind.capitalize()}**\n\n{body}"

    def _minutes(self) -> str:
        head, chapters, notes = minutes.shown(minutes.recorded())
        rows = [head, ["---"] * len(head)]
        rows += [[self.book.titles[f"{name}.ipynb"], *cells] for name, cells in chapters.items()]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n\n" + " ".join(notes)

    def _number(self, part: Directive, otherwise: str) -> str:
        label = self.book.labels.get(part.options.get("label", ""))
        return label.words if label else otherwise

    def _equation(self, match: re.Match[str]) -> str:
        label = self.book.labels.get(match["label"] or "")
        if label is None:
            return f"$${match['body']}$$"
        indent = re.search(r"[ \t]*$", match["body"])[0]
        body = match["body"].rstrip()
        return f"$${body} \\tag{{{label.words.strip('()')}}}\n{indent}$$"

    def _role(self, name: str, value: str) -> str:
        if name.startswith("cite"):
            works = [self.book.works.get(key.strip(), (key, "")) for key in value.split(",")]
            if name == "cite:t":
                return " and ".join(f"{who} ({year})" for who, year in works)
            return "(" + "; ".join(f"{who} {year}" for who, year in works) + ")"
        label = self.book.labels.get(value)
        if label is None:
            return f"`{value}`"
        if label.page == self.page:
            return label.words
        return f"{label.words} of *{self.book.titles[label.page]}*"

    def _link(self, match: re.Match[str]) -> str:
        base = Path(self.page).parent
        target = Path(*_normal((base / match["target"]).parts)).as_posix()
        text = match["text"] or self.book.titles.get(target, target)
        return f"[{text}]({match['target']})" if target in self.book.titles else text

    def _to_section(self, match: re.Match[str]) -> str:
        # A notebook has no targets: the link leads to the notebook that the section is in.
        page = self.book.sections.get(match["name"], self.page)
        if page == self.page:
            return match["text"]
        return f"[{match['text']}]({os.path.relpath(page, Path(self.page).parent)})"


def _normal(parts: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for part in parts:
        if part == "..":
            kept.pop()
        elif part != ".":
            kept.append(part)
    return kept


def version(notebook: Any, book: Book, page: str, *, solutions: bool) -> Any:
    """Return a copy of a notebook in plain Markdown.

    Args:
        notebook: the source, of version 4.
        book: what `read_book` returns.
        page: the notebook's path in the repository.
        solutions: True keeps solutions, cells tagged so and the quiz's answers, False leaves all
            out and a place for the reader's own.
    """
    plain = Plain(book, page)
    made = copy.deepcopy(notebook)
    made.cells = []
    within_solution = False
    for cell in notebook.cells:
        if cell.cell_type == "code":
            tagged = SOLUTION in cell.metadata.get("tags", [])
            if solutions or not (within_solution or tagged):
                made.cells.append(_code(cell))
                made.cells += _caption(cell, book)
            continue
        for part in split(cell.source):
            if isinstance(part, str):
                if within_solution and not solutions:
                    continue
                source = part if solutions else ANSWER.sub(YOUR_ANSWER + "\n\n", part)
                _add(made.cells, plain.text(source))
                continue
            if part.name in ("solution-start", "solution-end"):
                within_solution = part.name == "solution-start"
            _add(made.cells, plain.directive(part, solutions))
            if part.name == "exercise" and not solutions:
                _add(made.cells, YOUR_ANSWER)
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
    return made


def _code(cell: Any) -> Any:
    cell = copy.deepcopy(cell)
    cell.metadata.pop("mystnb", None)
    cell.outputs, cell.execution_count = [], None
    return cell


def _caption(cell: Any, book: Book) -> list[Any]:
    figure: Mapping[str, str] | None = cell.metadata.get("mystnb", {}).get("figure")
    if not figure:
        return []
    words = book.labels[figure["name"]].words
    return [nbformat.v4.new_markdown_cell(f"*{words}. {figure['caption']}*")]


def _add(cells: list[Any], source: str) -> None:
    if source.strip():
        cells.append(nbformat.v4.new_markdown_cell(source.strip()))
