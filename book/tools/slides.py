"""Slides of one part of the book, from the same notebooks that make its chapters.

A slide shows what a room must see: the claim, a statement, its equation, a figure, a question. The
prose goes into the speaker's notes (key S). Nothing is fetched from a network.
"""

from __future__ import annotations

import base64
import copy
import re
import shutil
import struct
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat

from book.tools import page_figures, project
from book.tools.plain import EQUATION, HINT, Book, Directive, Plain, split

TEMPLATES = Path(__file__).parent
STATEMENTS = {"theorem", "proposition", "corollary", "definition", "assumption", "example"}
SPOKEN = {
    "proof",
    "remark",
    "solution",
    "solution-start",
    "solution-end",
    "exercise-end",
    "minutes",
}
SHOWN = ("image/png", "text/html")
LOW = 500
"""Up to this height, in pixels, a picture has its words below it; a taller one has them beside."""
SLIDE = {"width": 1100, "height": 720}
"""A slide, in pixels."""
TALL, WIDE = 690, 740
"""The room of a picture that has its words beside it."""
LEAST = 0.75
"""A picture that would be shown at a smaller share of its size is shown on two slides."""
SEEN = 0.575
"""The share of such a picture's height on each of the two."""
UPPER_AND_LOWER = {
    "upper": "The upper part; the next slide shows the lower one.",
    "lower": "The lower part.",
}


class Projected(Plain):
    """Of a link to a chapter its words: beside the slides lie no notebooks."""

    def text(self, source: str) -> str:
        """Return Markdown as `Plain` does, without links to notebooks."""
        return re.sub(r"\[([^\]]+)\]\([^)\s]+\.ipynb(?:#[^)\s]*)?\)", r"\1", super().text(source))


def write(part: str, notebooks: Sequence[tuple[str, Any]], book: Book, target: Path) -> None:
    """Write one deck.

    Args:
        part: the part's name.
        notebooks: page and notebook of each chapter, with outputs where there are any.
        book: what `plain.read_book` returns.
        target: the `.html` file; `reveal/` and `mathjax/` must lie beside it.
    """
    from nbconvert import SlidesExporter
    from traitlets.config import Config

    deck = nbformat.v4.new_notebook()
    _slide(deck, f"# {part}\n\n{project.config()['title']}")
    for page, notebook in notebooks:
        _chapter(deck, notebook, Projected(book, page), book)
    deck.metadata["title"] = part
    deck.metadata["macros"] = _macros()
    deck.metadata["room"] = SLIDE | {"tall": TALL}
    options = Config()
    options.SlidesExporter.extra_template_basedirs = [str(TEMPLATES)]
    options.SlidesExporter.template_name = "slides_template"
    options.SlidesExporter.reveal_url_prefix = "reveal"
    options.SlidesExporter.reveal_theme = "white"  # its letters come with it
    exporter = SlidesExporter(config=options)
    html, _ = exporter.from_notebook_node(deck)
    target.write_text(html, encoding="utf-8")


def assets(folder: Path) -> None:
    """Copy reveal.js and MathJax beside the decks: a room without a network can show them."""
    reveal = Path(str(files("sphinx_revealjs"))) / "_static" / "revealjs"
    for name in ("dist", "plugin/notes"):
        shutil.copytree(reveal / name, folder / "reveal" / name, dirs_exist_ok=True)
    mathjax = project.ROOT / "book" / "_static" / "mathjax"
    shutil.copytree(mathjax, folder / "mathjax", dirs_exist_ok=True)


def _chapter(deck: Any, notebook: Any, plain: Plain, book: Book) -> None:
    title, _, claim = notebook.cells[0].source.partition("\n")
    first, *rest = [p for p in claim.strip().split("\n\n") if p.strip()]
    _slide(deck, f"{title}\n\n{plain.text(first)}")
    _notes(deck, plain.text("\n\n".join(rest)))
    within_solution, section, invited = False, "", False
    for cell in notebook.cells[1:]:
        if cell.cell_type == "code":
            if not (within_solution or invited):  # who is invited to play sees the outcome live
                _output(deck, cell, book, section)
            continue
        invited = "**Play.**" in cell.source
        section = (re.findall(r"(?m)^## (.+)$", cell.source) or [section])[-1]
        parts = split(cell.source)
        for part, before in zip(parts, [None, *parts], strict=False):
            if isinstance(part, Directive):
                if part.name in ("solution-start", "solution-end"):
                    within_solution = part.name == "solution-start"
                _directive(deck, part, plain)
            elif getattr(before, "name", "") == "exercise-start":
                _task(deck, plain.text(part))
            elif not within_solution:
                _prose(deck, part, plain)


def _directive(deck: Any, part: Directive, plain: Plain) -> None:
    kind = part.name.removeprefix("prf:")
    words = plain.directive(part, True)
    if kind in SPOKEN:
        _notes(deck, re.sub(r"</?(details|summary)>", "", words))
    elif kind.startswith("exercise"):
        heading, _, task = words.partition("\n")
        _slide(deck, heading, below=True)
        _task(deck, task)
    elif kind in STATEMENTS:
        _slide(deck, words, below=True)
    else:
        _slide(deck, words, below=False)


