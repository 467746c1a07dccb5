"""The PDF of a tiny built site, and what the teaching kit offers of it."""

from __future__ import annotations

import re
import zlib

import pytest
from browser import needs_browser

from book.tools import course, page_takeaways, pdf

PAGES = ["book/index", "book/deep/two"]
PAGE = """<!doctype html><html><head><title>{title}</title></head><body>
<nav>never printed</nav><article class="bd-article"><section id="top"><h1>{title}</h1>
<p>{words}</p>{more}</section></article></body></html>"""


@pytest.fixture
def html(tmp_path):
    (tmp_path / "book" / "deep").mkdir(parents=True)
    (tmp_path / "pixel.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    one = '<a href="deep/two.html#top">on</a> <img src="../pixel.svg" alt="a" loading="lazy">'
    two = (
        '<details><summary>Solution</summary>unfolded</details><img src="../../pixel.svg" alt="b">'
    )
    two += '<svg><marker id="tip"/><path marker-end="url(#tip)"/></svg>'
    two += '<a href="../../elsewhere.html">out</a>' + pdf.offer("../../align-book.pdf")
    pages = [("One", "first", one), ("Two", "second", two)]
    for page, (title, words, more) in zip(PAGES, pages, strict=True):
        text = PAGE.format(title=title, words=words, more=more)
        (tmp_path / f"{page}.html").write_text(text)
    return tmp_path


def test_pages_are_joined_with_their_links_pictures_and_solutions(html):
    text = pdf.join(html, PAGES)
    assert text.index("first") < text.index("second") and "never printed" not in text
    assert 'href="#page-book-deep-two--top"' in text and 'id="page-book-deep-two--top"' in text
    assert text.count('src="../pixel.svg"') == 2 and "loading" not in text
    assert re.search(r'<details open="">', text)
    assert 'id="tip"' in text  # the drawing still finds its arrowheads
    assert 'href="../elsewhere.html"' in text
    assert '<li><a href="#page-book-deep-two">Two</a></li>' in text


@needs_browser
def test_it_is_printed_and_then_offered(html):
    made = pdf.publish(html, PAGES)
    content = made.read_bytes()
    assert content.startswith(b"%PDF-") and made == html / pdf.NAME
    assert len(re.findall(rb"/Type\s*/Page\b", _plain(content))) >= 3  # contents, then a page each
    page = (html / "book" / "deep" / "two.html").read_text()
    assert 'href="../../align-book.pdf"' in page and "pdf-offer" not in page
    assert not (html / "book" / pdf.JOINED).exists()


def _plain(content: bytes) -> bytes:
    """A PDF with its compressed streams opened as far as they are plainly compressed."""
    opened = [content]
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
        try:
            opened.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return b"\n".join(opened)


def test_without_a_browser_the_message_says_what_to_install(html, monkeypatch):
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="apt install chromium chromium-driver"):
        pdf.publish(html, PAGES)
    assert not (html / "book" / pdf.JOINED).exists()


def test_the_kit_offers_archive_slides_and_pdf():
    found = page_takeaways.listed("book/teaching/kit")
    assert f'href="../../{course.ARCHIVE}"' in found
    for part in course.parts():
        assert f'href="../../{course.SLIDES}/{course.deck_name(part)}"' in found
    assert f'data-pdf="../../{pdf.NAME}"' in found
