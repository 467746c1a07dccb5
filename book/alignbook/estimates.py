"""The book's one way to a mean with its interval, and to a difference with its interval."""

from __future__ import annotations

import math
from statistics import fmean
from typing import NamedTuple

import numpy as np
import pandas as pd

from align import records
from alignbook import group_pictures
from alignbook.campaign.statistics import Interval, interval, paired, paired_bootstrap
from alignbook.group_pictures import Groups
from alignbook.measures import bounds
from alignbook.results import TEST, refuse_mixed, refuse_unknown


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
    sides say which images were right and were tested on the same, and so are the worst group, the
    mean of groups and the accuracy in the training set's mix where each image's group is known
    (`group_pictures`); everything else over seeds.

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
    refuse_unknown(table, metric)
    wanted = table["label"].isin((first, second)) & table[metric].notna()
    wanted &= table["shift"].isin(("in", "out") if shift is None else (shift,))
    if domain is not None:
        wanted &= table["domain"] == domain
    columns = dict.fromkeys((metric, "images", "correct", "count"))
    rows = table.loc[wanted, [*TEST, *columns]]
    refuse_mixed(rows)
    sides = [_by_seed(rows, name, metric) for name in (first, second)]
    seeds = sorted(set(sides[0]) & set(sides[1]))
    # Only tests that every seed has on both sides: a missing one must not tilt a mean.
    tests = [set(side[seed]) for side in sides for seed in seeds]
    common = sorted(set.intersection(*tests)) if tests else []
    if len(seeds) < 2 or not common:
        return None
    ours, theirs = ([[side[seed][test] for test in common] for seed in seeds] for side in sides)
    found = None
    if metric == "accuracy":
        found = _over_images(ours, theirs, common)
    elif metric in group_pictures.METRICS and len(common) == 1:
        groups = group_pictures.groups(table["benchmark"].iloc[0], common[0][1])
        found = groups and _over_groups(metric, ours, theirs, groups)
    if found is None:
        found = paired(
            *([fmean(t.value for t in seed) for seed in side] for side in (ours, theirs))
        )
    least, most = bounds(metric)
    return found.within(least - most, most - least)


class _Tested(NamedTuple):
    """What a run scored on a test: the value, the images, which were right, and how many."""

    value: float
    images: str
    correct: str
    total: float


def _by_seed(
    rows: pd.DataFrame, name: str, metric: str
) -> dict[int, dict[tuple[str, str], _Tested]]:
    """A label's results by seed, then by test: (domains trained on, domain tested on)."""
    found: dict[int, dict[tuple[str, str], _Tested]] = {}
    rows = rows[rows["label"] == name]
    columns = (rows[column] for column in (*TEST[1:], metric, "images", "correct", "count"))
    for seed, source, domain, *values in zip(*columns, strict=True):
        found.setdefault(seed, {})[source, domain] = _Tested(*values)
    return found


def _over_groups(
    metric: str, ours: list[list[_Tested]], theirs: list[list[_Tested]], groups: Groups
) -> Interval | None:
    """The interval over seeds and a grouped test's images, if the records let it be drawn."""
    (first, second) = ([seed[0] for seed in side] for side in (ours, theirs))
    count = len(groups.of_pictures)
    if not all(one.correct and int(one.total) == count for one in (*first, *second)):
        return None
    right = (np.stack([records.unpack(t.correct, count) for t in side]) for side in (first, second))
    return group_pictures.compare(metric, *right, groups)


def _over_images(
    ours: list[list[_Tested]], theirs: list[list[_Tested]], tests: list[tuple[str, str]]
) -> Interval | None:
    """The interval over seeds and images, if the records let it be drawn."""
    for side in zip(ours, theirs, strict=True):
        for one, other in zip(*side, strict=True):
            if not (one.correct and other.correct and one.images == other.images):
                return None
    names = ["/".join(test) for test in tests]
    outcomes = [
        [
            {
                name: records.unpack(t.correct, int(t.total))
                for name, t in zip(names, seed, strict=True)
            }
            for seed in side
        ]
        for side in (ours, theirs)
    ]
    images = {name: {seed[place].images for seed in ours} for place, name in enumerate(names)}
    shared = [name for name, found in images.items() if len(found) == 1]
    return paired_bootstrap(*outcomes, shared=shared)
