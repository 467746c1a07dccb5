r"""Swap in the closed-form world: the features outside a mask are taken from another picture.

The `world` is a `gaussian.World`, and `kept_object`, `kept_background`, `domain` and results are as
there. `strength` is s ≥ 0, `inf` included. Two learners: the linear rule that minimises the squared
error, for which everything is an equivalent penalty, and the best rule for the cross-entropy, which
caps what the rest can say.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr

from align.theory._common import Array, as_array, quotient
from align.theory.gaussian import World

# What stands outside the mask: its variance, and its share of a picture's own evidence.
FILLS = {"picture": (1.0, 1.0), "noise": (1.0, 0.0), "constant": (0.0, 0.0)}
NODES = np.linspace(-8, 8, 401)  # standard deviations of b at which `best_rule_accuracy` sums


class BestSwap(NamedTuple):
    """The best strength s of swap and the accuracy it reaches; floats or arrays."""

    strength: Any
    accuracy: Any


def outside_signal(world: World, kept_object: ArrayLike, kept_background: ArrayLike) -> Any:
    r"""What lies outside a mask says at home: $D_1=\sum_{j\notin\tilde M}m_j^2$."""
    return _rest(world, kept_object, kept_background, "source")[1][()]


def equivalent_penalty(strength: ArrayLike, outside: ArrayLike, fill: str = "picture") -> Any:
    r"""T7: the penalty λ that does to a linear rule exactly what swap of strength s does.

    The minimiser of $E(Y-w\cdot x)^2+s\,E(Y-w\cdot\tilde x)^2$, where $\tilde x$ has its features
    outside the mask replaced, has the direction $m_j$ inside and $m_j/(1+\lambda)$ outside, with
    $$\lambda=s\Big(\nu+\chi D_1+\frac{D_1}{1+s}\Big),\qquad D_1=\sum_{j\notin\tilde M}m_j^2 .$$
    The replacement has mean 0 and second moments $\nu\,I+\chi\,m\,m^\top$: another picture
    (ν = χ = 1), noise that says nothing (ν = 1, χ = 0) or the constant 0 (ν = χ = 0), for which
    λ never exceeds $D_1$.

    Args:
        strength: the strength $s$.
        outside: $D_1$ ≥ 0, see `outside_signal`.
        fill: `picture`, `noise` or `constant`.

    Book: theory/intervention, eq-swap-penalty.
    """
    if not isinstance(fill, str) or fill not in FILLS:
        raise ValueError(f"fill is '{fill}', expected one of {', '.join(FILLS)}")
    variance, evidence = FILLS[fill]
    signal = as_array(outside, "outside", ends=(0, np.inf))
    s, signal = np.broadcast_arrays(_strength(strength), signal)
    rate = variance + evidence * signal
    grows = np.multiply(s, rate, out=np.zeros(s.shape), where=rate > 0)
    return (grows + signal * (1 - 1 / (1 + s)))[()]


def accuracy(
    world: World,
    kept_object: ArrayLike,
    kept_background: ArrayLike,
    strength: ArrayLike,
    domain: str = "target",
    fill: str = "picture",
) -> Any:
    r"""T7: the accuracy in [0, 1] of the linear rule that is trained with swap at a mask.

    It is that of `World.accuracy` with the `equivalent_penalty`, whose `fill` it has; s = 0 is the
    unguided rule, s = ∞ with another picture the hard mask.
    """
    outside = outside_signal(world, kept_object, kept_background)
    penalty = equivalent_penalty(strength, outside, fill)
    return world.accuracy(kept_object, kept_background, domain, penalty)


def best_strength(
    world: World, kept_object: ArrayLike, kept_background: ArrayLike, domain: str = "target"
) -> BestSwap:
    r"""The strength of swap that tests best; it reaches what the best penalty reaches.

    With another picture, λ rises with s from 0 to ∞, so swap and penalty have the same rules to
    choose from; s is the root $\ge0$ of $(1+D_1)s^2+(1+2D_1-\lambda)s-\lambda=0$, or `inf`.
    """
    signal = outside_signal(world, kept_object, kept_background)
    best = world.best_penalty(kept_object, kept_background, domain)
    penalty = np.asarray(best.penalty)
    finite = np.where(np.isfinite(penalty), penalty, 0)
    linear = 1 + 2 * signal - finite
    root = np.sqrt(linear**2 + 4 * (1 + signal) * finite)
    found = np.where(np.isfinite(penalty), (root - linear) / (2 * (1 + signal)), np.inf)
    return BestSwap(found[()], best.accuracy)


def capped(log_odds: ArrayLike, strength: ArrayLike) -> Any:
    r"""What is left of the rest's log-odds under swap, for the best rule and two even classes.

    If kept part and rest are independent given the label, the best rule for the cross-entropy
    plus s times the swap loss adds to the kept part's log-odds not the rest's ℓ but
    $$\begin{aligned}g_s(\ell)&=\log\frac{2\sigma(\ell)+s}{2\sigma(-\ell)+s},\\
      |g_s(\ell)|&<\log\Big(1+\frac2s\Big),\quad g_s'(0)=\frac1{1+s} .\end{aligned}$$

    Args:
        log_odds: ℓ, any shape.
        strength: s; 0 changes nothing.

    Book: theory/intervention, eq-swap-cap.
    """
    values, s = np.broadcast_arrays(as_array(log_odds, "log_odds"), _strength(strength))
    finite = np.where(np.isfinite(s), s, 1.0)
    some = np.log((2 * expit(values) + finite) / (2 * expit(-values) + finite))
    return np.where(s == 0, values, np.where(np.isfinite(s), some, 0.0))[()]


def best_rule_accuracy(
    world: World,
    kept_object: ArrayLike,
    kept_background: ArrayLike,
    strength: ArrayLike,
    domain: str = "target",
) -> Any:
    r"""The accuracy of the best rule under swap, linear or not, in the closed-form world.

    With $m$ and $m'$ the means at home and in the domain tested, index 0 for what the mask keeps
    and 1 for the rest, $N_i=\sum m_jm'_j$ and $D_i=\sum m_j^2$, the rule decides by
    $2a+g_s(2b)$ with $a\sim N(N_0,D_0)$ and $b\sim N(N_1,D_1)$ for the label +1, so
    $$\mathrm{acc}=E_b\,\Phi\!\left(\frac{N_0+\frac12g_s(2b)}{\sqrt{D_0}}\right).$$
    The expectation is a sum over a fine grid of b. A mask that keeps nothing of meaning
    ($D_0=0$) leaves the sign of b, and so the unguided rule, at every finite s.

    Book: theory/intervention, eq-swap-best.
    """
    rest = _rest(world, kept_object, kept_background, domain)
    kept = world.moments(kept_object, kept_background, domain)
    *both, s = np.broadcast_arrays(*kept, *rest, _strength(strength))
    mean, variance, rest_mean, rest_variance = (each[..., None] for each in both)
    b = rest_mean + np.sqrt(rest_variance) * NODES
    numerator = mean + capped(2 * b, s[..., None]) / 2
    value = quotient(numerator, np.sqrt(variance))
    density = np.exp(-(NODES**2) / 2)
    found = ndtr(value) @ (density / density.sum())
    alone = np.where(np.isfinite(s), world.accuracy(world.p, world.q, domain), 0.5)
    return np.where(kept[1] > 0, found, alone)[()]


def _rest(
    world: World, kept_object: ArrayLike, kept_background: ArrayLike, domain: str
) -> tuple[Array, Array]:
    """The moments of what a mask does not keep."""
    if not isinstance(world, World):
        raise ValueError(f"world is of type {type(world).__name__}, expected a gaussian.World")
    kept = world.moments(kept_object, kept_background, domain)
    mean, variance = world.moments(world.p, world.q, domain)
    return mean - kept[0], np.maximum(variance - kept[1], 0)


def _strength(strength: ArrayLike) -> Array:
    return as_array(strength, "strength", ends=(0, np.inf), finite=False)
