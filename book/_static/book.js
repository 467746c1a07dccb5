// Regions that scroll sideways must be reachable with the keyboard.
document.addEventListener("DOMContentLoaded", function () {
  const selector = ".bd-article pre, .bd-article .cell_output, .bd-article div.math";
  for (const region of document.querySelectorAll(selector)) {
    if (region.scrollWidth > region.clientWidth + 1) {
      region.tabIndex = 0;
    }
  }
});
