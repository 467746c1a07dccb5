"""From background sensitivity to the generalisation gap: statements T1, T2 and T3.

A distribution and a set of samples are treated alike: samples are paired by a coupling of the
source and the target that shares the object and the label, and carry one weight a pair.
`best_coupling` makes such pairs from two discrete distributions; swapping the backgrounds of
images makes them from a benchmark.

Joints $P(o,b,y)$ are `(objects, backgrounds, labels)`, `joint_target` with the same $P(o,y)$ as
`joint_source`; `distance` is `(backgrounds, backgrounds)`, symmetric, zero on the diagonal and
positive off it. Of n pairs, predictions, probabilities and labels are `(n,)`, logits `(n, C)`: on
the source, and on the target for the same objects and labels; `weights` are the probabilities
`(n,)` of the pairs, None weighs all alike. A bound is of two floats, for cross-entropies in nats.
What does not fit together raises a ValueError.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.special import logsumexp

from align.theory._common import (
    Array,
    Bound,
    as_alike,
    as_array,
    as_classes,
    as_joints,
    as_weights,
    check_same_shape,
    check_shared,
)


class Coupling(NamedTuple):
    """A coupling of source and target that shares (O, Y), as `n` weighted pairs.

    Of each pair the indices into the axes of the joints, int64 `(n,)`, and the probability; `cost`
    is the expected distance of the two backgrounds.
    """

    object: np.ndarray
    background_source: np.ndarray
    background_target: np.ndarray
    label: np.ndarray
    probability: Array
    cost: float


class MeanDifference(NamedTuple):
    """The counter-example to the mean-difference form of T2, as weighted pairs."""

    prediction_source: Array
    prediction_target: Array
    label: Array
    weights: Array
    false_bound: Bound
    repaired_bound: Bound


def best_coupling(joint_source: Any, joint_target: Any, distance: Any) -> Coupling:
    r"""The coupling that shares (O, Y) and moves the background least.

    For every (o, y) of positive probability it is an optimal transport plan from
    $P_S(B\mid o,y)$ to $P_T(B\mid o,y)$, so that
    $$\begin{aligned}&E\,d(B_S, B_T)\\
      &= E_{O,Y}\,W_1\big(P_S(B\mid O,Y), P_T(B\mid O,Y)\big),\end{aligned}$$
    the least value that any coupling with a common (O, Y) can have. Only pairs of positive
    probability are returned.
    """
    source, target = _shared_joints(joint_source, joint_target)
    metric = _distance(distance, source.shape[1])
    pairs: list[tuple[int, int, int, int]] = []
    masses: list[float] = []
    for o, y in zip(*np.nonzero(source.sum(axis=1)), strict=True):
        mass = source[o, :, y].sum()
        start = source[o, :, y] / mass
        end = target[o, :, y] / target[o, :, y].sum()
        plan = _optimal_plan(start, end, metric)
        for b_source, b_target in zip(*np.nonzero(plan), strict=True):
            pairs.append((o, b_source, b_target, y))
            masses.append(mass * plan[b_source, b_target])
    objects, starts, ends, labels = np.array(pairs, dtype=np.int64).T
    probability = np.array(masses) / np.sum(masses)
    cost = float(probability @ metric[starts, ends])
    return Coupling(objects, starts, ends, labels, probability, cost)


def sensitivity_bound(
    joint_source: Any, joint_target: Any, prediction: Any, distance: Any
) -> Bound:
    r"""T1: how far a prediction moves when only the background changes.

    Under `best_coupling`
    $$\begin{aligned}&E\,|f_Y(O,B_T) - f_Y(O,B_S)|\\
      &\le L_B\,E_{O,Y}\,W_1\big(P_S(B\mid O,Y),P_T(B\mid O,Y)\big)\\&=\varepsilon .\end{aligned}$$
    The `prediction` $f_y(o,b)$ is of the joints' shape, any real numbers. $L_B$ is taken as small
    as the table allows: the largest $|f_y(o,b)-f_y(o,b')|/d(b,b')$ over the (o, y) of positive
    probability and all b ≠ b'.

    Book: theory/sensitivity, eq-sensitivity.
    """
    source, target = _shared_joints(joint_source, joint_target)
    values = as_array(prediction, "prediction", 3)
    check_same_shape("prediction", values, "joint_source", source)
    metric = _distance(distance, source.shape[1])
    coupling = best_coupling(source, target, metric)
    before = values[coupling.object, coupling.background_source, coupling.label]
    after = values[coupling.object, coupling.background_target, coupling.label]
    left = float(coupling.probability @ np.abs(after - before))
    return Bound(left, _lipschitz_constant(values, source, metric) * coupling.cost)


def mse_gap(
    prediction_source: Any,
    prediction_target: Any,
    label: Any,
    *,
    weights: ArrayLike | None = None,
    interval: tuple[float, float] = (0.0, 1.0),
) -> Bound:
    r"""T2: the gap in squared error, for predictions and labels in one interval [l, u].

    $$\begin{aligned}&|\mathrm{MSE}_T-\mathrm{MSE}_S|\\
      &\le2(u-l)\;E\,|f(O,B_T)-f(O,B_S)| ,\end{aligned}$$
    under any coupling that shares (O, Y): $2\varepsilon$ on [0, 1] and $4\varepsilon$ on [−1, 1].
    The form with $|E_T f - E_S f|$ on the right is false: see `mean_difference_counterexample`.

    Book: theory/sensitivity, eq-mse-gap.
    """
    ends = as_array(interval, "interval", 1)
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise ValueError(f"interval is {interval}, expected its first end below its second")
    low, high = ends
    named = {"prediction_source": prediction_source, "prediction_target": prediction_target}
    before, after, truth = as_alike(1, (low, high), **named, label=label)
    mass = as_weights(weights, len(before))
    gap = mass @ (after - truth) ** 2 - mass @ (before - truth) ** 2
    return Bound(float(abs(gap)), float(2 * (high - low) * (mass @ np.abs(after - before))))


def ce_gap(
    probability_source: Any, probability_target: Any, *, weights: ArrayLike | None = None
) -> Bound:
    r"""T3, with probabilities: the gap in cross-entropy when $f_y$ is bounded below.

    With the probabilities $f_Y$ of the true class in (0, 1], and $\delta$ the least of them,
    $$|\mathrm{CE}_T-\mathrm{CE}_S|\;\le\;\tfrac1\delta\,E\,|f_Y(O,B_T)-f_Y(O,B_S)| .$$

    Book: theory/sensitivity, eq-ce-gap.
    """
    named = {"probability_source": probability_source, "probability_target": probability_target}
    before, after = as_alike(1, **named)
    mass = as_weights(weights, len(before))
    least = min(before.min(), after.min())
    if least <= 0 or max(before.max(), after.max()) > 1:
        raise ValueError(
            f"probabilities of the true class run from {least:.3g} to "
            f"{max(before.max(), after.max()):.3g}, expected all in (0, 1]; clip them from below "
            "or use ce_gap_logits"
        )
    gap = abs(mass @ np.log(before) - mass @ np.log(after))
    return Bound(float(gap), float(mass @ np.abs(after - before) / least))


def ce_gap_logits(
    logits_source: Any, logits_target: Any, label: Any, *, weights: ArrayLike | None = None
) -> Bound:
    r"""T3, with logits: the gap in cross-entropy without any clipping.

    $$\begin{aligned}|\mathrm{CE}_T-\mathrm{CE}_S|&\le E\max_c|\Delta(z_Y-z_c)|\\
      &\le2\,E\,\lVert z_T-z_S\rVert_\infty ;\end{aligned}$$
    the right side returned is the last. Labels are integers from 0 to C − 1.

    Book: theory/sensitivity, eq-ce-gap-logits.
    """
    before, after = as_alike(2, logits_source=logits_source, logits_target=logits_target)
    mass, classes = as_weights(weights, len(before)), as_classes(label, before.shape)
    gap = mass @ (cross_entropy(after, classes) - cross_entropy(before, classes))
    return Bound(float(abs(gap)), float(2 * (mass @ np.abs(after - before).max(axis=1))))


def mean_difference_counterexample() -> MeanDifference:
    r"""Why T2 needs a coupling: equal means, different squared errors.

    There is one object and one label, y ≡ 0. On the source f ≡ ½; on the target f is 0 or 1 with
    probability ½ each. Then $E_T f = E_S f$, so $2|E_T f-E_S f| = 0$, but
    $\mathrm{MSE}_S=\tfrac14$ and $\mathrm{MSE}_T=\tfrac12$: `false_bound` is violated. The pairs
    (½, 0) and (½, 1) repair it: $2E|f_T-f_S| = 1 \ge \tfrac14$, the `repaired_bound`.
    """
    before, after = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    label, weights = np.zeros(2), np.array([0.5, 0.5])
    repaired = mse_gap(before, after, label, weights=weights)
    false = Bound(repaired.left, float(2 * abs(weights @ after - weights @ before)))
    return MeanDifference(before, after, label, weights, false, repaired)


def cross_entropy(logits: Array, label: np.ndarray) -> Array:
    r"""The cross-entropy of logits `(n, C)`, $\log\sum_c e^{z_c}-z_y$, `(n,)` in nats."""
    return logsumexp(logits, axis=1) - logits[np.arange(len(logits)), label]


def _shared_joints(joint_source: Any, joint_target: Any) -> tuple[Array, Array]:
    source, target = as_joints(joint_source, joint_target, 3)
    check_shared(source, target, (1,))
    return source, target


def _distance(distance: Any, count: int) -> Array:
    metric = as_array(distance, "distance", 2)
    if not np.array_equal(np.sign(metric), 1 - np.eye(count)) or np.any(metric != metric.T):
        raise ValueError(
            f"distance has shape {metric.shape}, expected ({count}, {count}), symmetric with zeros "
            "on the diagonal and positive numbers off it: the distances of distinct backgrounds"
        )
    return metric


def _lipschitz_constant(values: Array, joint: Array, metric: Array) -> float:
    o, y = np.nonzero(joint.sum(axis=1))
    rows = values[o, :, y]
    slopes = np.abs(rows[:, :, None] - rows[:, None, :])
    return float(np.max(slopes / np.where(metric > 0, metric, np.inf)))


def _optimal_plan(start: Array, end: Array, cost: Array) -> Array:
    """An optimal transport plan `(m, m)` between two distributions on the same m points."""
    rows, columns = np.nonzero(start)[0], np.nonzero(end)[0]
    ones_row = np.kron(np.eye(len(rows)), np.ones(len(columns)))
    ones_column = np.kron(np.ones(len(rows)), np.eye(len(columns)))
    solution = linprog(
        cost[np.ix_(rows, columns)].ravel(),
        A_eq=np.vstack([ones_row, ones_column]),
        b_eq=np.concatenate([start[rows], end[columns]]),
        method="highs-ds",
    )
    if not solution.success:
        raise RuntimeError(f"the transport problem was not solved: {solution.message}")
    plan = np.zeros_like(cost)
    plan[np.ix_(rows, columns)] = np.maximum(solution.x, 0).reshape(len(rows), len(columns))
    return plan
