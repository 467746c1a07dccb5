"""The book's one way to a mean with its interval, and to a difference with its interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from align.benchmark import records
from align.benchmark.statistics import Interval, interval, paired, paired_bootstrap
from alignbook.measures import bounds
from alignbook.results import TEST, refuse_mixed


def mean(values: pd.Series, metric: str = "accuracy") -> Interval | None:
    """Mean over seeds with its 95 % interval, cut to the metric's range.

    Args:
        values: one number a seed; seeds without one are left out.
        metric: what the numbers are, for its range.

    Returns:
        A mean without ends where one seed has a value, None where none has.
    """
    there = values.dropna()
    if len(there) < 2:
        return Interval(float(there.iloc[0]), math.nan, math.nan) if len(there) else None
    return interval(there.tolist()).within(*bounds(metric))


def compare(
    table: pd.DataFrame,
    first: str,
    second: str,
    metric: str = "accuracy",
    *,
    shift: str | None = None,
    domain: str | None = None,
) -> Interval | None:
    """Paired 95 % interval of a metric's difference between two labels, cut to its range.

    Pairs are the seeds that have the metric on both sides, over the tests that all of these seeds
    have on both sides. Accuracy is paired over seeds and images (`paired_bootstrap`) where both
    sides say which images were right and were tested on the same; everything else over seeds.

    Args:
        table: what `results.frame` returns, of one benchmark and protocol.
        first: a label.
        second: the label it is compared with.
        metric: a metric's name.
        shift: only tests "in" or "out" of distribution; None takes all.
        domain: only this test domain; None takes all.

    Returns:
        Mean and interval of `first − second`; None if fewer than 2 seeds have a pair.

    Raises:
        ValueError: if the rows are of several settings, see `results.settings`, no row has such a
            metric, or `shift` is none of these.
    """
    if shift not in (None, "in", "out"):
        raise ValueError(f"shift is {shift!r}, expected 'in', 'out' or None")
    if table.empty:
        return None
    if metric not in table:
        raise ValueError(f"no record has a metric '{metric}', expected one of theirs, as 'accuracy'")
    refuse_mixed(table)
    sides = [_side(table, name, metric, shift, domain) for name in (first, second)]
    seeds = sides[0].index.intersection(sides[1].index).sort_values()
    tests = _shared_tests(sides, seeds)
    if len(seeds) < 2 or not tests:
        return None
    ours, theirs = (side.loc[seeds, tests] for side in sides)
    least, most = bounds(metric)
    images = _images(table, (first, second), seeds, tests) if metric == "accuracy" else None
    found = images or paired(ours.mean(axis=1).tolist(), theirs.mean(axis=1).tolist())
    return found.within(least - most, most - least)


def _side(
    table: pd.DataFrame, name: str, metric: str, shift: str | None, domain: str | None
) -> pd.DataFrame:
    """A label's values: one row a seed, one column a test (source, domain); NaN where missing."""
    rows = table[(table["label"] == name) & table[metric].notna()]
    rows = rows[rows["shift"].isin(("in", "out") if shift is None else (shift,))]
    rows = rows if domain is None else rows[rows["domain"] == domain]
    return rows.pivot(index="seed", columns=["source", "domain"], values=metric)


def _shared_tests(sides: list[pd.DataFrame], seeds: pd.Index) -> list[tuple[str, str]]:
    """The tests that each of the seeds has on both sides: a missing one must not tilt a mean."""
    whole = [set(side.columns[side.loc[seeds].notna().all()]) for side in sides]
    return sorted(set.intersection(*whole))


def _images(
    table: pd.DataFrame, names: tuple[str, str], seeds: pd.Index, tests: list[tuple[str, str]]
) -> Interval | None:
    """The interval over seeds and images, if the records let it be drawn."""
    columns = table[[*TEST, "images", "correct", "count"]].itertuples(index=False)
    known = {row[:4]: row for row in columns}
    rows = [[[known[name, seed, *test] for test in tests] for seed in seeds] for name in names]
    pairs = [pair for seed in zip(*rows, strict=True) for pair in zip(*seed, strict=True)]
    if not all(a.correct and b.correct and a.images == b.images for a, b in pairs):
        return None
    outcomes = [
        [{"/".join(test): _right(row) for test, row in zip(tests, seed, strict=True)} for seed in side]
        for side in rows
    ]
    shared = [
        "/".join(test)
        for place, test in enumerate(tests)
        if len({seed[place].images for seed in rows[0]}) == 1
    ]
    return paired_bootstrap(*outcomes, shared=shared)


def _right(row: Any) -> NDArray[np.bool_]:
    return records.unpack(row.correct, int(row[6]))