def _task(deck: Any, words: str) -> None:
    """Put what an exercise asks on its slide, and the hint into the notes."""
    _fragmentless(deck, HINT.sub("", words).strip())
    for hint in HINT.findall(words):
        _notes(deck, f"Hint: {hint}")


def _prose(deck: Any, text: str, plain: Plain) -> None:
    """Give each heading a slide: its first sentence, and its equations; the prose goes to notes."""
    for section in re.split(r"(?m)^(?=## )", text):
        heading, body = "", section
        if section.startswith("## "):
            heading, _, body = section.partition("\n")
        if "quiz" in body:
            _quiz(deck, body, plain)
            continue
        equations = [plain.text(m[0]) for m in EQUATION.finditer(body)]
        words = [_first_sentence(body, plain), *equations[:1]]
        if heading and any(words):  # a heading alone stands on the slide of what it announces
            _slide(deck, "\n\n".join([heading, *words]))
            equations = equations[1:]
        for equation in equations:
            _slide(deck, equation, below=True)
        _notes(deck, plain.text(body))


def _quiz(deck: Any, body: str, plain: Plain) -> None:
    for question in re.split(r"(?m)^(?=\*\*\d\.\*\*)", body):
        asked, _, answer = question.partition('<details class="quiz">')
        if not answer:
            continue
        _slide(deck, plain.text(asked.strip()), below=True)
        answer = re.sub(r"<summary>.*?</summary>|</details>", "", answer)
        _fragment(deck, plain.text(answer.strip()))


def _first_sentence(body: str, plain: Plain) -> str:
    paragraph = next((p for p in body.strip().split("\n\n") if p[:1].isalnum()), "")
    if EQUATION.search(paragraph):
        return ""
    text = plain.text(paragraph).replace("\n", " ")
    sentence = re.split(r"(?<=[.?!])(?<!\bal\.)\s", text, maxsplit=1)[0]
    return "" if sentence.endswith(":") else sentence  # it announces what is not there


def _output(deck: Any, cell: Any, book: Book, section: str) -> None:
    """Give a cell's pictures and tables a slide, under the name of its section."""
    shown = [out for out in cell.get("outputs", []) if set(SHOWN) & set(out.get("data", {}))]
    if not shown:
        return
    kept = nbformat.v4.new_code_cell(cell.source, outputs=[nbformat.from_dict(o) for o in shown])
    for output in kept.outputs:
        if "image/png" in output.data:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            alt = page_figures.said(output) or alt
            output.metadata = {"image/png": {"alt": alt}}
    figure = cell.metadata.get("mystnb", {}).get("figure")
    caption = f"*{book.labels[figure['name']].words}. {figure['caption']}*" if figure else ""
    heading = f"### {section}" if section else ""
    picture = kept.outputs[0]
    if len(shown) == 1 and "image/png" in picture.data and size(picture)[1] > LOW:
        _beside(deck, kept, heading, caption)
        return
    _slide(deck, heading, below=True)
    kept.metadata["slideshow"] = {"slide_type": "-" if section else "subslide"}
    deck.cells.append(kept)
    _fragmentless(deck, caption)


def size(output: Any) -> tuple[int, int]:
    """Return width and height of an output's PNG, which stand in its first bytes."""
    return struct.unpack(">II", base64.b64decode(output.data["image/png"][:32])[16:24])


def _beside(deck: Any, kept: Any, heading: str, caption: str) -> None:
    """Show a tall picture on the slide's whole height, its words beside it.

    One that would still be too small is shown on two slides, as if it were scrolled. They share
    some rows, so that no line of text is cut on both.
    """
    (width, height), alt = size(kept.outputs[0]), kept.outputs[0].metadata["image/png"]["alt"]
    parts = UPPER_AND_LOWER if height * LEAST > TALL else {"whole": ""}
    seen = height * (SEEN if len(parts) > 1 else 1)
    share = min(1.0, WIDE / width, TALL / seen)
    for part, words in parts.items():
        cell = nbformat.v4.new_code_cell(kept.source, outputs=copy.deepcopy(kept.outputs))
        cell.metadata |= {"slideshow": {"slide_type": "subslide"}, "tags": ["beside", part]}
        cell.outputs[0].metadata["image/png"] = {
            "alt": f"{alt} {words}".strip(),
            "width": round(share * width),
            "height": round(share * height),
        }
        deck.cells.append(cell)
        for text in (heading, caption, words):
            _fragmentless(deck, text)


def _slide(deck: Any, source: str, below: bool = False) -> None:
    _append(deck, source, "subslide" if below else "slide")


def _fragment(deck: Any, source: str) -> None:
    _append(deck, source, "fragment")


def _fragmentless(deck: Any, source: str) -> None:
    _append(deck, source, "-")


def _notes(deck: Any, source: str) -> None:
    _append(deck, source, "notes")


def _append(deck: Any, source: str, kind: str) -> None:
    if source.strip():
        cell = nbformat.v4.new_markdown_cell(source)
        cell.metadata["slideshow"] = {"slide_type": kind}
        deck.cells.append(cell)


def _macros() -> dict[str, str]:
    return project.config()["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
