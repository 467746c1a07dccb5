"""Files that are replaced whole or not at all, the one meaning of a name and a path, plug-ins."""

from __future__ import annotations

import inspect
import os
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path


@contextmanager
def replacing(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Write files beside those that they replace once all of them are there.

    A full disk, Ctrl-C or a kill in the middle of the block leaves the earlier files. The block is
    given a path to write to for each; files are replaced in the order in which they are named.
    """
    written = tuple(path.with_name(f".{path.name}.{os.getpid()}.partial") for path in paths)
    try:
        yield written
        for partial, path in zip(written, paths, strict=True):
            os.replace(partial, path)
    finally:
        for partial in written:
            partial.unlink(missing_ok=True)


def found(path: str | Path, root: str | Path | None) -> Path:
    """Where a file or folder of the data lies: in `root`, or else in the working folder.

    A root of None means `$ALIGN_DATA`.

    Raises:
        ValueError: if both places have one, and they are not the same.
    """
    here = Path(path).expanduser()
    base = root or os.environ.get("ALIGN_DATA")
    if here.is_absolute() or not base:
        return here
    based = Path(base).expanduser() / here
    if based.exists() and here.exists() and not based.samefile(here):
        raise ValueError(
            f"'{path}' is both in the data's folder ('{based}') and in the working folder; give an "
            "absolute path"
        )
    return based if based.exists() else here


def same(name: str) -> str:
    """A name in composed form (Unicode's NFC), so that names that read alike are equal."""
    return unicodedata.normalize("NFC", name)


@cache
def plugins(group: str) -> Mapping[str, EntryPoint]:
    """The entry points of a group by name: of what is installed, and of this checkout.

    A checkout that nobody installed has no metadata: its pyproject.toml speaks for it. Nothing is
    imported, and a process looks only once.
    """
    project = Path(__file__).parents[1] / "pyproject.toml"
    text = project.read_text(encoding="utf-8") if project.is_file() else ""
    own = tomllib.loads(text).get("project", {}).get("entry-points", {}).get(group, {})
    points = (EntryPoint(name, value, group) for name, value in own.items())
    return {point.name: point for point in (*entry_points(group=group), *points)}


def imported(point: EntryPoint, what: str) -> Callable:
    """The function that an entry point names; `what` it is called, for the message.

    Raises:
        ValueError: if it cannot be imported, or is none.
    """
    with blamed(point, what):
        inspect.signature(function := point.load())
        return function


@contextmanager
def blamed(point: EntryPoint, what: str) -> Iterator[None]:
    """Say of all that goes wrong in the block, in one sentence, that it is this entry point's."""
    try:
        yield
    except Exception as error:  # another package's module may raise anything
        raise ValueError(
            f"{what} '{point.name}' is declared as {point.value}, expected a function that can be "
            f"imported and called, but {type(error).__name__}: {error}; mend or remove that package"
        ) from error
