"""Means over seeds with their intervals, and paired differences between methods."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats


class Interval(NamedTuple):
    """A mean with a confidence interval; the ends are NaN where there is a mean alone."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0

    def within(self, least: float, most: float) -> Interval:
        """Return the interval without what lies outside of a quantity's range."""
        return self._replace(low=max(self.low, least), high=min(self.high, most))


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student-t interval of a mean.

    Args:
        values: one a seed, at least 2.
        confidence: in (0, 1).

    Returns:
        The mean and the interval's ends.

    Raises:
        ValueError: if there are fewer than 2 values, or one is not finite.
    """
    if not isinstance(confidence, float) or not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}, expected a number between 0 and 1")
    array = _numbers(values)
    if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(
            f"an interval needs at least 2 finite values, one a seed; given {values!r}"
        )
    mean, spread = float(array.mean()), float(stats.sem(array))
    if spread == 0:  # scipy has no interval of width 0
        return Interval(mean, mean, mean)
    low, high = stats.t.interval(confidence, len(array) - 1, mean, spread)
    return Interval(mean, float(low), float(high))


def paired(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Interval:
    """Interval of the mean difference `first − second`, paired by seed.

    Args:
        first: one value a seed.
        second: the other method's values for the same seeds, in the same order.
        confidence: in (0, 1).

    Returns:
        The mean difference and the interval's ends.

    Raises:
        ValueError: if the two do not have the same length, or as in `interval`.
    """
    ours, theirs = _numbers(first), _numbers(second)
    if ours.shape != theirs.shape:
        raise ValueError(
            f"values of shape {ours.shape} against {theirs.shape}: pair them by seed, one of each "
            "method"
        )
    return interval(ours - theirs, confidence)


def widened(differences: Sequence[float], over_pictures: float) -> Interval:
    """A 95 % interval over seeds that also holds the noise of pictures which all seeds share.

    Args:
        differences: one a seed, at least 2.
        over_pictures: the standard deviation of their mean over draws of the pictures.

    Returns:
        The mean, with √(t² s²/S + z² σ²) to either side, as in `paired_bootstrap`.
    """
    found = interval(differences)
    reach = np.hypot(found.high - found.mean, stats.norm.ppf(0.975) * over_pictures)
    return Interval(found.mean, found.mean - float(reach), found.mean + float(reach))


def _numbers(values: Sequence[float]) -> np.ndarray:
    try:
        if np.iscomplexobj(values):
            raise TypeError
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"values are of type {type(values).__name__}, expected a list of numbers, one a seed"
        ) from None


Outcomes = Sequence[Mapping[str, NDArray[np.bool_]]]
"""For each seed, and for each test domain by name, which images were classified rightly."""


def paired_bootstrap(
    first: Outcomes,
    second: Outcomes,
    *,
    shared: Collection[str] = (),
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of a difference in accuracy between two methods over the same images and seeds.

    There are two levels, each drawn with replacement: seeds, which take their images along, and
    images within seeds. The accuracy of a seed is the mean of its domains' accuracies. With σ_s and
    σ_i the standard deviations of the mean over the draws of each level, S seeds, Student's t for
    S − 1 degrees of freedom and the normal quantile z, the interval reaches

        √( t² S/(S−1) σ_s² + z² σ_i² )      to either side where the seeds share their images,
        max( t √(S/(S−1)) σ_s, z σ_i )      where each has its own, which σ_s holds.

    Percentiles of the draws would be far too narrow for as few seeds as there are.

    Args:
        first: one mapping a seed, at least 2, each from domain to bool `(N,)`.
        second: the other method's, for the same seeds, domains and images.
        shared: the domains whose images are the same for every seed (photographs); in the others
            each seed has its own (rendered worlds, splits drawn by the seed).
        confidence: in (0, 1).
        draws: number of bootstrap draws.
        seed: fixes the draws.

    Returns:
        The mean of `first − second` over seeds, domains and images, and the interval's ends.

    Raises:
        ValueError: if seeds, domains or images do not match, or there are fewer than 2 seeds.

    Source: Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8; for
    the narrowness with few groups Hesterberg 2015, "What Teachers Should Know About the Bootstrap".

    Book: benchmark/in_and_out, eq-inside-width.
    """
    differences = _differences(first, second)
    seeds, rng = len(first), np.random.default_rng(seed)
    chosen = rng.integers(seeds, size=(draws, seeds))
    by_seed = np.mean([[row.mean() for row in rows] for rows in differences.values()], axis=0)
    variances = {True: 0.0, False: 0.0}  # of the images drawn, shared and own
    for domain, rows in differences.items():
        draw = _shared_images if domain in shared else _own_images
        variances[domain in shared] += draw(rows, draws, rng).var() / len(differences) ** 2
    z, t = stats.norm.ppf(0.5 + confidence / 2), stats.t.ppf(0.5 + confidence / 2, seeds - 1)
    seeds_reach = t * np.sqrt(seeds / (seeds - 1)) * by_seed[chosen].mean(1).std()
    own_reach, shared_reach = z * np.sqrt(variances[False]), z * np.sqrt(variances[True])
    reach = float(np.hypot(max(seeds_reach, own_reach), shared_reach))
    mean = float(by_seed.mean())
    return Interval(mean, mean - reach, mean + reach)


