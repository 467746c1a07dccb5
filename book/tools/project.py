"""Where the book's parts lie, what its table of contents names, a fingerprint of its sources."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def config(root: Path = ROOT) -> dict[str, Any]:
    """Return `_config.yml` as a dictionary."""
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))


def pages(root: Path = ROOT) -> list[str]:
    """Return each page of `_toc.yml` in reading order, without suffix, such as `book/index`."""
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        elif isinstance(node, dict):
            for key in ("root", "file"):
                if key in node:
                    found.append(node[key].removesuffix(".md").removesuffix(".ipynb"))
            for key in ("parts", "chapters", "sections"):
                walk(node.get(key))

    walk(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))
    return found


def notebooks(root: Path = ROOT) -> list[Path]:
    """Return the notebooks among the pages, in reading order."""
    paths = (root / f"{page}.ipynb" for page in pages(root))
    return [path for path in paths if path.is_file()]


def notebook(path: Path) -> Any:
    """Read a notebook as version 4, as the page builder does.

    Args:
        path: the `.ipynb` file.

    Raises:
        ValueError: if it is not there, or no notebook.
    """
    import nbformat

    try:
        found = nbformat.read(path, as_version=4)
        for cell in found.cells:
            cell.cell_type, cell.source, cell.metadata  # noqa: B018 - as every reader needs them
    except OSError as error:
        raise ValueError(f"'{path}' cannot be read ({error.strerror})") from error
    except Exception as error:  # of as many kinds as there are ways to break JSON and its schema
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"'{path}' is no notebook ({type(error).__name__}: {first})") from error
    return found


def told(main: Callable[[], int]) -> int:
    """Run a command; what its user can mend is one sentence on the error stream, and status 2."""
    try:
        return main()
    except (ValueError, OSError) as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        return 2


def page(path: Path) -> str:
    """Return the page that a notebook becomes, such as `book/theory/evidence`."""
    return path.relative_to(ROOT).with_suffix("").as_posix()


def fingerprint(root: Path = ROOT, *, pages_too: bool = True) -> str:
    """Hash what the pages depend on.

    Args:
        root: the repository.
        pages_too: also hash the pages themselves and their settings. Without them the hash covers
            what a notebook's *outputs* depend on besides its own cells: the library, the recorded
            runs and the installed versions.

    Returns:
        A hexadecimal SHA-256.
    """
    patterns = ["align/**/*.py", "book/alignbook/**/*", "results/**/*", "constraints.txt"]
    if pages_too:
        patterns += ["book/**/*", "_config.yml", "_toc.yml"]
    digest = hashlib.sha256()
    for path in sorted(set(_files(root, patterns))):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(root: Path, patterns: Iterable[str]) -> Iterable[Path]:
    skipped = {"__pycache__", ".ipynb_checkpoints", ".pytest_cache"}
    for pattern in patterns:
        for path in root.glob(pattern):
            if path.is_file() and not skipped.intersection(path.parts):
                yield path
