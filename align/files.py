"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Write files beside those that they replace once all of them are there.

    A full disk, Ctrl-C or a kill in the middle of the block leaves the earlier files.

    Args:
        paths: the files, in the order in which they are replaced; their folders are there.

    Yields:
        For each the path to write to.
    """
    written = tuple(path.with_name(f".{path.name}.{os.getpid()}.partial") for path in paths)
    try:
        yield written
        for partial, path in zip(written, paths, strict=True):
            os.replace(partial, path)
    finally:
        for partial in written:
            partial.unlink(missing_ok=True)