def _differences(first: Outcomes, second: Outcomes) -> dict[str, list[NDArray[np.int8]]]:
    """For each domain one array a seed, with 1, 0 or −1 an image."""
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(
            f"{len(first)} seeds against {len(second)}: expected the same seeds of both methods, "
            "at least 2"
        )
    domains = list(first[0])
    for one, other in zip(first, second, strict=True):
        for outcome in (one, other):
            if set(outcome) != set(domains):
                raise ValueError(f"domains {sorted(outcome)} against {sorted(domains)}")
        for domain in domains:
            if one[domain].shape != other[domain].shape or not len(one[domain]):
                raise ValueError(
                    f"domain '{domain}': {len(one[domain])} images against {len(other[domain])}, "
                    "expected the same images, at least one"
                )
    return {
        domain: [
            one[domain].astype(np.int8) - other[domain].astype(np.int8)
            for one, other in zip(first, second, strict=True)
        ]
        for domain in domains
    }


# Only the number of images of each kind matters to a mean, so that drawing the numbers (a
# multinomial) is drawing the images, and costs the same for ten images and for ten thousand.


def _own_images(
    rows: list[NDArray[np.int8]], draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mean differences `(draws,)` where each seed has images of its own."""
    sizes = np.array([len(row) for row in rows])
    shares = np.array([[np.mean(row == value) for value in (-1, 0, 1)] for row in rows])
    counts = rng.multinomial(sizes, shares, size=(draws, len(rows)))
    return ((counts[..., 2] - counts[..., 0]) / sizes).mean(1)


def _shared_images(
    rows: list[NDArray[np.int8]], draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mean differences `(draws,)` where all seeds have the same images, drawn for all at once."""
    if len({len(row) for row in rows}) > 1:
        raise ValueError(
            f"{sorted({len(row) for row in rows})} images in a domain said to be shared by the "
            "seeds, expected one number"
        )
    values, counts = np.unique(np.stack(rows).mean(0), return_counts=True)
    return rng.multinomial(counts.sum(), counts / counts.sum(), size=draws) @ values / counts.sum()


def average_rank(scores: pd.DataFrame) -> pd.Series:
    """Each method's rank, averaged over columns.

    Args:
        scores: one row a method, one column a test; larger is better. A method that lacks a value
            is left out of the ranking, for the ranks of the others would depend on where it
            stands.

    Returns:
        One number a method, 1 for the best; ties share the mean of their ranks. Sorted.
    """
    return scores.dropna().rank(ascending=False).mean(axis=1).sort_values()
