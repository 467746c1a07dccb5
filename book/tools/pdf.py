"""Print the built book to one PDF with a headless Chromium; needs no network.

    python -m book.tools.pdf [--html _build/html]

The pages are joined in reading order into one page, with a contents list in front. Links between
chapters lead inside the PDF. What only a screen can do is taken out or unfolded: sliders keep the
picture that they begin with, folded solutions are open.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from book.tools import build, project

NAME = "align-book.pdf"
JOINED = "printed.html"
GONE = "script, .headerlink, .prev-next-area, button, input, label, nav, .toctree-wrapper"
SIZE = {"paperWidth": 8.27, "paperHeight": 11.69}  # A4, in inches
SIZE |= {"marginTop": 0.8, "marginBottom": 0.8, "marginLeft": 0.8, "marginRight": 0.8}
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
FOOT = (
    '<div style="font-size:8px;width:100%;text-align:center"><span class="pageNumber"></span></div>'
)
STYLE = """
html { --pst-font-size-base: 13px; font-size: 13px; }
body { background: #fff; margin: 0; }
article.bd-article { display: block; max-width: none; padding: 0; }
.bd-article section > * { max-width: none !important; }
.printed > section { break-before: page; }
h2, h3, figcaption { break-after: avoid; }
figure, img, tr, .admonition, mjx-container[display] { break-inside: avoid; }
img, svg { max-width: 100% !important; }
svg.pipeline { max-width: 12cm !important; }
img { max-height: 22cm; }
pre { white-space: pre-wrap !important; overflow-wrap: anywhere; }
table { display: table !important; font-size: 80%; width: 100%; }
div, td, pre { max-height: none !important; overflow: visible !important; }
"""


def join(html: Path, pages: list[str]) -> str:
    """Return the built pages as one page that lies beside the first.

    Args:
        html: the folder of the built site.
        pages: names without suffix, in reading order.
    """
    from bs4 import BeautifulSoup

    first = BeautifulSoup((html / f"{pages[0]}.html").read_text("utf-8"), "html.parser")
    for script in first.head.select("script[src*=sphinx], script[src*=book], script[src*=theme]"):
        script.decompose()
    first.html["data-theme"] = first.html["data-mode"] = "light"
    style = first.new_tag("style")
    style.string = STYLE
    first.head.append(style)
    parts = [_part(html, page, pages) for page in pages]
    contents = "".join(
        f'<li><a href="#{_slug(page)}">{part.h1.get_text(" ", strip=True)}</a></li>'
        for page, part in zip(pages, parts, strict=True)
        if part.h1
    )
    title = first.title.get_text().rpartition(" — ")[2] if first.title else pages[0]
    body = "".join(f'<div class="printed" id="{_slug(p)}">{part}</div>'
                   for p, part in zip(pages, parts, strict=True))  # fmt: skip
    # MathJax is started by a script that stands in the body of a page.
    math = "".join(str(s) for s in first.select("script[src*=mathjax]") if s.find_parent("body"))
    return (
        f"<!doctype html><html lang=en data-theme=light><head>{first.head.decode_contents()}</head>"
        f'<body><article class="bd-article"><h1>{title}</h1><ol>{contents}</ol>{body}</article>'
        f"{math}</body></html>"
    )


def _part(html: Path, page: str, pages: list[str]) -> Any:
    """The article of a page, with its names and addresses as the joined page needs them."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup((html / f"{page}.html").read_text("utf-8"), "html.parser")
    article = soup.select_one("article.bd-article") or soup.find("article")
    for element in article.select(GONE):
        element.decompose()
    for details in article.select("details"):
        details["open"] = ""
    for hidden in article.select(".toggle-hidden"):
        hidden["class"] = [name for name in hidden["class"] if name != "toggle-hidden"]
    for element in article.select("[id]:not(svg *)"):  # a drawing names parts of its own by them
        element["id"] = f"{_slug(page)}--{element['id']}"
    for image in article.select("img"):
        image.attrs.pop("loading", None)
        image["src"] = _beside(pages[0], page, image["src"])
    for link in article.select("a[href]"):
        link["href"] = _inside(pages, page, link["href"])
    article.name = "section"
    article["class"] = ["chapter"]
    return article


def _slug(page: str) -> str:
    return "page-" + page.replace("/", "-")


def _beside(first: str, page: str, address: str) -> str:
    """An address on a page, as seen from the first one."""
    if urlsplit(address).scheme:
        return address
    return "../" * first.count("/") + urljoin(f"/{page}", address).lstrip("/")


def _inside(pages: list[str], page: str, address: str) -> str:
    """A link's target in the joined page, if it leads to one of its parts."""
    if urlsplit(address).scheme or address.startswith("mailto"):
        return address
    target, fragment = urldefrag(urljoin(f"/{page}.html", address))
    name = unquote(target).lstrip("/").removesuffix(".html")
    if name not in pages:
        return _beside(pages[0], page, address)
    return f"#{_slug(name)}" + (f"--{fragment}" if fragment else "")


def write(page: Path, target: Path) -> int:
    """Print a page.

    Args:
        page: an HTML file; what it needs lies beside it.
        target: the `.pdf` file.

    Returns:
        Its size in bytes.

    Raises:
        FileNotFoundError: if there is no Chromium with its driver.
    """
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        raise FileNotFoundError(
            "the PDF is printed by Chromium, which is not installed with its driver; "
            "on Debian: apt install chromium chromium-driver"
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=Service(driver))
        try:
            printed = _print(browser, page.resolve().as_uri())
        finally:
            browser.quit()
    target.write_bytes(printed)
    return len(printed)


def _print(browser: Any, address: str) -> bytes:
    browser.set_page_load_timeout(300)
    browser.set_script_timeout(300)
    browser.command_executor.client_config.timeout = 600
    browser.get(address)
    browser.execute_async_script(
        "const done = arguments[0];"
        "const set = window.MathJax && MathJax.startup ? MathJax.startup.promise : null;"
        "Promise.resolve(set).then(() => document.fonts.ready).then(() => done());"
    )
    wanted = SIZE | {
        "printBackground": True,
        "generateTaggedPDF": True,
        "generateDocumentOutline": True,
        "displayHeaderFooter": True,
        "headerTemplate": "<span></span>",
        "footerTemplate": FOOT,
    }
    return base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", wanted)["data"])


def offer(address: str) -> str:
    """Return the place on a page where the PDF is offered once it is there."""
    words = "the book as a PDF: <code>make pdf</code> prints it"
    return f'<span class="pdf-offer" data-pdf="{address}">{words}</span>'


def publish(html: Path, pages: list[str]) -> Path:
    """Print a built site, put the PDF beside its pages, and let them offer it.

    Args:
        html: the folder of the built site.
        pages: names without suffix, in reading order.

    Returns:
        The PDF.
    """
    joined = (html / pages[0]).with_name(JOINED)
    joined.write_text(join(html, pages), encoding="utf-8")
    try:
        write(joined, html / NAME)
    finally:
        joined.unlink()
    for page in (html / f"{name}.html" for name in pages):
        text = page.read_text(encoding="utf-8")
        address = text.partition('<span class="pdf-offer" data-pdf="')[2].partition('"')[0]
        if address:
            link = f'<a href="{address}">{NAME}</a>: the whole book, to print'
            page.write_text(text.replace(offer(address), link), encoding="utf-8")
    return html / NAME


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--html", type=Path, default=project.ROOT / "_build" / "html")
    html = parser.parse_args().html
    if not build.is_fresh(html):
        print(f"'{html}' is no build of these sources; run `make book` first", file=sys.stderr)
        return 1
    try:
        made = publish(html, project.pages())
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"open {made.resolve().as_uri()} ({made.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
