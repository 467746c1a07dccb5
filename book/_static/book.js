// Regions that scroll sideways must be reachable with the keyboard.
document.addEventListener("DOMContentLoaded", function () {
  const selector =
    ".bd-article pre, .bd-article .cell_output, .bd-article .cell_output > .output, .bd-article div.math";
  for (const region of document.querySelectorAll(selector)) {
    if (region.scrollWidth > region.clientWidth + 1) {
      region.tabIndex = 0;
    }
  }
});

// A table that is wider than its place says so: its edge fades while there is more to scroll to.
document.addEventListener("DOMContentLoaded", function () {
  for (const region of document.querySelectorAll(".bd-article .cell_output > .output:has(table)")) {
    const update = function () {
      const left = region.scrollWidth - region.clientWidth - region.scrollLeft;
      region.classList.toggle("goes-on", left > 4);
    };
    region.addEventListener("scroll", update, { passive: true });
    window.addEventListener("resize", update);
    update();
  }
});

// On a phone a long cell shows its head: the thumb goes on to what it draws, or asks for the rest.
document.addEventListener("DOMContentLoaded", function () {
  const phone = window.matchMedia("(max-width: 600px)").matches;
  const cells = phone ? document.querySelectorAll(".bd-article div.cell > div.cell_input") : [];
  for (const cell of cells) {
    const code = cell.querySelector("pre");
    const lines = code ? code.textContent.trimEnd().split("\n").length : 0;
    if (!code || code.offsetHeight <= 420) {  // nothing to gain, or folded away already
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
