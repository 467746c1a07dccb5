"""What the theory's files share: the two kinds of result, checks of arguments, and quotients."""

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


def as_array(
    values: Any,
    name: str,
    ndim: int | None = None,
    *,
    ends: tuple[float, float] = (-np.inf, np.inf),
    finite: bool = True,
) -> Array:
    """A float64 array of numbers between two ends, from numbers or a tensor on any device."""
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
    if finite and not np.isfinite(array).all():
        raise ValueError(f"{name} holds a number that is not finite, expected finite numbers only")
    low, high = ends
    if array.size and not (array.min() >= low and array.max() <= high):  # NaN fails too
        wanted = f"in [{low:g}, {high:g}]" if high < np.inf else f"of {low:g} or more"
        given, kind = f"runs from {array.min():.3g} to {array.max():.3g}", "all"
        if array.ndim == 0:
            given, kind = f"is {array:g}", "a number"
        raise ValueError(f"{name} {given}, expected {kind} {wanted}")
    return array


def as_alike(ndim: int, ends: tuple[float, float] = (-np.inf, np.inf), **named: Any) -> list[Array]:
    """Arrays of one shape, by name."""
    arrays = [as_array(values, name, ndim, ends=ends) for name, values in named.items()]
    (first, model), *rest = zip(named, arrays, strict=True)
    for name, array in rest:
        check_same_shape(first, model, name, array)
    return arrays


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


def as_joints(joint_source: Any, joint_target: Any, ndim: int | None = None) -> tuple[Array, Array]:
    """Two joint distributions of one shape."""
    source = as_joint(joint_source, "joint_source", ndim)
    target = as_joint(joint_target, "joint_target", ndim)
    check_same_shape("joint_source", source, "joint_target", target)
    return source, target


def check_shared(source: Array, target: Array, background: tuple[int, ...]) -> None:
    """Refuse joints that differ in more than what the background's axes show."""
    difference = np.abs(source.sum(axis=background) - target.sum(axis=background)).max()
    if difference > TOLERANCE:
        raise ValueError(
            f"source and target differ by {difference:.3g} in P(object, label), "
            "expected a shift of P(background | object, label) only"
        )


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


def as_classes(label: Any, shape: tuple[int, int]) -> np.ndarray:
    """Labels as int64 `(n,)`, checked against the shape `(n, C)` of the logits."""
    values = as_array(label, "label", 1)
    count, classes = shape
    if len(values) != count:
        raise ValueError(f"got {len(values)} labels for {count} samples, expected one a sample")
    if np.any(values != np.round(values)) or values.min() < 0 or values.max() >= classes:
        raise ValueError(
            f"labels run from {values.min():g} to {values.max():g}, "
            f"expected integers from 0 to {classes - 1}"
        )
    return values.astype(np.int64)


def as_mask(kept: Any, features: int, name: str = "kept", *, several: bool = False) -> np.ndarray:
    """A mask as bool `(features,)`, or where `several` are allowed also `(masks, features)`."""
    mask = np.asarray(kept)
    fits = mask.ndim == 1 or (several and mask.ndim == 2)
    fits = fits and mask.shape[-1] == features and (len(mask) > 0 or features == 0)
    if not fits or not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"{name} is {mask.dtype} of shape {mask.shape}, expected booleans of shape "
            f"({features},){f' or (masks, {features})' if several else ''}: one entry a feature, "
            "none for the label"
        )
    return mask.astype(bool)


def check_same_shape(name: str, first: Array, other: str, second: Array) -> None:
    """Refuse two arrays of different shapes."""
    if first.shape != second.shape:
        raise ValueError(
            f"{name} has shape {first.shape} and {other} has shape {second.shape}, "
            "expected the same shape"
        )


def quotient(top: Any, bottom: Any) -> Array:
    """`top / bottom`, and 0 where the bottom is not positive."""
    shape = np.broadcast_shapes(np.shape(top), np.shape(bottom))
    return np.divide(top, bottom, out=np.zeros(shape), where=bottom > 0)


def conditional(table: Array, otherwise: Array | float = 0.0) -> Array:
    """P(y | cell), and `otherwise` in cells of probability zero."""
    cell = table.sum(-1, keepdims=True)
    return np.where(cell > 0, quotient(table, cell), otherwise)
