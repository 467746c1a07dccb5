"""Benchmarks by name: real images from disk, and what other packages add by entry points."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

from align.checks import check_choice, check_kind, shown
from align.data.benchmark import Benchmark, Domain, join
from align.files import imported, plugins

__all__ = ["Benchmark", "Domain", "benchmarks", "is_rendered", "join", "load"]

GROUP = "align.benchmarks"
"""Entry points: each a function that returns a `Benchmark`."""

OWN = {
    name: EntryPoint(name, f"align.data.{module}:load_{name}", GROUP)
    for module, names in (("folders", "vlcs terra pacs folder"), ("waterbirds", "waterbirds"))
    for name in names.split()
}
"""This package's readers, which no other may stand in for."""


def benchmarks() -> dict[str, EntryPoint]:
    """Every benchmark by its name; none is imported before it is asked for."""
    return plugins(GROUP) | OWN


def is_rendered(name: str) -> bool:
    """Whether a benchmark's pictures are drawn from a seed: it takes a `seed` and no `root`.

    Of a name that no benchmark has this is False.

    Raises:
        ValueError: if the benchmark is another package's and cannot be imported.
    """
    options = _reader(name)[1] if name in benchmarks() else ()
    return "seed" in options and "root" not in options


def load(
    name: str, root: str | Path | None = None, size: int | None = None, **options: object
) -> Benchmark:
    """Load a benchmark by name.

    Args:
        name: one of `benchmarks()`. "vlcs", "terra" and "pacs" are read in DomainBed's layout,
            "waterbirds" in its own; "folder" reads any `domain/class/*.jpg|png` tree. The others
            are declared as entry points of the group `align.benchmarks`: the book's toy worlds
            are rendered, and its "composite" pastes masked objects on scenes.
        root: folder that holds the data; None takes the environment variable `ALIGN_DATA`. Not
            for what is rendered.
        size: side of the square images, in pixels; None means 224 for photographs, 64 for the toy
            worlds.
        **options: passed on to the reader, in `align.data.folders` (`masks`, `domains`,
            `on_error`, `cache`, `progress`; for "vlcs" and "terra" `split`, for "terra" `boxes`),
            `align.data.waterbirds.load_waterbirds`, or the function that is declared. One that
            takes `**options` itself passes those of `load_folder` on.

    Returns:
        The benchmark; `benchmark[domain]` gives a `Domain`.

    Raises:
        ValueError: if the name is unknown, an option is not one of that benchmark's, or a declared
            function cannot be imported or returns something else.
        FileNotFoundError: if the data are not there, with the way to get them.
    """
    reader, known = _reader(name)
    if "root" in known:
        options["root"] = root
    elif root is not None:
        raise ValueError(f"'{name}' is rendered, not read: leave out root (given: {shown(root)})")
    if size is not None:
        options["size"] = size
    if unknown := sorted(options.keys() - known):
        listed = ", ".join(sorted(known - {"name", "root"}))
        raise ValueError(
            f"'{name}' has no option {', '.join(unknown)}, expected some of {listed or '(none)'}"
        )
    benchmark = reader(**options)
    check_kind(f"what the function of '{name}' returns", benchmark, Benchmark, "an align.Benchmark")
    return benchmark


def _reader(name: str) -> tuple[Callable[..., Benchmark], set[str]]:
    """A benchmark's function, and what it takes."""
    known = benchmarks()
    check_choice("benchmark", name, tuple(known))
    reader = imported(known[name], "benchmark")
    return reader, _options(reader)


def _options(reader: Callable[..., Benchmark]) -> set[str]:
    """What a reader takes; one with `**options` passes on those of `load_folder`."""
    known = {*inspect.signature(reader).parameters}
    if "options" in known:
        known |= _options(OWN["folder"].load()) - {"name"}
    return known - {"options"}
