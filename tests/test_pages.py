"""The built site, read as a reader's browser reads it."""

from __future__ import annotations

import functools
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from browser import console_errors, needs_browser, set_width, settle

from book.tools import check_pages, project

PAGES = project.pages()
WIDTHS = (390, 820, 1280)
MAX_BYTES = 2_000_000

each = pytest.mark.parametrize("name", PAGES)


class Page(HTMLParser):
    """What a page links to, shows and names."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.names: set[str] = set()
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img":
            self.images.append(given)
        self.names.update(filter(None, (given.get("id"), given.get("name"))))


def parse(path: Path) -> Page:
    return _parsed(path, path.stat().st_mtime_ns)


@functools.cache
def _parsed(path: Path, _changed: int) -> Page:
    """Thousands of links lead to the reference: read it once, and again when it changes."""
    return Page(path.read_text(encoding="utf-8"))


def test_every_page_was_built_and_none_holds_a_traceback(site):
    assert check_pages.problems(site, PAGES) == []


@each
def test_every_image_has_alternative_text(site, name):
    silent = [
        i.get("src", "")[:80] for i in parse(site / f"{name}.html").images if not i.get("alt")
    ]
    assert silent == []


@each
def test_no_image_is_described_by_its_file_name(site, name):
    for image in parse(site / f"{name}.html").images:
        assert not image["alt"].endswith((".png", ".svg", ".jpg")), image["alt"]


@each
def test_no_dead_internal_link(site, name):
    page = site / f"{name}.html"
    dead = [link for link in parse(page).links if not leads_somewhere(site, f"{name}.html", link)]
    assert dead == []


def leads_somewhere(site: Path, page: str, link: str) -> bool:
    if urlsplit(link).scheme or link.startswith("//"):
        return True
    target, fragment = urldefrag(urljoin(f"/{page}", link))
    path = site / unquote(urlsplit(target).path).lstrip("/")
    path = path / "index.html" if path.is_dir() else path
    if not path.is_file():
        return False
    return not fragment or path.suffix != ".html" or unquote(fragment) in parse(path).names


@each
def test_page_weight(site, name):
    page = site / f"{name}.html"
    weight = page.stat().st_size
    for image in parse(page).images:
        source = image["src"]
        if not urlsplit(source).scheme:
            weight += (page.parent / unquote(urlsplit(source).path)).stat().st_size
    assert weight <= MAX_BYTES


@each
def test_colab_opens_this_very_notebook(site, name):
    colab = [link for link in parse(site / f"{name}.html").links if "colab." in link]
    if not (project.ROOT / f"{name}.ipynb").is_file():
        assert colab == []
        return
    repository = project.config()["repository"]
    tail = repository["url"].removeprefix("https://github.com/")
    wanted = f"https://colab.research.google.com/github/{tail}/blob/{repository['branch']}/"
    assert set(colab) == {f"{wanted}{name}.ipynb"}


def test_search_knows_every_page(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert all(f'"{name}"' in index for name in PAGES)


def test_pages_load_nothing_from_elsewhere(site):
    for name in PAGES:
        source = (site / f"{name}.html").read_text(encoding="utf-8")
        head = source.partition("</head>")[0]
        foreign = [line for line in head.splitlines() if 'src="http' in line or "@import" in line]
        assert foreign == [], name


@needs_browser
@each
def test_opens_without_an_error_and_typesets_its_equations(browser, name):
    driver, address = browser
    set_width(driver, 1280)
    driver.get(f"{address}/{name}.html")
    settle(driver)
    assert console_errors(driver) == []
    untypeset = "return [...document.querySelectorAll('.math')].filter("
    untypeset += "e => !e.querySelector('mjx-container')).map(e => e.textContent)"
    assert driver.execute_script(untypeset) == []
    assert driver.execute_script("return document.querySelectorAll('mjx-merror').length") == 0


@needs_browser
@each
@pytest.mark.parametrize("width", WIDTHS)
def test_no_sideways_scroll(browser, name, width):
    driver, address = browser
    set_width(driver, width)
    driver.get(f"{address}/{name}.html")
    settle(driver)
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width, f"{wide - width} px too wide; " + str(
        driver.execute_script(WIDEST, width)
    )
    # The reference's formulas are those of docstrings; they scroll in their place.
    if width == min(WIDTHS) and name != "book/api":
        assert driver.execute_script(CUT_FORMULAS) == []


@needs_browser
@each
def test_every_picture_arrives(browser, name):
    driver, address = browser
    driver.get(f"{address}/{name}.html")
    settle(driver)
    broken = "return [...document.images].filter(i => !i.loading.includes('lazy') && "
    broken += "i.complete && !i.naturalWidth).map(i => i.alt)"
    assert driver.execute_script(broken) == []


@needs_browser
@each
def test_every_slider_moves_its_picture(browser, name):
    driver, address = browser
    driver.get(f"{address}/{name}.html")
    settle(driver)
    for slider in driver.find_elements("css selector", "figure.align-slider input"):
        moved = driver.execute_script(MOVE, slider)
        assert moved["before"] != moved["after"]


@needs_browser
def test_the_search_finds_the_method(browser):
    driver, address = browser
    driver.get(f"{address}/search.html?q=ALIGN")
    found = "return document.querySelectorAll('#search-results li').length"
    from selenium.webdriver.support.ui import WebDriverWait

    assert WebDriverWait(driver, 20).until(lambda d: d.execute_script(found)) > 0


# Formulas that a phone shows only a part of, those in folded solutions too.
CUT_FORMULAS = """
document.querySelectorAll("details").forEach(e => { e.open = true; });
document.querySelectorAll(".toggle-hidden").forEach(e => e.classList.remove("toggle-hidden"));
const cut = e => {
    const shown = e.querySelector("mjx-math").getBoundingClientRect();
    const inline = !e.getAttribute("display");
    const box = (inline ? e.closest("p, li, td, dd, div") : e).getBoundingClientRect();
    return shown.right > box.right + 3 || shown.left < box.left - 3;
};
return [...document.querySelectorAll("mjx-container")].filter(
    e => e.offsetWidth && !e.closest("table") && cut(e)
).map(e => e.querySelector("mjx-assistive-mml").textContent);
"""
WIDEST = """
return [...document.querySelectorAll('.bd-article *')]
  .filter(e => e.getBoundingClientRect().right > arguments[0])
  .slice(0, 5).map(e => e.tagName + '.' + e.className);
"""

MOVE = """
const input = arguments[0], image = input.closest('figure').querySelector('img');
const before = image.alt;
input.value = input.value === input.max ? input.min : input.max;
input.dispatchEvent(new Event('input'));
return {before: before, after: image.alt};
"""
