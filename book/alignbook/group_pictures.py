"""Accuracies by group made again from records: which picture is of which group, and intervals.

A record says which test pictures a run had right. `results/groups.json` says which group each test
picture belongs to, in the order of the records, and how many training pictures each group has.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from align.records import RESULTS
from alignbook.campaign.statistics import Interval, widened

FILE = RESULTS / "groups.json"
METRICS = ("worst_group", "mean_group", "accuracy_adjusted")
"""What can be made again from the groups' accuracies."""


class Groups(NamedTuple):
    """The test pictures' groups `(N,)`, whole numbers, and each group's share in training."""

    of_pictures: NDArray[np.int8]
    shares: NDArray[np.float64]


@cache
def groups(benchmark: str, domain: str) -> Groups | None:
    """The groups of a test's pictures; None where the benchmark has none.

    Args:
        benchmark: its name.
        domain: the test's name.
    """
    known: dict[str, Any] = json.loads(FILE.read_text()) if FILE.is_file() else {}
    found = known.get(benchmark, {})
    if domain not in found:
        return None
    training = np.array(found["training"], dtype=np.float64)
    return Groups(np.array(list(found[domain]), dtype=np.int8), training / training.sum())


def score(
    metric: str, accuracies: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A metric of groups' accuracies.

    Args:
        metric: one of `METRICS`.
        accuracies: `(..., G)` in [0, 1].
        shares: `(G,)` each group's share of the training pictures.

    Returns:
        `(...)` in [0, 1].
    """
    if metric == "worst_group":
        return accuracies.min(-1)
    return accuracies.mean(-1) if metric == "mean_group" else accuracies @ shares


def compare(
    metric: str,
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    groups: Groups,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """95 % interval of a difference between two methods, over seeds and over pictures.

    Pictures are drawn with replacement within their groups, the same for all seeds and both
    methods; the two widths are put together as in `statistics.paired_bootstrap`.

    Args:
        metric: one of `METRICS`.
        first: `(S, N)` which pictures each seed of the first method has right, at least 2 seeds.
        second: the other method's, on the same seeds and pictures.
        groups: of these pictures.
        draws: number of bootstrap draws.
        seed: fixes the draws.

    Returns:
        The mean of `first − second` over seeds, and the interval's ends.
    """
    rng, both = np.random.default_rng(seed), np.concatenate([first, second])
    exact, drawn = [], []
    for group in range(len(groups.shares)):
        # Pictures that all runs answer alike are alike: to draw their numbers is to draw them.
        patterns, counts = np.unique(both[:, groups.of_pictures == group], axis=1, return_counts=1)
        total = counts.sum()
        exact.append(patterns @ counts / total)
        drawn.append(rng.multinomial(total, counts / total, size=draws) @ patterns.T / total)
    seeds = len(first)
    values = score(metric, np.stack(exact, -1), groups.shares)
    redrawn = score(metric, np.stack(drawn, -1), groups.shares)  # (draws, 2 S)
    over_pictures = (redrawn[:, :seeds] - redrawn[:, seeds:]).mean(1).std()
    return widened(values[:seeds] - values[seeds:], float(over_pictures))
