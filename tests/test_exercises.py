"""The checkers of the book's exercises: right answers pass, a bank of wrong ones does not."""

from __future__ import annotations

import re

import numpy as np
import pytest
import test_exercises_foundation as foundation
from scipy.special import ndtr
from scipy.stats import t as student

from align.theory import masker
from alignbook import exercises


def accuracy(world, k_o, k_b, *, beta=None, square=False, guess=0.5):
    beta = world.beta_target if beta is None else beta
    mean = k_o * world.mu**2 + k_b * world.beta_source * beta
    spread = k_o * world.mu**2 + k_b * world.beta_source**2
    if spread == 0:
        return guess
    return float(ndtr(mean / (spread if square else np.sqrt(spread))))


def bound(before, after, weights):
    return 2 * weights @ np.abs(after - before)


def information(joint, given=0):
    """I(Y;B|O) for given = 0, I(Y;O|B) for given = 1."""
    both = joint.sum(axis=2, keepdims=True)
    known = joint.sum(axis=1 - given, keepdims=True)
    base = joint.sum(axis=(1 - given, 2), keepdims=True)
    seen = joint > 0
    ratio = np.where(seen, joint, 1) * base / np.where(seen, both * known, 1)
    return float((joint * np.log(np.where(seen, ratio, 1))).sum())


def marginal_information(joint):
    return information(joint.sum(axis=0, keepdims=True))


def careless_information(joint):
    both, known = joint.sum(2, keepdims=True), joint.sum(1, keepdims=True)
    with np.errstate(all="ignore"):
        terms = joint * np.log(joint * joint.sum((1, 2), keepdims=True) / (both * known))
    return float(terms.sum())


def best(world, k_o, k_b, *, clip=True, flat=False):
    def moments(o, b):
        signal = o * world.mu**2
        b_s, b_t = world.beta_source, world.beta_target
        return signal + b * b_s * b_t, signal + b * b_s**2

    (n0, d0), (n1, d1) = moments(k_o, k_b), moments(world.p - k_o, world.q - k_b)
    if n0 <= 0 or n0 * d1 == 0:
        hard = n0 / np.sqrt(d0) > (n0 + n1) / np.sqrt(d0 + d1)
        return np.inf if hard and not flat else 0.0
    s = n1 * d0 / (n0 * d1)
    s = min(1, max(0, s)) if clip else s
    return np.inf if s == 0 else 1 / s - 1


def share(evidence, mask):
    total = np.abs(evidence).sum()
    return float((np.abs(evidence) * (1 - mask)).sum() / total) if total else 0.0


def bound_of_one(evidence, swapped, mask, *, over=np.max, both=True):
    outside = (1 - mask) * (np.abs(evidence) + both * np.abs(swapped))
    leak = np.abs((mask * (evidence - swapped)).sum(axis=(1, 2)))
    return over(outside.sum(axis=(1, 2)) + leak)


def loose_bound(evidence, swapped, mask):
    cells = (1 - mask) * (np.abs(evidence) + np.abs(swapped)) + mask * np.abs(evidence - swapped)
    return cells.sum(axis=(1, 2)).max()


def soft_label(mask, label, other, classes):
    shares = np.zeros(classes)
    shares[label] += mask.mean()
    shares[other] += 1 - mask.mean()
    return shares


def overwritten_label(mask, label, other, classes):
    shares = np.zeros(classes)
    shares[label], shares[other] = mask.mean(), 1 - mask.mean()
    return shares


def paired_interval(ours, theirs, *, ddof=1, t=2.776):
    gain = np.subtract(ours, theirs)
    half = t * gain.std(ddof=ddof) / np.sqrt(len(gain))
    return gain.mean() - half, gain.mean() + half


def unpaired_interval(ours, theirs):
    gain = np.mean(ours) - np.mean(theirs)
    half = 2.776 * np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / len(ours))
    return gain - half, gain + half


def swap_weights(means, kept, strength, *, behind=True, cross=False, relabel=False):
    moments = np.eye(len(means)) + np.outer(means, means)
    together = cross | (kept[:, None] == kept)
    together = together & (behind | (kept[:, None] & kept))
    right = means * (1 + strength * (kept | relabel))
    return np.linalg.solve(moments + strength * moments * together, right)


