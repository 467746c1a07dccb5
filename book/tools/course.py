"""Make a course of the book: notebooks for students and for instructors, slides, lab, project.

    python -m book.tools.course [--output _build/course]

Everything comes from the chapters. Slides show the figures of the last `make book`; where
there is none that fits the sources as they are, they are made without figures and say so.
`make book` publishes the course beside the pages, for the page of the teaching kit to offer.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from book.tools import execute, plain, project, slides, strip

BIBLIOGRAPHY = project.ROOT / "book" / "references.bib"
LAB = project.ROOT / "book" / "teaching" / "lab.md"
PROJECT = project.ROOT / "book" / "teaching" / "project"
TASK = (project.ROOT / "book" / "teaching" / "exercises.md", "sec-project")
"""The page and the section that say what the project asks."""
UNSEEN = "For instructors"
"""The heading in that section of what students do not get."""
FOR_STUDENTS = ("starter.py", "grade.py")
ARCHIVE = "course.zip"
SLIDES = "slides"
START = (
    f"<p>Unpack <code>{ARCHIVE}</code> in the checkout of the project after "
    "<code>make setup</code>, then run <code>.venv/bin/jupyter lab course/student</code> there. "
    "The pages of the kit and the exercises are in the book under <em>Teaching</em>.</p>"
)
"""How whoever opens the archive alone begins."""
GIVEN = (
    '<ul><li>For students: <a href="student/project/README.md">the task</a> '
    '(<a href="student/project/">folder</a>)</li>'
    '<li>For instructors: <a href="instructor/project/README.md">the task, and how to grade it</a> '
    '(<a href="instructor/project/">folder</a>)</li></ul>'
)
"""The project, where `_copy_project` puts it."""
SHEET = '<p>For instructors: <a href="instructor/teaching/lab.html">one lab of 90 minutes</a>.</p>'


def make(output: Path, cache: Path, key: str | None = None) -> dict[str, int]:
    """Write the course.

    Args:
        output: the folder; emptied first.
        cache: where the executed notebooks of `make book` are.
        key: the key that a build has just filled the cache under; the sources may have changed
            since. Without it, the runs must be those of the sources as they are.

    Returns:
        How many notebooks, decks and figures were written.
    """
    shutil.rmtree(output, ignore_errors=True)
    paths = project.notebooks()
    book = plain.read_book(paths, project.ROOT, BIBLIOGRAPHY)
    for path in paths:
        page = path.relative_to(project.ROOT).as_posix()
        for kind in ("student", "instructor"):
            _write_notebook(path, book, page, output, kind)
    _copy_lab(output, book)
    _copy_project(output, book)
    key = key or project.fingerprint(pages_too=False)
    figures = _write_slides(output / SLIDES, book, cache, key)
    (output / "index.html").write_text(_index(book), encoding="utf-8")
    return {"notebooks": len(paths), "decks": len(parts()), "figures": figures}


def publish(html: Path, cache: Path, key: str | None = None) -> dict[str, int]:
    """Put the course beside the built pages: everything in one archive, and the slides to open.

    Args:
        html: the folder of the built site.
        cache: where the executed notebooks are.
        key: as in `make`.

    Returns:
        What `make` returns.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "course"
        made = make(output, cache, key)
        shutil.rmtree(html / SLIDES, ignore_errors=True)
        shutil.copytree(output / SLIDES, html / SLIDES)
        shutil.make_archive(str(html / Path(ARCHIVE).stem), "zip", folder, "course")
    return made


def parts(root: Path = project.ROOT) -> dict[str, list[Path]]:
    """Return the notebooks of each part of `_toc.yml` that has any, in reading order."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    found = {}
    for part in contents["parts"]:
        files = [root / f"{chapter['file']}.ipynb" for chapter in part["chapters"]]
        notebooks = [path for path in files if path.is_file()]
        if notebooks:
            found[part["caption"]] = notebooks
    return found


def deck_name(part: str) -> str:
    """Return the file name of a part's slides."""
    return part.lower().replace(" ", "-") + ".html"


def _write_notebook(path: Path, book: plain.Book, page: str, output: Path, kind: str) -> None:
    source = project.notebook(path)
    made = plain.version(source, book, page, solutions=kind == "instructor")
    target = output / kind / Path(page).relative_to("book")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(strip.text(strip.strip(made)), encoding="utf-8")


