"""When learning the mask helps: the masker's threshold rule, and the alternation it drives.

The classifier is frozen. Its logit for the true class is a sum of evidence: feature j of the input
adds a_j, a feature removed adds nothing. For one input x of label y = ±1 and a linear logit w·x
this is exact with a_j = y w_j x_j; with a_j = w_j m_j, the mean evidence, it describes the mask
that is best at the mean input (the mean-field version, which `iterate` uses). As in the book's
table of notation m_j is the mean of feature j and M_j the mask's value.

Throughout, `evidence` is `(d,)`, the a_j, in logits, d at least 1; `mask` is `(d,)` in [0, 1];
`sparsity` is λ₁ ≥ 0, finite. What is out of range or does not fit raises a ValueError.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr

from align.theory._common import Array, as_array
from align.theory.gaussian import World

GRID = 1 / 16  # step in S between which the gradient changes sign at most once
HALVINGS = 60  # of one grid step: to the last digit of a float64


class MaskSolution(NamedTuple):
    """The best mask, float64 `(d,)`, with its threshold on evidence, its `dist` and its loss."""

    mask: Array
    threshold: float
    dist: float
    loss: float


class Window(NamedTuple):
    """An open interval `(low, high)` of sparsity weights λ₁; empty where `low >= high`."""

    low: float
    high: float


class Trajectory(NamedTuple):
    """The alternation, one entry a round: float64 arrays `(rounds,)`.

    Evidence and accuracies are those of the classifier that the round's masker was shown; the
    masks are the masker's answer.
    """

    evidence_object: Array
    evidence_background: Array
    mask_object: Array
    mask_background: Array
    accuracy_source: Array
    accuracy_target: Array


def evidence(weights: ArrayLike, means: ArrayLike) -> Array:
    r"""The evidence of each feature for the true class, $a_j = w_j m_j$.

    Args:
        weights: `(..., d)`, the weights of the logit of y = +1.
        means: `(..., d)`, the features' means $E[x_jY]$; or $y x$ of single inputs.
    """
    weights, means = as_array(weights, "weights"), as_array(means, "means")
    if weights.shape[-1:] != means.shape[-1:]:
        raise ValueError(
            f"weights have shape {weights.shape} and means {means.shape}, "
            "expected the same number of features"
        )
    return weights * means


def masker_loss(mask: ArrayLike, evidence: ArrayLike, sparsity: float) -> float:
    r"""The masker's loss for a frozen two-class classifier.

    $$\begin{aligned}L(M)&=(\mathrm{dist}-1)^2+\frac{\lambda_1}{d}\sum_j M_j,\\
      \mathrm{dist}&=\sigma(S)-\sigma(a_{\mathrm{tot}}-S),\\
      S&=\sum_j M_ja_j,\quad a_{\mathrm{tot}}=\sum_j a_j .\end{aligned}$$

    Book: theory/masker_threshold, eq-masker-loss.
    """
    values, weight = _check(evidence, sparsity)
    kept = _check_mask(mask, len(values))
    return float(_distortion(kept @ values, values.sum()) + weight * kept.sum())


def masker_gradient(mask: ArrayLike, evidence: ArrayLike, sparsity: float) -> Array:
    r"""The gradient of the masker's loss, float64 `(d,)`: per feature, a threshold on its evidence.

    $$\begin{aligned}\frac{\partial L}{\partial M_j}&=-g(S)\,a_j+\frac{\lambda_1}{d},\\
      g(S)&=2(1-\mathrm{dist})\\
      &\quad\cdot\big(\sigma'(S)+\sigma'(a_{\mathrm{tot}}-S)\big)>0 .\end{aligned}$$

    Book: theory/masker_threshold, eq-masker-gradient.
    """
    values, weight = _check(evidence, sparsity)
    kept = _check_mask(mask, len(values))
    return weight - _gain(kept @ values, values.sum()) * values


def optimal_mask(evidence: ArrayLike, sparsity: float) -> MaskSolution:
    r"""The mask of least loss over $[0,1]^d$: a threshold on evidence.

    It keeps $M_j=1$ where $a_j>\theta$ and $M_j=0$ where $a_j<\theta$, with the self-consistent
    threshold $\theta=\lambda_1/(d\,g(S))\ge0$ at its own S; several can be self-consistent, so all
    stationary points along S are compared. Features of equal evidence are kept equally, and among
    equal losses the sparser mask is the answer.

    Book: theory/masker_threshold, eq-threshold.
    """
    values, weight = _check(evidence, sparsity)
    total = values.sum()
    levels, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.flatnonzero(levels > 0)[::-1]
    slopes, counts_kept = levels[order], counts[order]
    reached = np.concatenate([[0.0], np.cumsum(slopes * counts_kept)])
    stationary, segment = _interior_minima(reached, slopes, total, weight)
    filled = np.concatenate([[0.0], np.cumsum(counts_kept)])
    inside = filled[segment] + (stationary - reached[segment]) / slopes[segment]
    sums, sizes = np.concatenate([reached, stationary]), np.concatenate([filled, inside])
    losses = _distortion(sums, total) + weight * sizes
    best = int(np.argmin(losses))
    share = np.zeros(len(levels))
    share[order] = np.clip((sizes[best] - filled[:-1]) / counts_kept, 0, 1)
    threshold = float(np.divide(weight, _gain(sums[best], total))) if weight else 0.0
    dist = float(expit(sums[best]) - expit(total - sums[best]))
    return MaskSolution(share[group], threshold, dist, float(losses[best]))


def sparsity_window(evidence: ArrayLike, mask: ArrayLike) -> Window:
    r"""The sparsity weights for which a 0-1 mask is a strict local minimiser of the loss.

    That is where descent leads strictly out of the cube in every coordinate:
    $$d\,g(S)\max_{j:\,M_j=0}a_j\;<\;\lambda_1\;<\;d\,g(S)\min_{j:\,M_j=1}a_j .$$
    `low` is no less than 0, and `high` infinite for the empty mask.

    Book: theory/masker_threshold, eq-window.
    """
    values, _ = _check(evidence, 0.0)
    kept = _check_mask(mask, len(values))
    if not np.isin(kept, (0, 1)).all():
        raise ValueError("mask holds values between 0 and 1, expected only 0 and 1")
    gain = len(values) * _gain(kept @ values, values.sum())
    low = gain * np.max(values[kept == 0], initial=0.0)
    high = gain * np.min(values[kept == 1]) if kept.any() else np.inf
    return Window(float(low), float(high))


def iterate(
    world: World,
    rounds: int,
    *,
    sparsity: float,
    penalty: float,
    initial_mask: tuple[float, float] | None = None,
) -> Trajectory:
    r"""Alternate masker and classifier in the closed-form world.

    In every round the classifier is fitted on the source under the mask M before: $w_j=\kappa v_j$,
    $v_j=m_j/(1+\lambda_3(1-M_j))$, the penalty of `World.accuracy` for soft masks, with the scale
    $\kappa=2\frac{v\cdot m}{\lVert v\rVert^2}$ that calibrates its logit on the source. Then the
    masker answers its mean evidence $a_j=w_jm_j$ with `optimal_mask`. Where this leads, with a
    warm-up and without, theory/masker_threshold proves.

    Args:
        world: the closed-form world; both kinds of feature must exist.
        rounds: how many rounds, 1 or more.
        sparsity: $\lambda_1$ of the masker.
        penalty: $\lambda_3\ge0$ of the classifier, finite.
        initial_mask: $(M_o, M_b)$ in [0, 1] to fit the first classifier under; None fits it without
            any mask (warm-up).

    Book: theory/masker_threshold, eq-evidence-round.
    """
    if rounds < 1 or not 0 <= penalty < np.inf or world.p == 0 or world.q == 0:
        raise ValueError(
            f"got rounds = {rounds}, penalty = {penalty}, p = {world.p}, q = {world.q}; expected "
            "at least one round, a finite penalty of 0 or more and features of both kinds"
        )
    mask = _check_mask((1.0, 1.0) if initial_mask is None else initial_mask, 2)
    means = np.array([world.mu, world.beta_source])
    counts = np.array([world.p, world.q])
    history = []
    for _ in range(rounds):
        direction = means / (1 + penalty * (1 - mask))
        norm = counts @ direction**2
        scale = 2 * (counts @ (direction * means)) / norm if norm > 0 else 0.0
        shown = evidence(scale * direction, means)
        answer = optimal_mask(np.repeat(shown, counts), sparsity).mask
        mask = np.array([answer[0], answer[-1]])
        accuracies = [_accuracy(world, direction, domain) for domain in ("source", "target")]
        history.append([*shown, *mask, *accuracies])
    return Trajectory(*np.array(history).T)


def _accuracy(world: World, direction: Array, domain: str) -> float:
    """The accuracy of a rule with one weight for all object features and one for the others."""
    weights = np.repeat(direction, [world.p, world.q])
    norm = np.linalg.norm(weights)
    return float(ndtr(weights @ world.means(domain) / norm)) if norm > 0 else 0.5


def _distortion(kept: Any, total: Any) -> Any:
    """(dist − 1)², without loss of digits where dist is close to 1."""
    return (expit(-kept) + expit(total - kept)) ** 2


def _gain(kept: Any, total: Any) -> Any:
    """How fast the loss falls as S grows: g(S) = 2(1 − dist)(σ'(S) + σ'(a_tot − S))."""
    rest = total - kept
    slope = expit(kept) * expit(-kept) + expit(rest) * expit(-rest)
    return 2 * (expit(-kept) + expit(rest)) * slope


def _interior_minima(
    reached: Array, slopes: Array, total: float, weight: float
) -> tuple[Array, np.ndarray]:
    """Where the loss along S turns from falling to rising inside a segment, and which segment.

    On segment k, from `reached[k]` to `reached[k + 1]`, the loss has the slope
    `weight / slopes[k] - g(S)` in S; g varies on the scale of one logit.
    """
    steps = np.ceil(np.diff(reached) / GRID).astype(np.int64)
    segment = np.repeat(np.arange(len(slopes)), steps)
    position = np.arange(len(segment)) - np.repeat(np.cumsum(steps) - steps, steps)
    width = (np.diff(reached) / np.maximum(steps, 1))[segment]
    low = reached[segment] + position * width
    high = low + width

    def rising(points: Array) -> np.ndarray:
        return weight / slopes[segment] > _gain(points, total)

    turns = ~rising(low) & rising(high)
    low, high, segment = low[turns], high[turns], segment[turns]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        up = rising(middle)
        low, high = np.where(up, low, middle), np.where(up, middle, high)
    return (low + high) / 2, segment


def _check(evidence: ArrayLike, sparsity: float) -> tuple[Array, Array]:
    """The evidence as an array, and the cost λ₁/d of keeping one feature."""
    values = as_array(evidence, "evidence", 1)
    if len(values) == 0:
        raise ValueError("evidence is empty, expected at least one feature")
    return values, as_array(sparsity, "sparsity", 0, ends=(0, np.inf)) / len(values)


def _check_mask(mask: ArrayLike, features: int) -> Array:
    kept = as_array(mask, "mask", 1, ends=(0, 1))
    if len(kept) != features:
        raise ValueError(f"the mask has {len(kept)} entries, expected {features}: one a feature")
    return kept
