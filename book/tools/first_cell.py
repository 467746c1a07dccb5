"""Write or check the first code cell of every notebook.

    python -m book.tools.first_cell --write
    python -m book.tools.first_cell --check

The cell follows from the repository's address in `_config.yml` and from the notebook's metadata
`{"align": {"minutes": {"smoke": 0.2, "book": 1, "gpu": 1}}, "accelerator": "GPU"}`; the last entry
stands only where a GPU pays. A fork changes the address and runs the first command.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import nbformat

from book.tools import project

TIERS = ("smoke", "book", "gpu")

CELL = """\
# On Colab this fetches what is missing and leaves torch and numpy alone; elsewhere it does nothing.
import importlib.util

if importlib.util.find_spec("align") is None:
    %pip install --quiet --no-deps "git+{url}@{branch}"
if importlib.util.find_spec("safetensors") is None:
    %pip install --quiet --no-deps safetensors

from alignbook import tiers

tiers.announce({minutes}{pays})"""


def source(notebook: Any, repository: dict[str, str]) -> str:
    """Return the first cell that a notebook must have.

    Args:
        notebook: a notebook of version 4.
        repository: `url` and `branch`.

    Raises:
        ValueError: if the notebook's metadata does not name the minutes of the three tiers.
    """
    minutes = notebook.metadata.get("align", {}).get("minutes", {})
    if set(minutes) != set(TIERS):
        raise ValueError(
            f"notebook metadata names minutes for {sorted(minutes)}, expected one number each for "
            'smoke, book and gpu: {"align": {"minutes": {"smoke": 0.2, "book": 1, "gpu": 1}}}'
        )
    told = ", ".join(f"{tier}={minutes[tier]:g}" for tier in TIERS)
    return CELL.format(
        url=repository["url"],
        branch=repository["branch"],
        minutes=told,
        pays=", gpu_pays=True" if notebook.metadata.get("accelerator") == "GPU" else "",
    )


def update(notebook: Any, repository: dict[str, str]) -> bool:
    """Bring the first code cell in line, in place; return True if that changed anything."""
    wanted = source(notebook, repository)
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not codes or "first-cell" not in codes[0].metadata.get("tags", []):
        cell = nbformat.v4.new_code_cell(wanted, id="first-cell")
        cell.metadata["tags"] = ["first-cell", "hide-input"]
        # After the title, so that a page still opens with its name.
        notebook.cells.insert(1 if notebook.cells else 0, cell)
        return True
    changed = codes[0].source != wanted
    codes[0].source = wanted
    return changed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="rewrite the cells that differ")
    mode.add_argument("--check", action="store_true", help="only say which cells differ")
    parser.add_argument("notebooks", type=Path, nargs="*", help="default: all of _toc.yml")
    options = parser.parse_args()
    repository = project.config()["repository"]
    differing = 0
    for path in options.notebooks or project.notebooks():
        notebook = project.notebook(path)
        if update(notebook, repository):
            differing += 1
            print(f"{path.name}: first cell {'written' if options.write else 'differs'}")
            if options.write:
                nbformat.write(notebook, path)
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    sys.exit(project.told(main))