def _copy_lab(output: Path, book: plain.Book) -> None:
    """The sheet of the timed lab, which tells how it ends: for instructors alone; once to print."""
    from nbconvert.filters import markdown2html

    page = LAB.relative_to(project.ROOT)
    target = output / "instructor" / page.relative_to("book")
    target.parent.mkdir(parents=True, exist_ok=True)
    text = plain.Plain(book, page.as_posix()).text(LAB.read_text(encoding="utf-8"))
    address = project.config()["repository"]["url"]  # no page with its button is beside the sheet
    text = text.replace("ADDRESS", address)
    target.write_text(text, encoding="utf-8")
    title = re.match("# (.+)", text)[1]
    target.with_suffix(".html").write_text(_page(title, markdown2html(text)), encoding="utf-8")


def _copy_project(output: Path, book: plain.Book) -> None:
    for kind in ("student", "instructor"):
        folder = output / kind / "project"
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(PROJECT.iterdir()):
            if path.name in FOR_STUDENTS or (kind == "instructor" and path.suffix == ".py"):
                shutil.copy(path, folder)
        (folder / "README.md").write_text(_task(book, kind), encoding="utf-8")


def _task(book: plain.Book, kind: str) -> str:
    """The project's section as a file of its own; its links lead to the notebooks beside it."""
    page, label = TASK
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"(?ms)^\({label}\)=\n(## .+?)(?=^(?:\([\w-]+\)=\n)?## |\Z)", text)
    if not found:
        raise ValueError(f"{page.name} has no section '{label}'")
    raised = re.sub(r"(?m)^#(#+ )", r"\1", found[1])
    seen, withheld = re.subn(rf"(?ms)^## {UNSEEN}\n.*?(?=^## |\Z)", "", raised)
    if not withheld:  # under another heading it would reach students unnoticed
        raise ValueError(f"the section '{label}' of {page.name} has no heading '{UNSEEN}'")
    if kind == "student":
        raised = seen.rstrip() + "\n"
    return plain.Plain(book, "book/project/README.md").text(raised)


def _write_slides(folder: Path, book: plain.Book, cache: Path, key: str) -> int:
    folder.mkdir(parents=True)
    slides.assets(folder)
    figures = 0
    for part, paths in parts().items():
        chapters = [
            (path.relative_to(project.ROOT).as_posix(), executed(path, cache, key))
            for path in paths
        ]
        figures += sum(_pictures(notebook) for _, notebook in chapters)
        slides.write(part, chapters, book, folder / deck_name(part))
    return figures


def executed(path: Path, cache: Path, key: str) -> Any:
    """Return a notebook with the outputs that a cache holds, or without any.

    Args:
        path: the notebook.
        cache: where the executed notebooks are.
        key: how the cache's own key must end: in full, or the fingerprint alone for any tier.
    """
    notebook = project.notebook(path)
    stamp = cache / "key.txt"
    if not stamp.is_file() or not stamp.read_text().endswith(key):
        return notebook
    run = execute.stored(cache, execute.read(path))
    if run is None:
        return notebook
    outputs = iter([cell.outputs for cell in run.cells if cell.cell_type == "code"])
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = next(outputs)
    return notebook


def _pictures(notebook: Any) -> int:
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    return sum("image/png" in out.get("data", {}) for out in outputs)


def _index(book: plain.Book) -> str:
    title = html.escape(project.config()["title"])
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td>"
        + "".join(
            f'<td><a href="{kind}/{Path(page).relative_to("book").as_posix()}">{kind}</a></td>'
            for kind in ("student", "instructor")
        )
        + "</tr>"
        for page, name in book.titles.items()
    )
    decks = "".join(
        f'<li><a href="slides/{deck_name(part)}">{html.escape(part)}</a></li>' for part in parts()
    )
    return _page(
        f"{title}: course",
        f"<h1>{title}: course</h1>{START}<h2>Notebooks</h2><table>{rows}</table>"
        f"<h2>Slides</h2><ul>{decks}</ul><h2>Lab</h2>{SHEET}<h2>Project</h2>{GIVEN}",
    )


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><style>body'
        "{font:17px/1.6 sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
        "td{padding:.2rem 1rem .2rem 0;vertical-align:top}pre{white-space:pre-wrap}"
        ".anchor-link{display:none}"
        f"</style></head><body><main>{body}</main></body></html>\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=project.ROOT / "_build" / "course")
    parser.add_argument("--cache", type=Path, default=project.ROOT / "_build" / ".jupyter_cache")
    options = parser.parse_args()
    made = make(options.output.resolve(), options.cache)
    print(
        f"course: {made['notebooks']} notebooks, each for students and for instructors; "
        f"{made['decks']} decks with {made['figures']} figures"
    )
    if not made["figures"]:
        print("the slides have no figures: run `make book`, then `make course` again")
    print(f"open {(options.output.resolve() / 'index.html').as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(project.told(main))
