"""Check that each page of `_toc.yml` was built and that none holds a traceback.

python -m book.tools.check_pages _build/html
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path

from book.tools import project

MARKS = ("Traceback (most recent call last)", "output traceback", "CellExecutionError")


class _Text(HTMLParser):
    """Collects the words of the main article, to see whether a page says anything."""

    def __init__(self) -> None:
        super().__init__()
        self.words = 0

    def handle_data(self, data: str) -> None:
        self.words += len(data.split())


def problems(html: Path, names: list[str]) -> list[str]:
    """Return one sentence for each page that is missing, empty or broken.

    Args:
        html: the folder of the built site.
        names: pages without suffix, relative to the site's root.
    """
    found = []
    if not (html / "index.html").is_file():
        found.append("index.html is missing")
    for name in names:
        page = html / f"{name}.html"
        if not page.is_file():
            found.append(f"{name}: the page was not built")
            continue
        source = page.read_text(encoding="utf-8")
        article = source.partition("<article")[2].partition("</article>")[0]
        text = _Text()
        text.feed(article)
        if text.words < 20:
            found.append(f"{name}: the page has only {text.words} words")
        found += [f"{name}: the page holds '{mark}'" for mark in MARKS if mark in article]
    return found


def main() -> int:
    html = Path(sys.argv[1]) if len(sys.argv) > 1 else project.ROOT / "_build" / "html"
    names = project.pages()
    found = problems(html, names)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"pages: all {len(names)} built, none holds a traceback")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(project.told(main))
