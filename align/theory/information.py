"""What a mask costs in information: statement T4 and the noisy-supervision identity.

A world is a joint table `(n_1, ..., n_d, K)`, one axis a feature and the label on the last axis.
A mask `kept` is bool `(d,)`, True where the feature is kept; where several are allowed,
`(masks, d)`. Results are floats for one mask, float64 `(masks,)` for several: exact sums, in nats.
What is no distribution or does not fit together raises a ValueError.

All masks are treated at once. Give each axis on which the masks differ one more slot, holding the
sum over that axis: the extended table then contains every marginal that any of the masks needs,
a marginal's cell being a choice of a value, or of the extra slot, on every axis. For d binary
features and all 2^d masks that is 3^d cells instead of 2^d · 2^d, and no loop over masks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr, xlogy

from align.theory._common import (
    Array,
    Identity,
    as_array,
    as_joint,
    as_joints,
    as_mask,
    check_shared,
    conditional,
    quotient,
)

LARGEST_TABLE = 2**26  # cells of an extended table: half a gigabyte


class Terms(NamedTuple):
    """The three terms of the noisy-supervision identity, and its left side.

    `excess_risk` is computed from the predictions of f̃, never from the other three.
    """

    missed_object: Any
    leaked_information: Any
    mismatch: Any
    excess_risk: Any

    @property
    def identity(self) -> Identity:
        """The identity `excess_risk = missed_object - leaked_information + mismatch`."""
        return Identity(
            self.excess_risk, self.missed_object - self.leaked_information + self.mismatch
        )


def all_masks(features: int) -> np.ndarray:
    """Every mask of 0 to 24 features, the empty one first, bool `(2^features, features)`."""
    if not 0 <= features <= 24:
        raise ValueError(f"asked for all masks of {features} features, expected 0 to 24 features")
    return (np.arange(2**features)[:, None] >> np.arange(features)[::-1] & 1).astype(bool)


def bit_world(agreement: ArrayLike) -> Array:
    r"""The joint of a fair label and bits that are independent given it.

    $P(x,y)=\tfrac12\prod_j r_j^{[x_j=y]}(1-r_j)^{[x_j\ne y]}$: bit j equals the label with
    probability $r_j$ in [0, 1], the `agreement` `(d,)`.
    """
    rates = as_array(agreement, "agreement", 1, ends=(0, 1))
    joint = np.full(2, 0.5)
    for rate in rates[::-1]:
        table = np.array([[rate, 1 - rate], [1 - rate, rate]])
        joint = table.reshape(2, *[1] * (joint.ndim - 1), 2) * joint
    return joint


def bayes_risk(
    joint: Any, kept: Any = None, *, loss: str = "log", values: ArrayLike | None = None
) -> Any:
    r"""The least risk that any predictor can have that sees the kept features.

    `log`: $R^*=H(Y\mid X_M)$. `squared`: $R^*=E\operatorname{Var}(Y\mid X_M)$ with Y the numbers
    `values`. `zero-one`: $R^*=1-E\max_y P(y\mid X_M)$.

    `kept` is one mask or several, None keeping every feature; `values` are `(K,)`, 0, 1, ..., K − 1
    by default.
    """
    if not isinstance(loss, str) or loss not in ("log", "squared", "zero-one"):
        raise ValueError(f"loss is {loss!r}, expected 'log', 'squared' or 'zero-one'")
    table = as_joint(joint, "joint")
    masks, single = _masks(kept, table.ndim - 1)
    cells = _cell_risk(_marginals(table, masks), loss, _values(values, table.shape[-1]))
    risk = _sum_cells(cells, masks)
    return float(risk[0]) if single else risk


def conditional_mutual_information(joint: Any, features: Any, given: Any = None) -> float:
    r"""How much some features tell about the label, once others are known.

    $$\begin{aligned}&I(Y;X_A\mid X_G)\\
      &=\sum_{x,y}p(x_A,x_G,y)\log\frac{p(x_A,x_G,y)\,p(x_G)}{p(x_A,x_G)\,p(x_G,y)}.\end{aligned}$$

    `features` A and `given` G are bool `(d,)`; None means none.
    """
    table = as_joint(joint, "joint")
    count = table.ndim - 1
    known = as_mask(np.zeros(count, bool) if given is None else given, count, "given")
    both = as_mask(features, count, "features") | known
    fine = table.sum(axis=tuple(np.nonzero(~both)[0]), keepdims=True)
    coarse = fine.sum(axis=tuple(np.nonzero(both & ~known)[0]), keepdims=True)
    fine_cell, coarse_cell = fine.sum(-1, keepdims=True), coarse.sum(-1, keepdims=True)
    return float(rel_entr(fine, quotient(fine_cell * coarse, coarse_cell)).sum())


def incomplete_mask_cost(
    joint: Any, kept: Any, *, loss: str = "log", values: ArrayLike | None = None
) -> Identity:
    r"""T4: what it costs to keep only the part Õ of the object O.

    $$\begin{aligned}R^*(\tilde O)-R^*(O)&=I(Y;O\mid\tilde O),\\
      R^*(\tilde O)-R^*(O)&=E\operatorname{Var}\big(E[Y\mid O]\,\big|\,\tilde O\big),\end{aligned}$$
    the first if `loss` is `log`, the second if it is `squared`, with `values` as in `bayes_risk`.
    Neither is ever negative. The joint is $P(o,y)$ over the object's features; `kept`, one mask,
    says which of them Õ has.

    Book: theory/noisy_masks, eq-complete-log, eq-complete-squared.
    """
    table = as_joint(joint, "joint")
    mask = as_mask(kept, table.ndim - 1)
    if loss not in ("log", "squared"):
        raise ValueError(f"loss is '{loss}', expected 'log' or 'squared'")
    options = {"loss": loss, "values": values}
    left = bayes_risk(table, mask, **options) - bayes_risk(table, **options)
    if loss == "log":
        return Identity(left, conditional_mutual_information(table, np.ones_like(mask), mask))
    numbers = _values(values, table.shape[-1])
    cell = table.sum(-1)
    mean = quotient(table @ numbers, cell)
    dropped = tuple(np.nonzero(~mask)[0])
    group = cell.sum(axis=dropped, keepdims=True)
    group_mean = quotient((cell * mean).sum(axis=dropped, keepdims=True), group)
    return Identity(left, float((cell * (mean - group_mean) ** 2).sum()))


def noisy_supervision_terms(
    joint_source: Any, joint_target: Any, kept: Any, *, objects: int
) -> Terms:
    r"""The noisy-supervision identity: the target risk of a learner guided by the mask M̃.

    Let $\tilde f=P_S(Y\mid\tilde O,\tilde B)$ be the source's best prediction from what the mask
    keeps, $f_2=P(Y\mid O)$, and let source and target share $P(O,Y)$. Then, exactly,
    $$\begin{aligned}&R_T(\tilde f)-R(f_2)\\&=\underbrace{I(Y;O\mid\tilde O)}_{\text{missed object}}
      -\underbrace{I_T(Y;\tilde B\mid\tilde O)}_{\text{leaked information}}\\
      &+\underbrace{E_T\,\mathrm{KL}\big(P_T(Y\mid\tilde O,\tilde B)\,\big\|\,
      P_S(Y\mid\tilde O,\tilde B)\big)}_{\text{mismatch}} .\end{aligned}$$
    The vanilla learner is the mask that keeps everything (its first term is zero), the strict
    learner the one that keeps no background (its last two are).

    Where the target shows a kept cell (õ, b̃) that the source never shows, f̃ there is P(Y|õ), a
    limit that theory/noisy_masks explains. Where the source rules out a label that the target
    shows, mismatch and excess risk are both infinite.

    Args:
        joint_source: $P_S(x,y)$, the object's features on the first axes.
        joint_target: the same shape, with the same $P(O,Y)$.
        kept: one mask or several, together of no more than `LARGEST_TABLE` cells.
        objects: how many of the d features belong to the object.

    Book: theory/noisy_masks, eq-identity.
    """
    source, target = as_joints(joint_source, joint_target)
    features = target.ndim - 1
    masks, single = _masks(kept, features)
    if not 0 <= objects <= features:
        raise ValueError(
            f"objects is {objects}, expected a number from 0 to the {features} features"
        )
    background = tuple(range(objects, features))
    check_shared(source, target, background)
    object_masks = masks & (np.arange(features) < objects)

    table, coarse = _marginals(target, masks), _marginals(target, object_masks)
    predicted = conditional(_marginals(source, masks), otherwise=conditional(coarse))
    least = bayes_risk(target.sum(axis=background))
    object_risk = _sum_cells(_cell_risk(coarse), object_masks)
    cells = table.sum(-1, keepdims=True)
    terms = (
        object_risk - least,
        object_risk - _sum_cells(_cell_risk(table), masks),
        _sum_cells(rel_entr(table, cells * predicted).sum(-1), masks),
        _sum_cells(-xlogy(table, predicted).sum(-1), masks) - least,
    )
    return Terms(*(float(term[0]) for term in terms)) if single else Terms(*terms)


def _marginals(joint: Array, masks: np.ndarray) -> Array:
    """The extended table: every marginal that one of the masks keeps (see the file's head)."""
    shape = np.array(joint.shape[:-1])
    cells = np.prod(np.where(masks.all(0), shape, np.where(masks.any(0), shape + 1, 1)))
    if cells * joint.shape[-1] > LARGEST_TABLE:
        raise ValueError(
            f"these {len(masks)} masks need a table of {cells * joint.shape[-1]:,} cells, expected "
            f"at most {LARGEST_TABLE:,}; pass fewer masks at a time"
        )
    for axis, column in enumerate(masks.T):
        total = joint.sum(axis=axis, keepdims=True)
        if not column.any():
            joint = total
        elif not column.all():
            joint = np.concatenate([joint, total], axis=axis)
    return joint


def _sum_cells(cells: Array, masks: np.ndarray) -> Array:
    """Sum an extended table (without label axis) over each mask's own cells: `(masks,)`."""
    index = []
    for axis, column in enumerate(masks.T):
        if column.any() and not column.all():
            values, total = np.split(cells, [cells.shape[axis] - 1], axis=axis)
            cells = np.concatenate([total, values.sum(axis=axis, keepdims=True)], axis=axis)
            index.append(column.astype(np.int64))
        else:
            cells = cells.sum(axis=axis, keepdims=True)
            index.append(np.zeros(len(masks), dtype=np.int64))
    return cells[tuple(index)] if index else np.full(len(masks), cells)


def _cell_risk(table: Array, loss: str = "log", values: Array | None = None) -> Array:
    """Each cell's share of the Bayes risk, the label axis summed out."""
    cell = table.sum(-1, keepdims=True)
    if loss == "log":
        return -rel_entr(table, np.broadcast_to(cell, table.shape)).sum(-1)
    if loss == "squared":
        mean = quotient((table @ values)[..., None], cell)
        return (table * (values - mean) ** 2).sum(-1)
    return cell[..., 0] - table.max(-1)


def _values(values: ArrayLike | None, labels: int) -> Array:
    if values is None:
        return np.arange(labels, dtype=np.float64)
    numbers = as_array(values, "values", 1)
    if len(numbers) != labels:
        raise ValueError(f"got {len(numbers)} values for {labels} labels, expected one a label")
    return numbers


def _masks(kept: Any, features: int) -> tuple[np.ndarray, bool]:
    """Masks as bool `(masks, features)`, and whether only one was given."""
    every = np.ones(features, bool)
    masks = as_mask(every if kept is None else kept, features, several=True)
    return np.atleast_2d(masks), masks.ndim == 1
