r"""From the alignment loss to the gap, for a classifier with a pooled linear head.

The head's logits are $z_c=\frac1{hw}\sum_u w_c\cdot A(u)+b_c$, over the cells u of the feature
map A. The margin of the label y over a class c is then a sum over cells of contrastive evidence,
$$\begin{aligned}z_y-z_c&=\sum_u e_c(u)+b_y-b_c,\\
e_c(u)&=(w_y-w_c)\cdot A(u)/(hw).\end{aligned}$$
Everything here takes plain arrays: `features (N, K, h, w)`, `weight (C, K)`, `bias (C,)`,
`labels (N,)`, integers from 0 to C − 1, `evidence (N, C, h, w)`, and a `mask (N, h, w)` or
`(h, w)` in [0, 1], 1 on the object's cells; `swapped` is made of the same objects on other
backgrounds. It returns float64, and raises a ValueError where shapes do not fit, a label is no
class or a mask leaves [0, 1].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from align.theory._common import Array, Bound, as_alike, as_array, as_classes, quotient
from align.theory.gap import cross_entropy


class PooledHead(NamedTuple):
    """A constructed classifier on two versions of the same images, with the `mask (h, w)`."""

    features: Array
    swapped: Array
    weight: Array
    bias: Array
    labels: np.ndarray
    mask: Array


def pooled_logits(features: Any, weight: Any, bias: Any) -> Array:
    r"""The logits of a pooled linear head, $z_c=\frac1{hw}\sum_uw_c\cdot A(u)+b_c$, `(N, C)`."""
    maps, weights = _head(features, weight)
    offset = as_array(bias, "bias", 1)
    if len(offset) != len(weights):
        raise ValueError(
            f"bias has {len(offset)} entries for {len(weights)} classes, expected one each"
        )
    return maps.mean(axis=(2, 3)) @ weights.T + offset


def contrastive_evidence(features: Any, weight: Any, labels: Any) -> Array:
    r"""What each cell adds to the margin of the label over each class, `(N, C, h, w)`.

    $e_c(u)=(w_y-w_c)\cdot A(u)/(hw)$; zero for c = y.

    Book: saliency, eq-saliency-contrast.
    """
    maps, weights = _head(features, weight)
    classes = as_classes(labels, (len(maps), len(weights)))
    scores = np.einsum("ck,nkhw->nchw", weights, maps) / np.prod(maps.shape[2:])
    return scores[np.arange(len(maps)), classes][:, None] - scores


def outside_evidence(evidence: Any, mask: Any) -> Array:
    r"""The evidence outside the object, $\sum_u(1-M(u))\,|e_c(u)|$, `(N, C)`, in logits."""
    values = as_array(evidence, "evidence", 4)
    return (np.abs(values) * (1 - _mask(mask, values))).sum(axis=(2, 3))


def inside_leak(evidence: Any, evidence_swapped: Any, mask: Any) -> Array:
    r"""How much the object's own cells move with the background, $|\sum_uM(u)\Delta e_c(u)|$.

    It comes through the receptive field, and no loss on the saliency of one image can see it.

    Returns:
        `(N, C)`, in logits.
    """
    before, after = as_alike(4, evidence=evidence, evidence_swapped=evidence_swapped)
    return np.abs(((before - after) * _mask(mask, before)).sum(axis=(2, 3)))


def outside_share(evidence: Any, mask: Any) -> Array:
    r"""The energy loss of each image, `(N,)`: the share of the contrastive evidence outside.

    $$\frac{\sum_c\sum_u(1-M(u))|e_c(u)|}{\sum_c\sum_u|e_c(u)|}\in[0,1],$$ and 0 without evidence.
    `mean_contrast_counterexample` shows why the absolute value is taken class by class.

    Book: theory/what_to_align, eq-share.
    """
    outside = outside_evidence(evidence, mask).sum(axis=1)
    return quotient(outside, np.abs(as_array(evidence, "evidence")).sum(axis=(1, 2, 3)))


def alignment_bound(
    features: Any, swapped: Any, weight: Any, bias: Any, labels: Any, mask: Any
) -> Bound:
    r"""How much the loss can move when only the background changes, image by image.

    $$\begin{aligned}&|\Delta\mathrm{CE}|\\
      &\le\max_{c\ne y}\Big[\sum_u(1-M(u))\big(|e_c(u)|+|e'_c(u)|\big)\\
      &\qquad+\Big|\sum_uM(u)\,(e_c(u)-e'_c(u))\Big|\Big],\end{aligned}$$
    e on the image and e' on the same object before another background. Any mask, hard or soft,
    gives a valid bound.

    Returns:
        `Bound(left, right)` of two arrays `(N,)`, in nats.

    Book: theory/what_to_align, eq-alignment.
    """
    before = contrastive_evidence(features, weight, labels)
    after = contrastive_evidence(swapped, weight, labels)
    leak = inside_leak(before, after, mask)
    right = outside_evidence(before, mask) + outside_evidence(after, mask) + leak
    logits = pooled_logits(features, weight, bias), pooled_logits(swapped, weight, bias)
    first, second = (cross_entropy(z, as_classes(labels, z.shape)) for z in logits)
    return Bound(np.abs(first - second), right.max(axis=1))


def minmax_map(features: Any, weight: Any, labels: Any) -> Array:
    r"""The min-max map of the true class: $w_y\cdot A(u)$ scaled to [0, 1] in each image.

    Returns:
        `(N, h, w)`; zeros where the map is constant.
    """
    maps, weights = _head(features, weight)
    classes = as_classes(labels, (len(maps), len(weights)))
    raw = np.einsum("nk,nkhw->nhw", weights[classes], maps)
    low, high = raw.min(axis=(1, 2), keepdims=True), raw.max(axis=(1, 2), keepdims=True)
    return quotient(raw - low, high - low)


def minmax_counterexample(
    classes: int = 5, size: int = 6, *, object_scale: float = 1.0, leak: bool = False
) -> PooledHead:
    r"""A classifier with a perfect min-max map that decides by the background alone.

    One image for every pair of a label y and another class r: the background of class y goes with
    the object in `features`, that of class r in `swapped`. Channel 0 marks the object's cells,
    $\alpha M(u)$, and every class weighs it alike; channel k is 1 in *every* cell if the
    background is the one of class k, and only class k weighs it. So the min-max map is M exactly,
    but $z_c=\alpha\overline M+[c=r]$: right on all images before their own backgrounds, wrong
    before the others'. The share of contrastive evidence outside tells, $1-\overline M$.

    Args:
        classes: C, 2 or more.
        size: h = w, 3 or more; the object is the square of the inner cells.
        object_scale: α > 0.
        leak: put the class signal into the object's cells only, as a receptive field may carry it
            there: then the energy loss is perfect too, and only `inside_leak` sees the failure.

    Returns:
        `PooledHead` with N = C (C − 1) images and K = C + 1 channels.
    """
    if classes < 2 or size < 3 or not 0 < object_scale < np.inf:
        raise ValueError(
            f"got classes = {classes}, size = {size}, object_scale = {object_scale}; expected at "
            "least 2 classes, at least 3 cells a side and a positive scale"
        )
    labels, others = np.nonzero(~np.eye(classes, dtype=bool))
    mask = _inner_square(size)
    signal = mask if leak else np.ones_like(mask)

    def shown(background: np.ndarray) -> Array:
        channels = np.eye(classes)[background][:, :, None, None] * signal
        marker = np.broadcast_to(object_scale * mask, (len(labels), 1, size, size))
        return np.concatenate([marker, channels], axis=1)

    weight = np.concatenate([np.ones((classes, 1)), np.eye(classes)], axis=1)
    return PooledHead(shown(labels), shown(others), weight, np.zeros(classes), labels, mask)


def mean_contrast_counterexample() -> PooledHead:
    r"""Why the contrast must be taken class by class once there are three classes.

    In one image, label 0 has weight 0 on the background's channel, classes 1 and 2 have ±4. Outside
    the object the channel is 0 in `features` and 1 in `swapped`; there $e_1=-e_2$, so the mean
    contrast is zero in every cell outside, although $|e_1|$ and $|e_2|$ are not. The object gives
    label 0 its margin; the other background overturns it.
    """
    mask = _inner_square(6)
    features = np.stack([mask, np.zeros_like(mask)])[None]
    swapped = np.stack([mask, 1 - mask])[None]
    weight = np.array([[1.0, 0.0], [0.0, 4.0], [0.0, -4.0]])
    return PooledHead(features, swapped, weight, np.zeros(3), np.zeros(1, np.int64), mask)


def _inner_square(size: int) -> Array:
    return np.pad(np.ones((size - 2, size - 2)), 1)


def _head(features: Any, weight: Any) -> tuple[Array, Array]:
    maps, weights = as_array(features, "features", 4), as_array(weight, "weight", 2)
    if maps.shape[1] != weights.shape[1] or maps.size == 0 or len(weights) < 2:
        raise ValueError(
            f"features have shape {maps.shape} and weight {weights.shape}, "
            "expected (N, K, h, w) and (C, K) with the same K, N of 1 or more and C of 2 or more"
        )
    return maps, weights


def _mask(mask: Any, evidence: Array) -> Array:
    """The mask as an array that broadcasts over `(N, C, h, w)`."""
    values = as_array(mask, "mask", ends=(0, 1))
    check_cells("mask", values, evidence.shape)
    return values[:, None] if values.ndim == 3 else values


def check_cells(name: str, values: Array, shape: tuple[int, ...]) -> None:
    """Refuse what is neither `(h, w)` nor `(N, h, w)`, for a shape `(N, ..., h, w)`."""
    count, _, height, width = shape
    if values.shape not in ((height, width), (count, height, width)):
        raise ValueError(
            f"{name} has shape {values.shape}, expected ({height}, {width}) or "
            f"({count}, {height}, {width}); resize it to the feature map"
        )
