r"""Evidence can be carried anywhere in the map without changing the network's function: T5.

Plain arrays of a pooled linear head, as in `alignment`: `features (N, K, h, w)`, `weight (C, K)`,
`bias (C,)`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from align.theory._common import Array, as_array
from align.theory.alignment import check_cells, pooled_logits


class Head(NamedTuple):
    """A feature map and the head that reads it: `features`, `weight` and `bias`."""

    features: Array
    weight: Array
    bias: Array


def carry(region: Any, amount: float = 1.0) -> Array:
    r"""The layer that carries what all cells hold into a region.

    $$\begin{aligned}T^t&=(1-t)\,I+t\,r\,\mathbf 1^\top,\\r(u)&\ge0,\;\sum_ur(u)=1.\end{aligned}$$
    Its columns sum to one, so it changes no mean over the cells.

    Args:
        region: `(h, w)` or `(N, h, w)`, not negative and somewhere positive; it is scaled to a
            sum of one, and where it is 0 nothing is left for t = 1.
        amount: t in [0, 1].

    Returns:
        float64 `(h·w, h·w)` or `(N, h·w, h·w)`: row u, column v says how much of cell v's
        features cell u receives.

    Raises:
        ValueError: if the region is empty or negative, or the amount leaves [0, 1].
    """
    r = as_array(region, "region")
    if r.ndim not in (2, 3) or r.size == 0 or r.min() < 0 or r.sum(axis=(-2, -1)).min() <= 0:
        raise ValueError(
            f"region has shape {r.shape}, expected (h, w) or (N, h, w) with no negative value and "
            "at least one positive value in each region"
        )
    t = as_array(amount, "amount", 0, ends=(0, 1))
    flat = r.reshape(*r.shape[:-2], -1)
    flat = flat / flat.sum(axis=-1, keepdims=True)
    every = np.ones(flat.shape[-1])
    return (1 - t) * np.eye(len(every)) + t * flat[..., :, None] * every


def carried_head(
    features: Any,
    weight: Any,
    bias: Any,
    region: Any,
    *,
    amount: float = 1.0,
    marker: float = 0.0,
) -> Head:
    r"""T5: a head with the same logits on every image and its evidence where you want it.

    $$\begin{aligned}A^t(u)&=(1-t)\,A(u)+t\,r(u)\sum_vA(v),\\
      e^t_c(u)&=(1-t)\,e_c(u)+t\,r(u)\sum_ve_c(v),\end{aligned}$$
    r the region, scaled to a sum of one. With a marker α > 0 there is one more channel,
    $A_0(u)=\alpha\,hw\,r(u)$, which every class weighs by 1, and α is taken from every bias: then
    the min-max map of class y is that of r, if $\alpha>-\frac1{hw}\sum_uw_y\cdot A(u)$.

    `region` and `amount` are those of `carry`; `marker` is α, 0 or more.

    Book: theory/intervention, eq-carry, eq-marker.
    """
    pooled_logits(features, weight, bias)  # checks the three
    maps, weights, offset = (as_array(a, "head") for a in (features, weight, bias))
    layer, r = carry(region, amount), as_array(region, "region")
    check_cells("region", r, maps.shape)
    alpha = as_array(marker, "marker", 0, ends=(0, np.inf))
    count, channels, height, width = maps.shape
    flat = maps.reshape(count, channels, height * width)
    moved = (flat @ np.swapaxes(layer, -1, -2)).reshape(maps.shape)
    if alpha == 0:
        return Head(moved, weights, offset)
    spread = alpha * height * width * r / r.sum(axis=(-2, -1), keepdims=True)
    channel = np.broadcast_to(spread, (count, height, width))[:, None]
    ones = np.ones((len(weights), 1))
    return Head(np.hstack([channel, moved]), np.hstack([ones, weights]), offset - alpha)
