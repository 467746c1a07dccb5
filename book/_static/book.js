// A table of three columns or more of words stands row by row on a phone: its cells know their column.
document.addEventListener("DOMContentLoaded", function () {
  const wide = ".bd-article table.table:not(.dataframe):has(thead th:nth-child(3))";
  for (const table of document.querySelectorAll(wide)) {
    const columns = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    for (const row of table.tBodies[0].rows) {
      [...row.cells].forEach(function (cell, place) {
        if (columns[place] && (place || /^\d+$/.test(cell.textContent.trim()))) {
          cell.dataset.column = columns[place];
        }
      });
    }
    table.classList.add("stacks");
  }
});

// Long names of rows keep a width of their own beside many columns.
document.addEventListener("DOMContentLoaded", function () {
  for (const table of document.querySelectorAll(".bd-article table.dataframe")) {
    const long = [...table.querySelectorAll("tbody th")].some((cell) => cell.textContent.length > 28);
    table.classList.toggle("long-names", long);
  }
});

// Regions that scroll sideways must be reachable with the keyboard.
document.addEventListener("DOMContentLoaded", function () {
  const selector =
    ".bd-article pre, .bd-article .cell_output, .bd-article .cell_output > .output, .bd-article div.math, " +
    ".bd-article .pst-scrollable-table-container";
  for (const region of document.querySelectorAll(selector)) {
    if (region.scrollWidth > region.clientWidth + 1) {
      region.tabIndex = 0;
    }
  }
});

// What is wider than its place says so: a shadow stands at the edge while there is more of it.
const showMore = function (place, region) {
  const left = region.scrollWidth - region.clientWidth - region.scrollLeft;
  place.classList.toggle("goes-on", left > 4);
  const table = region.querySelector("table.dataframe") ?? region; // not the note below it
  place.style.setProperty("--top", `${table.offsetTop}px`);
  place.style.setProperty("--height", `${Math.min(table.offsetHeight, region.clientHeight)}px`);
};

document.addEventListener("DOMContentLoaded", function () {
  for (const table of document.querySelectorAll(".bd-article .pst-scrollable-table-container")) {
    const place = document.createElement("div");
    place.className = "table-place";
    table.replaceWith(place);
    place.append(table);
  }
  const wide = ".bd-article .cell_output > .output:has(table), .bd-article .table-place > *";
  for (const region of document.querySelectorAll(wide)) {
    const update = () => showMore(region.parentElement, region);
    region.addEventListener("scroll", update, { passive: true });
    window.addEventListener("resize", update);
    new ResizeObserver(update).observe(region.querySelector("table"));  // formulas come later
    update();
  }
  // A formula's own element is made later, by MathJax, which changes the size of its place.
  for (const place of document.querySelectorAll(".bd-article div.math")) {
    const update = function () {
      const region = place.querySelector("mjx-container");
      if (region) {
        showMore(place, region);
      }
    };
    place.addEventListener("scroll", update, { capture: true, passive: true });
    new ResizeObserver(update).observe(place);
  }
});

// On a phone a long name breaks where it must, a short one does not.
document.addEventListener("DOMContentLoaded", function () {
  for (const code of document.querySelectorAll(".bd-article code.literal")) {
    code.classList.toggle("short", code.textContent.length <= 16);
  }
});

// A long cell shows its head: the reader goes on to what it draws, or asks for the rest.
document.addEventListener("DOMContentLoaded", function () {
  const phone = window.matchMedia("(max-width: 600px)").matches;
  const most = phone ? 420 : 640;  // a screen's share: some 20 lines, or some 30
  for (const cell of document.querySelectorAll(".bd-article div.cell > div.cell_input")) {
    const code = cell.querySelector("pre");
    const lines = code ? code.textContent.trimEnd().split("\n").length : 0;
    if (!code || code.offsetHeight <= most) {  // nothing to gain, or folded away already
      continue;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "code-toggle";
    const set = function (open) {
      cell.classList.toggle("long-code", !open);
      button.setAttribute("aria-expanded", String(open));
      button.textContent = open ? "Show less" : `Show all ${lines} lines`;
    };
    button.addEventListener("click", () => set(cell.classList.contains("long-code")));
    cell.append(button);
    set(false);
  }
});

// The bar beside the pages keeps its old place from page to page: bring the open page into sight.
window.addEventListener("load", function () {
  const bar = document.querySelector(".bd-sidebar-primary");
  const open = bar && bar.querySelector("li.current.active > a, a.current");
  if (open && bar.scrollHeight > bar.clientHeight) {
    const [inside, outside] = [open.getBoundingClientRect(), bar.getBoundingClientRect()];
    if (inside.top < outside.top || inside.bottom > outside.bottom) {
      bar.scrollTop += inside.top - outside.top - bar.clientHeight / 2;
    }
  }
});