def window(evidence, mask, *, count=True, floor=True):
    kept, total = mask @ evidence, evidence.sum()

    def sigma(t):
        return 1 / (1 + np.exp(-t))

    def slope(t):
        return sigma(t) * sigma(-t)

    dist = sigma(kept) - sigma(total - kept)
    gain = 2 * (1 - dist) * (slope(kept) + slope(total - kept)) * (len(mask) if count else 1)
    low = evidence[mask == 0].max()
    return gain * (max(0, low) if floor else low), gain * evidence[mask == 1].min()


RIGHT = [
    (exercises.check_target_accuracy, accuracy),
    (exercises.check_squared_error_bound, bound),
    (exercises.check_leaked_information, information),
    (exercises.check_best_penalty, best),
    (exercises.check_best_penalty, lambda w, o, b: w.best_penalty(o, b).penalty),
    (exercises.check_outside_share, share),
    (exercises.check_alignment_bound, bound_of_one),
    (exercises.check_soft_label, soft_label),
    (exercises.check_paired_interval, paired_interval),
    (exercises.check_paired_interval, lambda a, b: paired_interval(a, b, t=student.ppf(0.975, 4))),
    (exercises.check_swap_weights, swap_weights),
    (exercises.check_sparsity_window, window),
    (exercises.check_sparsity_window, lambda a, m: masker.sparsity_window(a, m)),
]

WRONG = [
    (exercises.check_target_accuracy, lambda w, o, b: accuracy(w, o, b, beta=w.beta_source)),
    (exercises.check_target_accuracy, lambda w, o, b: accuracy(w, o, b, square=True)),
    (exercises.check_target_accuracy, lambda w, o, b: accuracy(w, o, b, guess=0.0)),
    (exercises.check_target_accuracy, lambda w, o, b: accuracy(w, w.p, w.q)),
    (exercises.check_target_accuracy, lambda w, o, b: accuracy(w, o, 0)),
    (exercises.check_squared_error_bound, lambda s, t, w: 2 * abs(w @ t - w @ s)),
    (exercises.check_squared_error_bound, lambda s, t, w: bound(s, t, w) / 2),
    (exercises.check_squared_error_bound, lambda s, t, w: 2 * np.abs(t - s).mean()),
    (exercises.check_squared_error_bound, lambda s, t, w: 2 * np.abs(t - s)),
    (exercises.check_squared_error_bound, lambda s, t, w: abs(w @ t**2 - w @ s**2)),
    (exercises.check_leaked_information, lambda j: information(j, given=1)),
    (exercises.check_leaked_information, lambda j: information(j) / np.log(2)),
    (exercises.check_leaked_information, marginal_information),
    (exercises.check_leaked_information, careless_information),
    (exercises.check_leaked_information, lambda j: -information(j)),
    (exercises.check_best_penalty, lambda w, o, b: 0.0),
    (exercises.check_best_penalty, lambda w, o, b: np.inf),
    (exercises.check_best_penalty, lambda w, o, b: 1.0),
    (exercises.check_best_penalty, lambda w, o, b: best(w, o, b, clip=False)),
    (exercises.check_best_penalty, lambda w, o, b: best(w, o, b, flat=True)),
    (exercises.check_best_penalty, lambda w, o, b: 1 / (1 + best(w, o, b))),
    (exercises.check_outside_share, lambda e, m: share(e.sum(0, keepdims=True), m)),
    (exercises.check_outside_share, lambda e, m: share(e, 1 - m)),
    (exercises.check_outside_share, lambda e, m: float((np.abs(e) * (1 - m)).sum())),
    (exercises.check_outside_share, lambda e, m: share(np.maximum(e, 0), m)),
    (exercises.check_outside_share, lambda e, m: share(e, m > 0.5)),
    (exercises.check_swap_weights, lambda m, k, s: swap_weights(m, k, s, behind=False)),
    (exercises.check_swap_weights, lambda m, k, s: swap_weights(m, k, s, cross=True)),
    (exercises.check_swap_weights, lambda m, k, s: swap_weights(m, k, s, relabel=True)),
    (exercises.check_swap_weights, lambda m, k, s: swap_weights(m, ~k, s)),
    (exercises.check_swap_weights, lambda m, k, s: m / np.where(k, 1, 1 + s)),
    (exercises.check_sparsity_window, lambda a, m: window(a, m)[::-1]),
    (exercises.check_sparsity_window, lambda a, m: window(a, m, count=False)),
    (exercises.check_sparsity_window, lambda a, m: window(a, m, floor=False)),
    (exercises.check_sparsity_window, lambda a, m: (0.0, window(a, m)[1])),
    (exercises.check_sparsity_window, lambda a, m: window(a, m)[1]),
    (exercises.check_alignment_bound, lambda e, s, m: bound_of_one(e, s, 1 - m)),
    (exercises.check_alignment_bound, lambda e, s, m: bound_of_one(e, s, m, over=np.sum)),
    (exercises.check_alignment_bound, lambda e, s, m: bound_of_one(e, s, m, both=False)),
    (exercises.check_alignment_bound, lambda e, s, m: bound_of_one(e, s, m > 0.5)),
    (exercises.check_alignment_bound, lambda e, s, m: bound_of_one(e, s, np.zeros_like(m))),
    (exercises.check_alignment_bound, loose_bound),
    (exercises.check_soft_label, overwritten_label),
    (exercises.check_soft_label, lambda m, y, o, c: soft_label(1 - m, y, o, c)),
    (exercises.check_soft_label, lambda m, y, o, c: soft_label(m > 0.5, y, o, c)),
    (exercises.check_soft_label, lambda m, y, o, c: np.eye(c)[y]),
    (exercises.check_soft_label, lambda m, y, o, c: soft_label(m, y, o, c)[::-1]),
    (exercises.check_paired_interval, unpaired_interval),
    (exercises.check_paired_interval, lambda a, b: paired_interval(b, a)),
    (exercises.check_paired_interval, lambda a, b: paired_interval(a, b)[::-1]),
    (exercises.check_paired_interval, lambda a, b: paired_interval(a, b, ddof=0)),
    (exercises.check_paired_interval, lambda a, b: paired_interval(a, b, t=1.96)),
]

