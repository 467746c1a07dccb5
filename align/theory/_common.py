"""What the theory's files share: the two kinds of result, and the checks of arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

TOLERANCE = 1e-8  # how far a distribution may be from summing to one


class Bound(NamedTuple):
    """Both sides of an inequality `left <= right`, as floats or as arrays of one shape."""

    left: Any
    right: Any

    def holds(self, tolerance: float = 1e-9) -> bool:
        """Whether `left <= right` everywhere, up to rounding of the size `tolerance`."""
        left, right = np.asarray(self.left), np.asarray(self.right)
        return bool(np.all(left <= right + tolerance * (1 + np.abs(right))))


class Identity(NamedTuple):
    """Both sides of an equality `left = right`, computed along different routes."""

    left: Any
    right: Any

    def holds(self, tolerance: float = 1e-9) -> bool:
        """Whether `left = right` everywhere, up to `tolerance`; two equal infinities agree."""
        return bool(np.all(np.isclose(self.left, self.right, rtol=0, atol=tolerance)))


def as_array(values: Any, name: str, ndim: int | None = None) -> Array:
    """A float64 array of finite numbers, from an array, a list or a torch tensor on any device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        if np.iscomplexobj(values):
            raise TypeError
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} is of type {type(values).__name__}, expected an array of numbers"
        ) from None
    if ndim is not None and array.ndim != ndim:
        raise ValueError(
            f"{name} has {array.ndim} axes (shape {array.shape}), expected {ndim} axes"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a number that is not finite, expected finite numbers only")
    return array


def as_joint(joint: Any, name: str, ndim: int | None = None) -> Array:
    """A float64 joint distribution: no negative entry, and a sum of one (made exact)."""
    array = as_array(joint, name, ndim)
    if array.size == 0 or array.ndim < 1:
        raise ValueError(f"{name} is empty (shape {array.shape}), expected a joint distribution")
    if array.min() < 0:
        raise ValueError(
            f"{name} has the negative probability {array.min():.3g}, expected all in [0, 1]"
        )
    total = array.sum()
    if abs(total - 1) > TOLERANCE:
        raise ValueError(f"{name} sums to {total:.9g}, expected 1; divide it by its sum")
    return array / total


def as_weights(weights: ArrayLike | None, count: int) -> Array:
    """The probabilities `(count,)` of weighted samples; None means the same for every sample."""
    if count == 0:
        raise ValueError("got no samples, expected at least one")
    if weights is None:
        return np.full(count, 1 / count)
    array = as_joint(weights, "weights", 1)
    if len(array) != count:
        raise ValueError(f"got {len(array)} weights for {count} samples, expected one a sample")
    return array


def check_same_shape(name: str, first: Array, other: str, second: Array) -> None:
    """Raise a ValueError unless two arrays have the same shape."""
    if first.shape != second.shape:
        raise ValueError(
            f"{name} has shape {first.shape} and {other} has shape {second.shape}, "
            "expected the same shape"
        )
