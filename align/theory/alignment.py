r"""From the alignment loss to the gap, for a classifier with a pooled linear head.

The head's logits are $z_c=\frac1{hw}\sum_u w_c\cdot A(u)+b_c$, over the cells u of the feature
map A. The margin of the label y over a class c is then a sum over cells of contrastive evidence,
$$z_y-z_c=\sum_u e_c(u)+b_y-b_c,\qquad e_c(u)=(w_y-w_c)\cdot A(u)/(hw).$$
Everything here takes plain arrays: `features (N, K, h, w)`, `weight (C, K)`, `bias (C,)`,
`labels (N,)` and masks `(N, h, w)` or `(h, w)` in [0, 1], 1 on the object's cells.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from align.theory._common import Array, Bound, as_array, check_same_shape
from align.theory.gap import check_labels, cross_entropy


class PooledHead(NamedTuple):
    """A constructed classifier on two versions of the same images.

    Fields: `features` and `swapped`, `(N, K, h, w)`, the same objects on their own and on other
    backgrounds; `weight (C, K)`; `bias (C,)`; `labels (N,)`; `mask (h, w)`, 1 on the object.
    """

    features: Array
    swapped: Array
    weight: Array
    bias: Array
    labels: np.ndarray
    mask: Array


def pooled_logits(features: Any, weight: Any, bias: Any) -> Array:
    r"""The logits of a pooled linear head, $z_c=\frac1{hw}\sum_uw_c\cdot A(u)+b_c$.

    Args:
        features: `(N, K, h, w)`.
        weight: `(C, K)`.
        bias: `(C,)`.

    Returns:
        float64 `(N, C)`.

    Raises:
        ValueError: if the shapes do not fit.
    """
    maps, weights = _check_head(features, weight)
    offset = as_array(bias, "bias", 1)
    if len(offset) != len(weights):
        raise ValueError(
            f"bias has {len(offset)} entries for {len(weights)} classes, expected one each"
        )
    return maps.mean(axis=(2, 3)) @ weights.T + offset


def contrastive_evidence(features: Any, weight: Any, labels: Any) -> Array:
    r"""What each cell adds to the margin of the label over each class.

    $e_c(u)=(w_y-w_c)\cdot A(u)/(hw)$; zero for c = y.

    Args:
        features: `(N, K, h, w)`.
        weight: `(C, K)`.
        labels: `(N,)` integers, 0 to C − 1.

    Returns:
        float64 `(N, C, h, w)`.

    Raises:
        ValueError: if the shapes do not fit or a label is no class.

    Book: saliency, eq-saliency-contrast.
    """
    maps, weights = _check_head(features, weight)
    classes = check_labels(labels, (len(maps), len(weights)))
    scores = np.einsum("ck,nkhw->nchw", weights, maps) / np.prod(maps.shape[2:])
    return scores[np.arange(len(maps)), classes][:, None] - scores


def outside_evidence(evidence: Any, mask: Any) -> Array:
    r"""The evidence outside the object, $\sum_u(1-M(u))\,|e_c(u)|$.

    Args:
        evidence: `(N, C, h, w)`, from `contrastive_evidence`.
        mask: `(N, h, w)` or `(h, w)` in [0, 1].

    Returns:
        float64 `(N, C)`, in logits.

    Raises:
        ValueError: if the shapes do not fit or the mask leaves [0, 1].
    """
    values = as_array(evidence, "evidence", 4)
    return (np.abs(values) * (1 - _check_mask(mask, values))).sum(axis=(2, 3))


def inside_leak(evidence: Any, evidence_swapped: Any, mask: Any) -> Array:
    r"""How much the object's own cells move with the background, $|\sum_uM(u)\Delta e_c(u)|$.

    It comes through the receptive field, and no loss on the saliency of one image can see it.

    Args:
        evidence: `(N, C, h, w)`, of the images.
        evidence_swapped: the same shape, of the same objects on other backgrounds.
        mask: `(N, h, w)` or `(h, w)` in [0, 1].

    Returns:
        float64 `(N, C)`, in logits.

    Raises:
        ValueError: if the shapes do not fit or the mask leaves [0, 1].
    """
    before = as_array(evidence, "evidence", 4)
    after = as_array(evidence_swapped, "evidence_swapped", 4)
    check_same_shape("evidence", before, "evidence_swapped", after)
    return np.abs(((before - after) * _check_mask(mask, before)).sum(axis=(2, 3)))


def outside_share(evidence: Any, mask: Any) -> Array:
    r"""The energy loss of each image: the share of the contrastive evidence outside the object.

    $$\frac{\sum_c\sum_u(1-M(u))|e_c(u)|}{\sum_c\sum_u|e_c(u)|}\in[0,1],$$ and 0 without evidence.
    The absolute value is taken class by class. With the *mean* contrast
    $\bar e=\frac1{C-1}\sum_{c\ne y}e_c$ instead, the loss can be zero although evidence outside
    separates the classes: the $e_c$ cancel (`mean_contrast_counterexample`); for C = 2 there is
    no difference.

    Args:
        evidence: `(N, C, h, w)`, from `contrastive_evidence`.
        mask: `(N, h, w)` or `(h, w)` in [0, 1].

    Returns:
        float64 `(N,)`.

    Raises:
        ValueError: if the shapes do not fit or the mask leaves [0, 1].

    Book: theory/what_to_align, eq-share.
    """
    outside = outside_evidence(evidence, mask).sum(axis=1)
    total = np.abs(as_array(evidence, "evidence", 4)).sum(axis=(1, 2, 3))
    return np.divide(outside, total, out=np.zeros_like(total), where=total > 0)


def alignment_bound(
    features: Any, swapped: Any, weight: Any, bias: Any, labels: Any, mask: Any
) -> Bound:
    r"""How much the loss can move when only the background changes, image by image.

    Cross-entropy is 1-Lipschitz in the largest change of a margin, so
    $$|\Delta\mathrm{CE}|\le\max_{c\ne y}|\Delta(z_y-z_c)|\le\max_{c\ne y}\Big[
      \sum_u(1-M(u))\big(|e_c(u)|+|e'_c(u)|\big)+\Big|\sum_uM(u)\,(e_c(u)-e'_c(u))\Big|\Big],$$
    e on the image and e' on the same object before another background; label, head and mask are
    the same for both. The mask may be soft, and any mask gives a valid bound.

    Args:
        features: `(N, K, h, w)`, of the images.
        swapped: the same shape, of the same objects on other backgrounds.
        weight: `(C, K)`.
        bias: `(C,)`.
        labels: `(N,)` integers, 0 to C − 1.
        mask: `(N, h, w)` or `(h, w)` in [0, 1].

    Returns:
        `Bound(left, right)` of two float64 arrays `(N,)`, in nats.

    Raises:
        ValueError: if the shapes do not fit, a label is no class or the mask leaves [0, 1].

    Book: theory/what_to_align, eq-alignment.
    """
    before = contrastive_evidence(features, weight, labels)
    after = contrastive_evidence(swapped, weight, labels)
    leak = inside_leak(before, after, mask)
    right = outside_evidence(before, mask) + outside_evidence(after, mask) + leak
    logits = pooled_logits(features, weight, bias), pooled_logits(swapped, weight, bias)
    classes = check_labels(labels, logits[0].shape)
    left = np.abs(cross_entropy(logits[0], classes) - cross_entropy(logits[1], classes))
    return Bound(left, right.max(axis=1))


def minmax_map(features: Any, weight: Any, labels: Any) -> Array:
    r"""The min-max map of the true class: $w_y\cdot A(u)$ scaled to [0, 1] in each image.

    Args:
        features: `(N, K, h, w)`.
        weight: `(C, K)`.
        labels: `(N,)` integers, 0 to C − 1.

    Returns:
        float64 `(N, h, w)`; zeros where the map is constant.

    Raises:
        ValueError: if the shapes do not fit or a label is no class.
    """
    maps, weights = _check_head(features, weight)
    classes = check_labels(labels, (len(maps), len(weights)))
    raw = np.einsum("nk,nkhw->nhw", weights[classes], maps)
    low, high = raw.min(axis=(1, 2), keepdims=True), raw.max(axis=(1, 2), keepdims=True)
    return np.divide(raw - low, high - low, out=np.zeros_like(raw), where=high > low)


def minmax_counterexample(
    classes: int = 5, size: int = 6, *, object_scale: float = 1.0, leak: bool = False
) -> PooledHead:
    r"""A classifier with a perfect min-max map that decides by the background alone.

    There is one image for every pair of a label y and another class r: the background of class y
    goes with the object in `features`, that of class r in `swapped`. Channel 0 marks the object's
    cells, $\alpha M(u)$, and every class weighs it alike; channel k, 1 to C, is 1 in *every* cell
    if the background is the one of class k, and only class k weighs it. So $w_y\cdot A$ is
    $\alpha M$ plus a constant: its min-max map is M exactly, for each label and each background,
    and any loss between that map and M is at its least. But $z_c=\alpha\overline M+[c=r]$: all
    images are classified right with their own backgrounds and wrong with the others'. The
    contrastive evidence tells: its share outside is $1-\overline M$, as if spread at random.

    With `leak` the class signal stands in the object's cells only, as a receptive field may carry
    it there: then the energy loss is perfect too, and only `inside_leak` sees the failure.

    Args:
        classes: C, 2 or more.
        size: h = w, 3 or more; the object is the square of the inner cells.
        object_scale: α > 0.
        leak: put the class signal inside the object's cells only.

    Returns:
        `PooledHead` with N = C (C − 1) images and K = C + 1 channels.

    Raises:
        ValueError: if a number is out of range.
    """
    if classes < 2 or size < 3 or not 0 < object_scale < np.inf:
        raise ValueError(
            f"got classes = {classes}, size = {size}, object_scale = {object_scale}; expected at "
            "least 2 classes, at least 3 cells a side and a positive scale"
        )
    labels, others = np.nonzero(~np.eye(classes, dtype=bool))
    mask = np.zeros((size, size))
    mask[1:-1, 1:-1] = 1
    signal = mask if leak else np.ones_like(mask)

    def shown(background: np.ndarray) -> Array:
        channels = np.eye(classes)[background][:, :, None, None] * signal
        marker = np.broadcast_to(object_scale * mask, (len(labels), 1, size, size))
        return np.concatenate([marker, channels], axis=1)

    weight = np.concatenate([np.ones((classes, 1)), np.eye(classes)], axis=1)
    return PooledHead(shown(labels), shown(others), weight, np.zeros(classes), labels, mask)


def mean_contrast_counterexample(size: int = 6, strength: float = 4.0) -> PooledHead:
    r"""Why the contrast must be taken class by class once there are three classes.

    Label 0 has weight 0 on the background's channel, classes 1 and 2 have ±`strength`. Outside
    the object the channel is 0 in `features` and 1 in `swapped`; there $e_1=-e_2$, so the mean
    contrast is zero in every cell outside, with either background, although $|e_1|$ and $|e_2|$
    are not. The object gives label 0 its margin; the other background overturns it.

    Args:
        size: h = w, 3 or more; the object is the square of the inner cells.
        strength: the background's weight, positive.

    Returns:
        `PooledHead` with one image, two channels and three classes.

    Raises:
        ValueError: if a number is out of range.
    """
    if size < 3 or not 0 < strength < np.inf:
        raise ValueError(
            f"got size = {size}, strength = {strength}; expected at least 3 cells a side "
            "and a positive strength"
        )
    mask = np.zeros((size, size))
    mask[1:-1, 1:-1] = 1
    features = np.stack([mask, np.zeros_like(mask)])[None]
    swapped = np.stack([mask, 1 - mask])[None]
    weight = np.array([[1.0, 0.0], [0.0, strength], [0.0, -strength]])
    return PooledHead(features, swapped, weight, np.zeros(3), np.zeros(1, np.int64), mask)


def _check_head(features: Any, weight: Any) -> tuple[Array, Array]:
    maps, weights = as_array(features, "features", 4), as_array(weight, "weight", 2)
    if maps.shape[1] != weights.shape[1] or maps.size == 0 or len(weights) < 2:
        raise ValueError(
            f"features have shape {maps.shape} and weight {weights.shape}, "
            "expected (N, K, h, w) and (C, K) with the same K, N of 1 or more and C of 2 or more"
        )
    return maps, weights


def _check_mask(mask: Any, evidence: Array) -> Array:
    """The mask as an array that broadcasts over `(N, C, h, w)`."""
    values = as_array(mask, "mask")
    count, _, height, width = evidence.shape
    if values.shape not in ((height, width), (count, height, width)):
        raise ValueError(
            f"mask has shape {values.shape}, expected ({height}, {width}) or "
            f"({count}, {height}, {width}); resize it to the feature map"
        )
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"mask runs from {values.min():.3g} to {values.max():.3g}, expected all in [0, 1]"
        )
    return values[:, None] if values.ndim == 3 else values
