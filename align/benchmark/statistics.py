"""Means over seeds with their intervals, and paired differences between methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean with a confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


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
    mean = float(array.mean())
    reach = float(stats.t.ppf(0.5 + confidence / 2, len(array) - 1) * stats.sem(array))
    return Interval(mean, mean - reach, mean + reach)


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


def _numbers(values: Sequence[float]) -> np.ndarray:
    try:
        if np.iscomplexobj(values):
            raise TypeError
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"values are of type {type(values).__name__}, expected a list of numbers, one a seed"
        ) from None
