"""Write or check CITATION.cff, whose addresses, title and version stand elsewhere.

python -m book.tools.citation --write
python -m book.tools.citation --check
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

from book.tools import project

FILE = "CITATION.cff"
TEXT = """\
# Written by `make cells` from _config.yml and pyproject.toml; change it there.
cff-version: 1.2.0
message: >-
  If you use this book or its library, please cite it, and the paper that it reconstructs.
  The code is under the MIT licence, text and figures are under CC-BY-4.0.
title: "{title}"
type: software
version: {version}
authors:
  - name: {authors}
repository-code: {url}
license: MIT
references:
  - type: conference-paper
    title: "From Attribution to Action: Jointly ALIGNing Predictions and Explanations"
    authors:
      - family-names: Hong
        given-names: et al.
    year: 2026
    collection-title: Proceedings of the AAAI Conference on Artificial Intelligence
    identifiers:
      - type: other
        value: arXiv:2511.06944
"""


def text(root: Path = project.ROOT) -> str:
    """Return what the file must hold."""
    config = project.config(root)
    package = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return TEXT.format(
        title=config["title"],
        version=package["version"],
        authors=config["author"],
        url=config["repository"]["url"],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true")
    mode.add_argument("--check", action="store_true")
    options = parser.parse_args()
    path = project.ROOT / FILE
    if options.write:
        path.write_text(text(), encoding="utf-8")
        return 0
    differs = not path.is_file() or path.read_text(encoding="utf-8") != text()
    if differs:
        print(f"{FILE} differs from the settings; run `make cells`")
    return int(differs)


if __name__ == "__main__":
    sys.exit(project.told(main))
