"""What papers report, with source, protocol and how certain we are of it; never mixed with ours.

The numbers are data: `published.toml`, one table a publication's table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import pandas as pd

MARKS = {
    "A": "the paper's abstract",
    "N": "one secondary reading note of the paper",
    "T": "read second hand, in one table that names the papers",
    "C": "read in the named public code or table",
    "I": "our inference",
    "?": "unknown",
}
"""How we know something; a table carries the letter."""


@dataclass(frozen=True)
class Published:
    """One table, or part of one, as it was reported.

    Args:
        title: what it shows.
        source: who reported it, and where.
        mark: one of `MARKS`.
        benchmark: a name that `align.load` takes.
        protocol: "single-source" (a column is a domain trained on and tested on its hold-out,
            unless `shift` is "out") or "leave-one-out" (a column is the domain left out).
        shift: "in" where columns are tests in distribution, else "out".
        metric: "accuracy" in per cent, or "insertion_auc" in units of 0.01.
        columns: domains, as `align.load` names them.
        rows: for each method by name the value of each column.
        errors: for some methods the standard error of each column.
        averages: for some methods the average that was reported beside the row.
        note: what a reader must know before comparing.
    """

    title: str
    source: str
    mark: str
    benchmark: str
    protocol: str
    shift: str
    metric: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]
    errors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    averages: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def grid(self) -> str:
        """The grid whose runs are ours of this table."""
        return self.benchmark + ("" if self.protocol == "single-source" else f"-{self.protocol}")

    @property
    def digits(self) -> int:
        """How many decimals were reported."""
        values = (value for row in self.rows.values() for value in row)
        return max(len(f"{value:g}".partition(".")[2]) for value in values)

    def frame(self) -> pd.DataFrame:
        """One row a method, one column a domain, and "average" where one was reported."""
        table = pd.DataFrame.from_dict(dict(self.rows), orient="index", columns=list(self.columns))
        if self.averages:
            table["average"] = pd.Series(dict(self.averages))
        table.attrs["digits"] = dict.fromkeys(table.columns, self.digits)
        return table


def _read(table: Mapping[str, Any]) -> Published:
    rows = {
        kind: {method: tuple(values) for method, values in table[kind].items()}
        for kind in ("rows", "errors")
        if kind in table
    }
    return Published(**{**table, "columns": tuple(table["columns"]), **rows})


PUBLISHED: dict[str, Published] = {
    name: _read(table)
    for name, table in tomllib.loads(
        resources.files("alignbook").joinpath("published.toml").read_text(encoding="utf-8")
    ).items()
}
"""Every published table that the book shows, by name."""
