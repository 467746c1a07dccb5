"""The checkers of the first chapters' exercises: right answers pass, wrong ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from alignbook import exercises


def original_map(features, weight, label, *, rectify=True, guard=True, weights=None):
    evidence = np.tensordot(weight[label] if weights is None else weights, features, 1)
    evidence = np.maximum(evidence, 0) if rectify else evidence
    with np.errstate(all="ignore"):
        return evidence / evidence.max() if evidence.max() > 0 or not guard else evidence


def minmax_map(features, weight, label):
    evidence = np.tensordot(weight[label], features, 1)
    span = np.ptp(evidence)
    return (evidence - evidence.min()) / span if span else evidence


def smoothness(mask):
    return np.abs(np.diff(mask, axis=0)).mean() + np.abs(np.diff(mask, axis=1)).mean()


def pooled(mask):
    steps = [np.abs(np.diff(mask, axis=axis)).ravel() for axis in (0, 1)]
    return np.concatenate(steps).mean()


def around(mask):
    return sum(np.abs(mask - np.roll(mask, 1, axis)).mean() for axis in (0, 1))


def schedule(epoch, warmup, head_start):
    return epoch >= warmup, epoch >= warmup + head_start


def leaked(groups, training, *, held_out=True, empty=0.0):
    shown = groups[~training] if held_out else groups
    return np.isin(shown, groups[training]).mean() if len(shown) else empty


def spoilt(mask, noise, missed, leaked):
    result = mask.copy()
    for inside, share in ((1, missed), (0, leaked)):
        pixels = np.flatnonzero(mask == inside)
        order = pixels[np.argsort(noise[pixels])]
        result[order[: round(share * len(pixels))]] = 1 - inside
    return result


def margin_area(logits, label, *, others=None, clip=False, rescale=True, rule="trapezoid"):
    rest = np.delete(logits, label, axis=1)
    margin = logits[:, label] - (rest.max(axis=1) if others is None else others(rest))
    share = (margin - margin[0]) / (margin[-1] - margin[0]) if rescale else margin
    share = np.clip(share, 0, 1) if clip else share
    return share.mean() if rule == "mean" else ((share[1:] + share[:-1]) / 2).mean()


def softmax_area(logits, label):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    share = weights[:, label] / weights.sum(axis=1)
    share = (share - share[0]) / (share[-1] - share[0])
    return ((share[1:] + share[:-1]) / 2).mean()


def frame_share(mask, width, *, over="all", guard=True):
    frame = np.ones(mask.shape, dtype=bool)
    frame[width:-width, width:-width] = False
    whole = {"all": mask, "inner": mask[~frame]}[over]
    with np.errstate(all="ignore"):
        return mask[frame].mean() / whole.mean() if mask.any() or not guard else 0.0


def occlusion_drops(score, image, side, fill):
    drops = np.zeros(tuple(length // side for length in image.shape))
    for i, j in np.ndindex(drops.shape):
        hidden = image.copy()
        hidden[i * side : (i + 1) * side, j * side : (j + 1) * side] = fill
        drops[i, j] = score(image) - score(hidden)
    return drops


def on_grid(mask, cells, reduce=np.mean):
    tall, wide = (length // cells for length in mask.shape)
    return reduce(mask.reshape(cells, tall, cells, wide), axis=(1, 3))


def piled_up(score, image, side, fill):
    drops, hidden = occlusion_drops(score, image, side, fill), image.copy()
    for i, j in np.ndindex(drops.shape):
        hidden[i * side : (i + 1) * side, j * side : (j + 1) * side] = fill
        drops[i, j] = score(image) - score(hidden)
    return drops


grad_cam, tv, turns, leak, spoil = (
    exercises.check_original_grad_cam,
    exercises.check_smoothness,
    exercises.check_schedule,
    exercises.check_leaked_share,
    exercises.check_spoilt_mask,
)

margin, frame, occlude, cells = (
    exercises.check_margin_area,
    exercises.check_frame_share,
    exercises.check_occlusion,
    exercises.check_mask_to_cells,
)

RIGHT = [
    (margin, margin_area),
    (frame, frame_share),
    (occlude, occlusion_drops),
    (cells, on_grid),
    (grad_cam, original_map),
    (tv, smoothness),
    (turns, schedule),
    (leak, leaked),
    (spoil, spoilt),
    (turns, lambda *a: [float(v) for v in schedule(*a)]),
]

WRONG = [
    (margin, softmax_area),
    (margin, lambda z, y: margin_area(z, y, others=lambda r: np.log(np.exp(r).sum(1)))),
    (margin, lambda z, y: margin_area(z, y, others=lambda r: r.mean(1))),
    (margin, lambda z, y: margin_area(z, y, others=lambda r: 0)),
    (margin, lambda z, y: margin_area(z, y, clip=True)),
    (margin, lambda z, y: margin_area(z, y, rescale=False)),
    (margin, lambda z, y: margin_area(z, y, rule="mean")),
    (margin, lambda z, y: margin_area(z, 0)),
    (margin, lambda z, y: margin_area(z[::-1], y)),
    (frame, lambda m, w: frame_share(m, w, over="inner")),
    (frame, lambda m, w: frame_share(m, w, guard=False)),
    (frame, lambda m, w: frame_share(m, 1)),
    (frame, lambda m, w: frame_share(m, w + 1) if m.any() else 0.0),
    (frame, lambda m, w: frame_share(m, w) * m.mean()),
    (frame, lambda m, w: 1 - m[w:-w, w:-w].sum() / m.sum() if m.any() else 0.0),
    (cells, lambda m, c: on_grid(m, c, np.max)),
    (cells, lambda m, c: on_grid(m, c, np.sum)),
    (cells, lambda m, c: on_grid(m, c).T),
    (cells, lambda m, c: on_grid(m, c) > 0.5),
    (cells, lambda m, c: m[:: m.shape[0] // c, :: m.shape[1] // c]),
    (cells, lambda m, c: m.reshape(c, c, -1).mean(2)),
    (occlude, piled_up),
    (occlude, lambda s, x, k, f: -occlusion_drops(s, x, k, f)),
    (occlude, lambda s, x, k, f: occlusion_drops(s, x, k, 0.0)),
    (occlude, lambda s, x, k, f: occlusion_drops(s, x, k, f).T),
    (occlude, lambda s, x, k, f: occlusion_drops(s, x, k, f) / s(x)),
    (occlude, lambda s, x, k, f: np.abs(occlusion_drops(s, x, k, f))),
    (leak, lambda g, t: leaked(g, ~t)),
    (leak, lambda g, t: leaked(g, t, held_out=False)),
    (leak, lambda g, t: leaked(g, t, empty=1.0)),
    (leak, lambda g, t: len(set(g[t]) & set(g[~t])) / max(1, len(set(g[~t])))),
    (grad_cam, minmax_map),
    (grad_cam, lambda *a: original_map(*a, rectify=False)),
    (grad_cam, lambda *a: original_map(*a, guard=False)),
    (grad_cam, lambda f, w, y: original_map(f, w, 0)),
    (grad_cam, lambda f, w, y: original_map(f, w, y, weights=w[y] - w.mean(0))),
    (grad_cam, lambda f, w, y: original_map(f, w, y).T),
    (tv, lambda m: 2 * pooled(m)),
    (tv, pooled),
    (tv, around),
    (tv, lambda m: np.abs(np.diff(m, axis=0)).sum() + np.abs(np.diff(m, axis=1)).sum()),
    (tv, lambda m: (np.diff(m, axis=0) ** 2).mean() + (np.diff(m, axis=1) ** 2).mean()),
    (tv, lambda m: np.abs(np.diff(m, axis=1)).mean()),
    (turns, lambda e, w, a: schedule(e + 1, w, a)),
    (turns, lambda e, w, a: schedule(e, w, 0)),
    (turns, lambda e, w, a: (True, e >= w + a)),
    (turns, lambda e, w, a: (e >= w and e % 2 == 0, e >= w + a)),
    (turns, lambda e, w, a: (w <= e < w + a, e >= w + a)),
    (turns, lambda e, w, a: (e >= w + a, e >= w + a)),
    (spoil, lambda m, n, a, b: spoilt(m, n, b, a)),
    (spoil, lambda m, n, a, b: spoilt(m, -n, a, b)),
    (spoil, lambda m, n, a, b: np.where(n < np.where(m == 1, a, b), 1 - m, m)),
    (spoil, lambda m, n, a, b: spoilt(spoilt(m, n, a, 0), n, 0, b)),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_are_accepted(check, answer):
    verdict = check(answer)
    assert exercises.is_right(verdict), verdict


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_wrong_answers_are_rejected_with_a_reason(check, answer):
    verdict = check(answer)
    assert not exercises.is_right(verdict)
    assert verdict.startswith("Not yet: on ")


@pytest.mark.parametrize("check", [grad_cam, tv, turns, leak, spoil, margin, frame, occlude, cells])
def test_stubs_and_broken_answers_are_rejected_without_raising(check):
    def fails(*arguments):
        raise ZeroDivisionError("by nought")

    assert "returns nothing" in check(lambda *arguments: None)
    assert "ZeroDivisionError" in check(fails)
    for constant in (0, 0.5, 1, (0, 1), (1, 1, 1), [], np.inf, np.nan):
        assert not exercises.is_right(check(lambda *arguments, c=constant: c))