CHECKERS = sorted({check for check, _ in RIGHT}, key=lambda check: check.__name__)


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_are_accepted(check, answer):
    verdict = check(answer)
    assert exercises.is_right(verdict), verdict


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_wrong_answers_are_rejected_with_a_reason(check, answer):
    verdict = check(answer)
    assert not exercises.is_right(verdict)
    assert verdict.startswith("Not yet: on ")


@pytest.mark.parametrize("check", CHECKERS)
def test_stubs_and_broken_answers_are_rejected_without_raising(check):
    def fails(*arguments):
        raise ZeroDivisionError("by nought")

    def writes(*arguments):
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                argument[...] = 0
        return "many"

    assert "returns nothing" in check(lambda *arguments: None)
    assert "ZeroDivisionError" in check(fails)
    assert "TypeError" in check(lambda: 1)
    assert "expected numbers" in check(writes)
    assert "nan" in check(lambda *arguments: np.nan) or "shape" in check(lambda *a: np.nan)
    assert not exercises.is_right(check(lambda *arguments: np.inf))
    for constant in (0, 0.5, 1, (0, 1), []):
        assert not exercises.is_right(check(lambda *arguments, c=constant: c))


def test_every_checker_meets_right_and_wrong_answers():
    every = {getattr(exercises, name) for name in dir(exercises) if name.startswith("check_")}
    assert {check for check, _ in RIGHT + foundation.RIGHT} == every
    assert {check for check, _ in WRONG + foundation.WRONG} == every


def test_what_a_case_was_is_said_where_a_line_holds_it():
    worlds = {12, 3}  # of the named cases

    def answer(world, *kept):
        return world.accuracy(*kept) if world.p in worlds else 0.5

    said = exercises.check_target_accuracy(answer)
    found = re.search(r"given World\(p=(\d+), .*=(-?\d\.\d{3})\), (\d+), (\d+)$", said)
    p, *_, kept_object, _ = found.groups()
    assert said.startswith("Not yet: on random world") and int(kept_object) <= int(p)
    # Of a picture's evidence the numbers would fill a screen.
    assert "given" not in exercises.check_frame_share(lambda evidence, mask: 0.1)


def test_what_a_case_was_is_said_of_answers_of_which_several_are_right():
    said = exercises.check_best_penalty(lambda world, *kept: 0.0)
    assert re.search(r"another λ gives 0\.\d{4}; it was given World\(p=12, .*\), 12, 0$", said)
