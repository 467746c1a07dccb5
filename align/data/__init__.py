"""Benchmarks: the toy worlds, and real images from disk."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

from align.checks import shown
from align.data.benchmark import Benchmark, Domain, join
from align.data.toy import WORLDS, load_toy

__all__ = ["BENCHMARKS", "Benchmark", "Domain", "join", "load"]

BENCHMARKS = (
    *("toy-vlcs", "toy-terra", "vlcs", "terra", "pacs"),
    *("waterbirds", "composite", "folder"),
)


def load(
    name: str, root: str | Path | None = None, size: int | None = None, **options: object
) -> Benchmark:
    """Load a benchmark by name.

    Args:
        name: one of `BENCHMARKS`. The toy worlds are rendered; "vlcs", "terra" and "pacs" are
            read in DomainBed's layout, "waterbirds" in its own; "composite" pastes masked objects
            on scenes; "folder" reads any `domain/class/*.jpg|png` tree.
        root: folder that holds the data; None takes the environment variable `ALIGN_DATA`. Not
            for the toy worlds.
        size: side of the square images, in pixels; None means 64 for the toy worlds, 224 for
            photographs.
        **options: passed on to `align.data.toy.load_toy`, to `align.data.folders` (`masks`,
            `domains`, `on_error`, `cache`, `progress`; for "vlcs" and "terra" `split`, for "terra"
            `boxes`), `align.data.waterbirds.load_waterbirds` or
            `align.data.composite.load_composite`.

    Returns:
        The benchmark; `benchmark[domain]` gives a `Domain`.

    Raises:
        ValueError: if the name is unknown, or an option is not one of that benchmark's.
        FileNotFoundError: if the data are not there, with the way to get them.
    """
    if not isinstance(name, str) or name not in BENCHMARKS:
        raise ValueError(
            f"benchmark {shown(name)} is unknown, expected one of {', '.join(BENCHMARKS)}"
        )
    if name in WORLDS:
        if root is not None:
            raise ValueError(
                f"'{name}' is rendered, not read: leave out root (given: {shown(root)})"
            )
        _check_options(name, load_toy, options)
        return load_toy(name, size=64 if size is None else size, **options)
    from align.data import composite, folders, waterbirds

    own = {"composite": composite, "waterbirds": waterbirds}
    reader = getattr(own.get(name, folders), f"load_{name}")
    _check_options(name, reader, options)
    return reader(root, size=224 if size is None else size, **options)


def _check_options(name: str, reader: Callable[..., Benchmark], options: dict[str, object]) -> None:
    known = set(inspect.signature(reader).parameters)
    if "options" in known:  # passed on, as the readers of the published layouts do
        from align.data.folders import load_folder

        known |= set(inspect.signature(load_folder).parameters)
    known -= {"name", "options", "root", "size"}
    if unknown := sorted(set(options) - known):
        raise ValueError(
            f"'{name}' has no option {', '.join(unknown)}, expected some of "
            f"{', '.join(sorted(known))}"
        )
