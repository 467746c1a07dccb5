"""The built pages for readers who cannot see them well, or at all, or use no mouse.

The rules are axe-core's, which come with a package of the test extra; a page is examined in the
light and in the dark theme and at a phone's width.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from browser import needs_browser, set_width, settle

from book.tools import project

pytestmark = needs_browser
PAGES = [*project.pages(), "search", "genindex"]
GRAVE = {"serious", "critical"}
# Of less impact by axe's reckoning, and wanted here all the same.
ORDER = {"heading-order", "page-has-heading-one", "landmark-one-main", "region", "empty-heading"}
PHONE = ["scrollable-region-focusable", "target-size", "link-in-text-block", "meta-viewport"]
CONTRAST = ["color-contrast"]
each = pytest.mark.parametrize("name", PAGES)

EXAMINE = """
const [rules, done] = arguments;
const options = {resultTypes: ['violations'], preload: false};
if (rules) options.runOnly = {type: 'rule', values: rules};
axe.run(document, options).then(
  found => done(found.violations.map(v => ({
    rule: v.id, impact: v.impact,
    where: v.nodes.slice(0, 3).map(n => n.target.join(' ') + ' · ' + n.failureSummary)}))),
  error => done([{rule: 'axe', impact: 'critical', where: [String(error)]}]));
"""

THEME = """
document.documentElement.dataset.mode = arguments[0];
document.documentElement.dataset.theme = arguments[0];
"""

STOPS = """
const order = [...document.querySelectorAll('a[href], button, input, summary, [tabindex]')]
  .filter(e => e.tabIndex >= 0 && e.checkVisibility());
return order.filter(e => e.tabIndex > 0).map(e => e.outerHTML.slice(0, 120));
"""

SUMMARIES = """
return [...document.querySelectorAll('.bd-article summary')].map(e => {
  e.focus(); return document.activeElement === e && e.innerText.trim().length > 0;
});
"""


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's own script."""
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


STILL = """
const style = document.createElement("style");
style.textContent = "*, *::before, *::after { transition: none !important }";
document.head.append(style);
"""


THIN = """
document.querySelectorAll('mjx-container').forEach(e => e.remove());
const thin = (selector, most, drop) => {
  const seen = {};
  for (const e of document.querySelectorAll(selector)) {
    const kind = e.className + (e.closest('.cell_output') ? ' in output' : '');
    seen[kind] = (seen[kind] || 0) + 1;
    if (seen[kind] > most) drop(e);
  }
};
thin('.highlight pre span', 1, e => e.replaceWith(e.textContent));
thin('dl.py', 8, e => e.remove());
"""
"""Formulas are not examined; of code and of the reference's entries some of each kind stand for
all, for the examination's time grows with the square of the page."""


def opened(browser: tuple[Any, str], axe: str, name: str, width: int) -> Any:
    driver, address = browser
    set_width(driver, width)
    driver.get(f"{address}/{name}.html")
    settle(driver)
    driver.set_script_timeout(120)  # the library's reference is a long page
    # A colour on its way from one theme to the other is neither theme's.
    driver.execute_script(STILL)
    driver.execute_script(THIN)
    driver.execute_script(axe)
    return driver


def faults(driver: Any, rules: list[str] | None = None) -> list[str]:
    """What axe finds that is grave, or that this book wants in order besides."""
    found = driver.execute_async_script(EXAMINE, rules)
    return [json.dumps(f) for f in found if f["impact"] in GRAVE or f["rule"] in ORDER]


@each
def test_no_grave_fault_in_the_light_and_no_poor_contrast_in_the_dark(browser, axe, name):
    driver = opened(browser, axe, name, 1280)
    driver.execute_script(THEME, "light")
    assert faults(driver) == []
    driver.execute_script(THEME, "dark")
    assert faults(driver, CONTRAST) == []


@each
def test_a_thumb_and_a_keyboard_reach_everything_on_a_phone(browser, axe, name):
    driver = opened(browser, axe, name, 390)
    assert faults(driver, PHONE) == []
    assert driver.execute_script(STOPS) == []  # the order of the page is the order of the keys
    assert all(driver.execute_script(SUMMARIES))


HEIGHTS = """
return [...document.querySelectorAll('.code-toggle')].map(button => {
  const code = button.parentElement.querySelector('pre');
  const states = [];
  for (let press = 0; press < 3; press++) {
    const whole = code.scrollHeight <= code.clientHeight + 1;
    states.push([whole, button.getAttribute('aria-expanded'), button.textContent]);
    button.click();
  }
  return states;
});
"""


@pytest.mark.parametrize("width", [390, 1280])
def test_a_long_cell_shows_its_head_until_it_is_asked_for_the_rest(browser, axe, width):
    driver = opened(browser, axe, "book/theory/what_to_align", width)
    found = driver.execute_script(HEIGHTS)
    assert found
    for cut, whole, again in found:
        assert (cut[:2], whole[:2]) == ([False, "false"], [True, "true"]) and again == cut
        assert re.fullmatch(r"Show all \d+ lines", cut[2]) and whole[2] == "Show less"


STACKED = """
const before = element => getComputedStyle(element, '::before').content;
return [...document.querySelectorAll('.bd-article table.stacks')].map(table => ({
  heading: getComputedStyle(table.tHead).display,
  names: [...table.tHead.rows[0].cells].map(cell => cell.textContent.trim()),
  rows: [...table.tBodies[0].rows].map(row => [...row.cells].map(before)),
  again: [...table.querySelectorAll('td p')].map(before),
}));
"""
"""What stands before each cell of a table of words, and before a cell's own text."""


@pytest.mark.parametrize("name", ["book/an_hour", "book/fidelity"])
def test_a_table_of_words_stands_row_by_row_on_a_phone_and_each_cell_names_its_column(
    browser, axe, name
):
    tables = opened(browser, axe, name, 390).execute_script(STACKED)
    assert tables
    for table in tables:
        assert table["heading"] == "none" and {*table["again"]} <= {"none"}
        for first, *others in table["rows"]:
            assert first == "none" or not table["names"][0]  # a number may name its column
            for column, shown in zip(table["names"][1:], others, strict=True):
                assert column in shown if column else shown == "none"
    for table in opened(browser, axe, name, 1280).execute_script(STACKED):
        assert table["heading"] != "none"
        assert {shown for row in table["rows"] for shown in row} == {"none"}


def test_a_spoilt_page_is_found_out(browser, axe):
    driver = opened(browser, axe, "book/notation", 1280)
    driver.execute_script("document.querySelectorAll('h1').forEach(heading => heading.remove())")
    assert any("page-has-heading-one" in fault for fault in faults(driver))
    pale = "document.querySelector('.bd-article p').style.color = '#c8c8c8'"
    driver.execute_script(THEME, "light")
    driver.execute_script(pale)
    assert any("color-contrast" in fault for fault in faults(driver, CONTRAST))
    unnamed = "document.querySelector('.bd-article').innerHTML += '<input type=range><img src=x>'"
    driver.execute_script(unnamed)
    rules = {json.loads(fault)["rule"] for fault in faults(driver, ["label", "image-alt"])}
    assert rules == {"label", "image-alt"}
