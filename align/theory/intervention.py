r"""Aligning the intervention: what a changed background says of the gap, with any mask.

A swap keeps the part U of an input that a mask keeps and draws the rest anew, independently of U
and of the label: the *swapped law* $P_S(u,y)\,q(v)$. Joints $P(x,y)$ and masks are those of
`information`, `kept` one mask at a time; `strength` is s ≥ 0, finite; `replacement` is the law q of
the rest, one axis for each feature that is not kept, in their order, and None takes the rest's own
marginal, that of another image. All losses are in nats. What does not fit together raises a
ValueError.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, rel_entr, xlogy

from align.theory._common import (
    Array,
    Bound,
    Identity,
    as_alike,
    as_array,
    as_classes,
    as_joint,
    as_joints,
    as_mask,
    as_weights,
    check_same_shape,
    conditional,
    quotient,
)
from align.theory.gap import cross_entropy
from align.theory.information import bayes_risk


class Chain(NamedTuple):
    """Four numbers, each at most the next: the gap, and what it is bounded by."""

    gap: float
    loss: float
    margin: float
    logits: float

    @property
    def bound(self) -> Bound:
        """Each number against the next."""
        return Bound(np.array(self[:-1]), np.array(self[1:]))


class HomeBounds(NamedTuple):
    """How far the target can be from the swapped law: κ, and two bounds."""

    ratio: float
    risk: Bound
    gap: Bound


class SwapLoss(NamedTuple):
    """The swap loss taken apart, and what it does to movement."""

    split: Identity
    movement: Bound


class SwapRule(NamedTuple):
    """The best prediction under swap: `table` as the joint, `share` ω without the label axis."""

    table: Array
    share: Array
    pool: Identity


class SwapRisk(NamedTuple):
    """Excess risks on the target, in nats, with swap, without a mask, and with it enforced."""

    swap: float
    unguided: float
    enforced: float
    guard: Bound


def intervention_chain(
    logits: Any, changed: Any, label: Any, *, weights: ArrayLike | None = None
) -> Chain:
    r"""T6: from the gap to the logits, over pairs that share object and label.

    $$\begin{aligned}|\mathrm{CE}_T-\mathrm{CE}_S|&\le E\,|\Delta\mathrm{CE}|\\
      &\le E\max_c|\Delta(z_Y-z_c)|\\&\le2\,E\,\lVert\Delta z\rVert_\infty .\end{aligned}$$

    `logits` `(n, C)` are those of each input, `changed` those of the same object before the other
    background; labels and weights are as in `gap`.

    Book: theory/intervention, eq-chain.
    """
    before, after = as_alike(2, logits=logits, changed=changed)
    mass, classes = as_weights(weights, len(before)), as_classes(label, before.shape)
    moved = cross_entropy(after, classes) - cross_entropy(before, classes)
    step = after - before
    margins = np.abs(step[np.arange(len(step)), classes][:, None] - step).max(axis=1)
    largest = np.abs(step).max(axis=1)
    steps = np.abs(moved), margins, 2 * largest
    return Chain(float(abs(mass @ moved)), *(float(mass @ each) for each in steps))


def home_bounds(joint_target: Any, logits: Any, replacement: Any) -> HomeBounds:
    r"""T6: what the swapped law, which can be made at home, says of any target.

    Let Q draw the background from `replacement`, independently of object and label, and let
    $P_T(b\mid o,y)\le\kappa\,Q(b)$, κ as small as possible. Then
    $$\begin{aligned}\mathrm{CE}_T&\le\kappa\,\mathrm{CE}_Q,\\
      |\mathrm{CE}_T-\mathrm{CE}_Q|&\le\kappa\,E_Q\max_c|\Delta(z_Y-z_c)|,\end{aligned}$$
    the last over two backgrounds drawn independently from Q before one object.

    Args:
        joint_target: `(objects, backgrounds, labels)`, $P_T(o,b,y)$.
        logits: `(objects, backgrounds, labels)`, one logit a class.
        replacement: `(backgrounds,)`, Q, which shows every background that the target shows.

    Book: theory/intervention, eq-home-risk, eq-home-gap.
    """
    target, values = as_joint(joint_target, "joint_target", 3), as_array(logits, "logits", 3)
    check_same_shape("joint_target", target, "logits", values)
    q = as_joint(replacement, "replacement", 1)
    if len(q) != target.shape[1] or np.any(target.sum(axis=(0, 2))[q == 0] > 0):
        raise ValueError(
            f"replacement has shape {q.shape}, expected one probability for each of the "
            f"{target.shape[1]} backgrounds, positive where the target shows it"
        )
    shared = target.sum(axis=1)
    ratio = float(quotient(quotient(target, shared[:, None]), q[:, None]).max())
    loss = logsumexp(values, axis=-1, keepdims=True) - values
    swapped = shared[:, None] * q[:, None]
    risks = [float((joint * loss).sum()) for joint in (target, swapped)]
    step = values[:, :, None] - values[:, None]  # (objects, background, background, class)
    margins = np.abs(step[..., :, None] - step[..., None, :]).max(-1)
    moved = float(np.einsum("oy,a,b,oaby->", shared, q, q, margins))
    gap = Bound(abs(risks[0] - risks[1]), ratio * moved)
    return HomeBounds(ratio, Bound(risks[0], ratio * risks[1]), gap)


def swap_loss(joint: Any, kept: Any, prediction: Any, replacement: Any = None) -> SwapLoss:
    r"""T6: what the swap loss at a mask drives to zero, whatever the classifier.

    With U what the mask keeps, the loss on the swapped law splits exactly,
    $$\begin{aligned}&E\,[-\log f_Y(U,V')]=H(Y\mid U)+\eta,\\
      &\eta=E\,\mathrm{KL}\big(P(Y\mid U)\,\big\|\,f(U,V')\big),\end{aligned}$$
    and η bounds the movement when the rest is replaced once more,
    $E\,\mathrm{TV}\big(f(U,V'),f(U,V'')\big)\le\sqrt{2\eta}$.

    The `prediction` $f_y(x)$ is of the joint's shape and sums to one over the last axis.

    Book: theory/intervention, eq-swap-split, eq-swap-movement.
    """
    table, mask = _masked(joint, kept)
    f = as_array(prediction, "prediction")
    check_same_shape("prediction", f, "joint", table)
    if f.min() < 0 or np.abs(f.sum(-1) - 1).max() > 1e-8:
        raise ValueError("prediction does not sum to one over the label, expected probabilities")
    cells, f = _split(table, mask), _split(f, mask)
    q = _replacement(replacement, cells)
    label = cells.sum(axis=1)
    swapped = label[:, None] * q[:, None]
    left = float(-xlogy(swapped, f).sum())
    known = swapped.sum(-1, keepdims=True)
    eta = float(rel_entr(swapped, known * f).sum())
    distance = np.abs(f[:, :, None] - f[:, None]).sum(-1) / 2
    moved = float(np.einsum("u,a,b,uab->", label.sum(-1), q, q, distance))
    split = Identity(left, bayes_risk(table, mask) + eta)
    return SwapLoss(split, Bound(moved, float(np.sqrt(2 * max(eta, 0)))))


def swap_rule(joint: Any, kept: Any, strength: float, replacement: Any = None) -> SwapRule:
    r"""The best prediction for the cross-entropy plus s times the swap loss at a mask.

    It is the posterior of the mixed law $P_S+s\,P_S(u,y)q(v)$, and an average of two rules:
    $$\begin{aligned}f_s&=(1-\omega)\,P_S(Y\mid X)+\omega\,P_S(Y\mid U),\\
      \omega&=\frac{s\,q(v)}{s\,q(v)+P_S(v\mid u)} .\end{aligned}$$

    Returns:
        $f_s$ of the joint's shape (an even guess where neither law ever goes), ω
        `(n_1, ..., n_d)`, and the identity of posterior and average.

    Book: theory/intervention, eq-swap-pool.
    """
    table, mask = _masked(joint, kept)
    strength = float(as_array(strength, "strength", 0, ends=(0, np.inf)))
    cells = _split(table, mask)
    q, label = _replacement(replacement, cells), cells.sum(axis=1)
    even = 1 / label.shape[-1]
    posterior = conditional(cells + strength * label[:, None] * q[:, None], even)
    share = _share(cells, q, strength)
    average = (1 - share)[..., None] * conditional(cells, even)
    average = average + share[..., None] * conditional(label, even)[:, None]
    reached = (cells.sum(-1) > 0) | (strength * label.sum(-1)[:, None] * q > 0)
    pool = Identity(posterior[reached], average[reached])
    return SwapRule(_join(posterior, table, mask), _join(share, table, mask), pool)


def swap_risk(
    joint_source: Any, joint_target: Any, kept: Any, strength: float, *, objects: int
) -> SwapRisk:
    r"""What swap at a noisy mask costs on the target, between no mask and the mask enforced.

    With $f_1=P_S(Y\mid X)$, $\tilde f=P_S(Y\mid U)$, $f_s$ as in `swap_rule` and
    $\rho=s\,q(V)/P_S(V\mid U)$,
    $$\begin{aligned}R_T(f_s)\le\min\Big(&R_T(f_1)+E_T\log(1+\rho),\\
      &R_T(\tilde f)+E_T\log\big(1+\tfrac1\rho\big)\Big).\end{aligned}$$

    These are excess risks over $f_2=P(Y\mid O)$. Every input that `joint_target` shows must be one
    of the source's; s > 0; the first `objects` of the d features belong to the object.

    Book: theory/intervention, eq-swap-guard.
    """
    source, target = as_joints(joint_source, joint_target)
    mask = as_mask(kept, source.ndim - 1)
    strength, count = float(as_array(strength, "strength", 0)), as_array(objects, "objects", 0)
    if count not in range(len(mask) + 1) or strength <= 0:
        raise ValueError(
            f"objects is {count:g} and strength {strength:g}, expected a whole number from 0 to "
            f"{len(mask)} and a positive finite number"
        )
    if np.any(target.sum(-1)[source.sum(-1) == 0] > 0):
        raise ValueError("the target shows an input that the source never shows, expected none")
    least = bayes_risk(target.sum(axis=tuple(range(int(count), len(mask)))))
    cells, away = _split(source, mask), _split(target, mask)
    share = _share(cells, _replacement(None, cells), strength)
    even = 1 / source.shape[-1]
    rules = (
        _split(swap_rule(source, mask, strength).table, mask),
        conditional(cells, even),
        conditional(cells.sum(axis=1), even)[:, None],
    )
    swap, unguided, enforced = (float(-xlogy(away, rule).sum()) - least for rule in rules)
    guards = [
        risk - float(xlogy(away.sum(-1), weight).sum())
        for risk, weight in ((unguided, 1 - share), (enforced, share))
    ]
    return SwapRisk(swap, unguided, enforced, Bound(swap, min(guards)))


def _masked(joint: Any, kept: Any) -> tuple[Array, np.ndarray]:
    table = as_joint(joint, "joint")
    return table, as_mask(kept, table.ndim - 1)


def _order(mask: np.ndarray) -> list[int]:
    return [*np.flatnonzero(mask), *np.flatnonzero(~mask)]


def _split(table: Array, mask: np.ndarray) -> Array:
    """A table over features as `(cells of the kept, cells of the rest, labels)`."""
    moved = table.transpose(*_order(mask), len(mask))
    kept = int(np.prod(np.array(table.shape[:-1])[mask]))
    return moved.reshape(kept, -1, table.shape[-1])


def _join(cells: Array, table: Array, mask: np.ndarray) -> Array:
    """The inverse of `_split`, with or without the label axis."""
    order = _order(mask)
    shape = [table.shape[axis] for axis in order] + list(cells.shape[2:])
    back = [*np.argsort(order), *range(len(order), len(shape))]
    return cells.reshape(shape).transpose(back)


def _replacement(replacement: Any, cells: Array) -> Array:
    if replacement is None:
        return cells.sum(axis=(0, 2))
    q = as_joint(replacement, "replacement").ravel()
    if len(q) != cells.shape[1]:
        raise ValueError(
            f"replacement has {len(q)} cells, expected {cells.shape[1]}: one for each value of "
            "what the mask does not keep"
        )
    return q


def _share(cells: Array, q: Array, strength: float) -> Array:
    """The weight ω of the kept part's own rule, `(kept, rest)`; 1 where the source never goes."""
    both, known = cells.sum(-1), cells.sum(axis=(1, 2))[:, None]
    swapped = strength * known * q
    return np.divide(swapped, swapped + both, out=np.ones_like(both), where=both > 0)
