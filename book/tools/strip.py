"""Take outputs, run counts and stray metadata out of the notebooks, or check that none are there.

python -m book.tools.strip --write
python -m book.tools.strip --check
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from typing import Any

import nbformat

from book.tools import project

NOTEBOOK_KEYS = {"kernelspec", "language_info", "accelerator", "align"}
CELL_KEYS = {"tags", "mystnb", "align"}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def strip(notebook: Any) -> Any:
    """Return a copy that holds only what its author wrote."""
    clean = copy.deepcopy(notebook)
    clean.nbformat, clean.nbformat_minor = 4, 5
    kept = {key: value for key, value in clean.metadata.items() if key in NOTEBOOK_KEYS}
    kept["kernelspec"] = dict(KERNEL)
    kept["language_info"] = {"name": "python"}
    clean.metadata = nbformat.from_dict(kept)
    for number, cell in enumerate(clean.cells):
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key in CELL_KEYS}
        )
        cell.setdefault("id", f"cell-{number}")
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
        else:
            cell.pop("attachments", None)
    return clean


def text(notebook: Any) -> str:
    """Return the file's text: one space of indentation, keys in order, a final newline."""
    return nbformat.writes(notebook, indent=1, sort_keys=True, ensure_ascii=False).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="rewrite the notebooks that differ")
    mode.add_argument("--check", action="store_true", help="only say which notebooks differ")
    parser.add_argument("notebooks", type=Path, nargs="*", help="default: all of _toc.yml")
    options = parser.parse_args()
    differing = 0
    for path in options.notebooks or project.notebooks():
        before = path.read_text(encoding="utf-8")
        after = text(strip(project.notebook(path)))
        if after != before:
            differing += 1
            print(
                f"{path.name}: {'stripped' if options.write else 'holds outputs or stray metadata'}"
            )
            if options.write:
                path.write_text(after, encoding="utf-8")
    return 1 if options.check and differing else 0


if __name__ == "__main__":
    sys.exit(project.told(main))
