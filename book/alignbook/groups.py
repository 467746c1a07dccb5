"""Benchmarks with named groups: what papers report of the worst one, and who was told of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import pandas as pd

from align.methods import METHODS
from alignbook import results
from alignbook.published import MARKS

LABELS = ("none", "training split", "validation split", "not noted")
"""Whose group labels a method may have used."""


@dataclass(frozen=True)
class GroupRow:
    """A method's worst-group accuracy as it was reported.

    Args:
        method: its name.
        worst_group: in per cent.
        training: whose group labels it was trained with, one of `LABELS`.
        selection: whose group labels its settings and epoch were chosen by, one of `LABELS`.
        paper: where the method is from.
        approximate: whether the number was reported as about so much.

    Raises:
        ValueError: if a number or a word is not one of these.
    """

    method: str
    worst_group: float
    training: str
    selection: str
    paper: str
    approximate: bool = False

    def __post_init__(self) -> None:
        for what in ("training", "selection"):
            if getattr(self, what) not in LABELS:
                raise ValueError(
                    f"{self.method}: {what} is {getattr(self, what)!r}, expected one of "
                    f"{', '.join(LABELS)}"
                )
        if not 0 <= self.worst_group <= 100:
            raise ValueError(f"{self.method}: worst_group is {self.worst_group}, expected per cent")


@dataclass(frozen=True)
class PublishedGroups:
    """Rows that were reported together.

    Args:
        backbone: the network.
        size: side of its images, in pixels.
        mark: how we know, one of `alignbook.published.MARKS`.
        source: where the rows were read.
        rows: one a method.
    """

    backbone: str
    size: int
    mark: str
    source: str
    rows: tuple[GroupRow, ...]

    def frame(self) -> pd.DataFrame:
        """Text cells, one row a method, indexed by (who, method), who being "published [mark]".

        The network, which is the same in each, and the source stand in `attrs["note"]`.
        """
        labels = [f"group labels in {part}" for part in ("training", "selection")]
        columns = ["worst group", *labels]
        cells = {
            (f"published [{self.mark}]", row.method): [
                f"{'≈ ' if row.approximate else ''}{row.worst_group:g}",
                row.training,
                row.selection,
            ]
            for row in self.rows
        }
        index = pd.MultiIndex.from_tuples(list(cells), names=["who", "method"])
        table = pd.DataFrame(list(cells.values()), columns=columns, index=index)
        table.attrs["note"] = (
            f"Published: {self.backbone}, {self.size} px; [{self.mark}] is second hand, read from "
            f"{self.source}, where it is not noted which row is whose."
        )
        return table


@cache
def published(name: str = "waterbirds") -> PublishedGroups:
    """The published rows of a benchmark.

    Args:
        name: the benchmark.

    Raises:
        ValueError: if the file's marks or words are unknown.
    """
    text = files("alignbook").joinpath(f"published_{name}.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)
    if found["mark"] not in MARKS:
        raise ValueError(f"the mark is {found['mark']!r}, expected one of {', '.join(MARKS)}")
    rows = tuple(GroupRow(**row) for row in found.pop("rows"))
    return PublishedGroups(**found, rows=rows)


def told(record: dict) -> bool:
    """Whether a run saw group labels in training.

    Args:
        record: a record.

    Returns:
        True for methods that are told environments, on data whose groups have names.
    """
    return _named(record) and METHODS[record["config"]["method"]].reads_environments


def note(recorded: Iterable[dict]) -> str:
    """Who was told the groups, a sentence for under a table.

    Args:
        recorded: the records that the table is of.

    Returns:
        An empty text where no groups have names.
    """
    chosen = list(filter(_named, recorded))
    names = sorted({results.label(record) for record in filter(told, chosen)})
    return f"Told each training picture's group: {', '.join(names) or 'no row'}." if chosen else ""


def _named(record: dict) -> bool:
    """Whether a run was tested on data whose groups have names."""
    return any("accuracy_per_group" in metrics for metrics in record["metrics"].values())
