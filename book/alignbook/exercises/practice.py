"""Checkers of the exercises on masks, maps, data and measurements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from align import losses
from alignbook.exercises.verdict import verdict


def check_soft_label(candidate: Callable[..., Any]) -> str:
    """Check a function for the label of a picture that is mixed of two by a mask.

    Args:
        candidate: `candidate(mask, label, other, classes) -> (C,)`, for a mask `(h, w)` in [0, 1]
            that keeps one image, that image's label, the label of the image that fills the rest,
            and the number of classes; each label gets the share of the pixels of its image.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    pictures = [
        ("two classes, half and half", np.array([[1.0, 0.0]]), 0, 1, 2),
        ("two images of the same class", np.array([[1.0, 0.0, 0.0]]), 1, 1, 3),
        ("a mask that keeps all", np.ones((2, 2)), 2, 0, 4),
        ("a mask that keeps nothing", np.zeros((2, 2)), 2, 0, 4),
    ]
    for number in range(6):
        label, other = (int(c) for c in rng.integers(0, 5, 2))
        pictures.append((f"a soft mask {number}", rng.random((3, 4)), label, other, 5))
    cases = []
    for name, mask, label, other, classes in pictures:
        each = np.eye(classes)
        wanted = mask.mean() * each[label] + (1 - mask.mean()) * each[other]
        cases.append((name, (mask, label, other, classes), wanted))
    return verdict(candidate, cases)


def check_paired_interval(candidate: Callable[..., Any]) -> str:
    """Check a function for the paired 95 % interval of two methods over five seeds.

    Args:
        candidate: `candidate(ours, theirs) -> (low, high)`, for two lists of five accuracies, seed
            by seed, with Student's t of 2.776.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    pairs = [
        ("accuracies of a table", [0.81, 0.84, 0.80, 0.83, 0.82], [0.80, 0.80, 0.79, 0.81, 0.80])
    ]
    pairs.append(
        (
            "a method that is always worse by the same",
            [0.5, 0.6, 0.7, 0.6, 0.5],
            [0.6, 0.7, 0.8, 0.7, 0.6],
        )
    )
    for number in range(6):
        hard = rng.normal(0, 0.05, 5)  # a seed that is hard is hard for both
        ours, theirs = 0.7 + hard + rng.normal(0, 0.02, (2, 5))
        pairs.append((f"random seeds {number}", ours.tolist(), theirs.tolist()))
    cases = []
    for name, ours, theirs in pairs:
        gain = np.subtract(ours, theirs)
        half = 2.776 * gain.std(ddof=1) / np.sqrt(5)
        cases.append((name, (ours, theirs), gain.mean() + half * np.array([-1, 1])))
    return verdict(candidate, cases, tolerance=1e-4)  # a t of more digits is right as well


def check_original_grad_cam(candidate: Callable[..., Any]) -> str:
    """Check a function for Grad-CAM as first published: rectified, divided by its maximum.

    Args:
        candidate: `candidate(features, weight, label) -> (h, w)`, for the feature map `(K, h, w)`
            of one image, the weights `(C, K)` of a pooled linear head and a class.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    images = [(f"random features {n}", rng.normal(size=(4, 2, 3)), n % 3) for n in range(8)]
    images.append(("features without any evidence", np.zeros((4, 2, 3)), 0))
    cases = []
    for name, features, label in images:
        weight = rng.normal(size=(3, 4))
        wanted = np.maximum(np.tensordot(weight[label], features, 1), 0)
        wanted /= wanted.max() if wanted.max() > 0 else 1
        cases.append((name, (features, weight, label), wanted))
    return verdict(candidate, cases)


def check_smoothness(candidate: Callable[..., Any]) -> str:
    """Check a function for the masker's smoothness term.

    Args:
        candidate: `candidate(mask) -> float`, for a mask `(H, W)` in [0, 1]: the mean absolute
            difference of vertical neighbours plus that of horizontal neighbours.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    stripe = np.zeros((4, 7))
    stripe[:, 3:] = 1
    masks = [("a constant mask", np.full((3, 4), 0.7)), ("a vertical edge", stripe)]
    masks.append(("a horizontal edge", stripe.T.copy()))
    masks += [(f"a random mask {n}", rng.random((3 + n, 8 - n))) for n in range(5)]
    cases = []
    for name, mask in masks:
        wanted = losses.smoothness(torch.from_numpy(mask)).item()
        cases.append((name, (mask,), wanted))
    return verdict(candidate, cases)


def check_leaked_share(candidate: Callable[..., Any]) -> str:
    """Check a function for the share of held-out images with a group-mate in training.

    Args:
        candidate: `candidate(groups, training) -> float`, for an integer array and a boolean array
            of one length; 0 without held-out images.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    pairs = [
        ("two whole groups", [0, 0, 1, 1], [True, True, False, False]),
        ("a group torn apart", [0, 0, 1, 2], [True, False, False, False]),
        ("no held-out images", [0, 1], [True, True]),
        ("no training images", [0, 0], [False, False]),
        ("large group numbers", [900, 900, 7], [True, False, False]),
    ]
    for number in range(10):
        count = int(rng.integers(2, 30))
        groups, training = rng.integers(0, 8, count), rng.random(count) < rng.random()
        pairs.append((f"random groups {number}", groups, training))
    cases = []
    for name, groups, training in pairs:
        group, kept = np.array(groups), np.array(training)
        trained, held_out = set(group[kept].tolist()), group[~kept].tolist()
        share = sum(g in trained for g in held_out) / len(held_out) if held_out else 0.0
        cases.append((name, (group, kept), share))
    return verdict(candidate, cases)


def check_schedule(candidate: Callable[..., Any]) -> str:
    """Check a function that says who learns in an epoch of ALIGN.

    Args:
        candidate: `candidate(epoch, warmup, head_start) -> (masker, aligned)`, two truth
            values: whether the masker takes steps, and whether the classifier's loss holds the
            alignment.

    Returns:
        The verdict, with the first case that is wrong.
    """
    cases = []
    for warmup, head_start in ((3, 2), (0, 0), (0, 2), (4, 0), (1, 1)):
        for epoch in range(warmup + head_start + 3):
            wanted = np.array([epoch >= warmup, epoch >= warmup + head_start], dtype=float)
            name = f"epoch {epoch} with {warmup} of warm-up and a head start of {head_start}"
            cases.append((name, (epoch, warmup, head_start), wanted))
    return verdict(candidate, cases)


def check_spoilt_mask(candidate: Callable[..., Any]) -> str:
    """Check a function that spoils a mask by exact shares.

    Args:
        candidate: `candidate(mask, noise, missed, leaked) -> (n,)`, for a mask of zeros and ones
            and one number a pixel: it drops the share `missed` of the object's pixels and adds the
            share `leaked` of the others, smallest numbers first, counts rounded.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    shares = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.25), (0.5, 0.25), (1.0, 1.0)]
    shares += [tuple(rng.random(2)) for _ in range(6)]
    cases = []
    for missed, leaked in shares:
        mask, noise = (rng.random(30) < 0.3).astype(float), rng.random(30)
        wanted = mask.copy()
        for inside, share in ((1, missed), (0, leaked)):
            pixels = sorted(np.flatnonzero(mask == inside), key=lambda i, noise=noise: noise[i])
            for pixel in pixels[: round(share * len(pixels))]:
                wanted[pixel] = 1 - inside
        name = f"missed {missed:.2f}, leaked {leaked:.2f}"
        cases.append((name, (mask, noise, float(missed), float(leaked)), wanted))
    return verdict(candidate, cases)


def check_margin_area(candidate: Callable[..., Any]) -> str:
    """Check a function for the area under a normalised margin curve.

    Args:
        candidate: `candidate(logits, label) -> float`, for the logits `(K, C)` of the K pictures of
            an insertion curve, first empty and last whole: the margin of the label over the best
            other class, measured between its two ends and not clipped, integrated by the
            trapezoidal rule over a width of 1. The last margin is larger than the first.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    line = np.stack([np.linspace(0, 2, 5), np.zeros(5)], 1)
    late = np.stack([[0.0, 0.0, 0.0, 3.0], np.zeros(4)], 1)
    overshoots = np.stack([[0.0, 3.0, 1.0], np.zeros(3)], 1)
    curves = [("a straight line", line, 0), ("a margin that rises last", late, 0)]
    curves.append(("a margin above its last value", overshoots, 0))
    curves += [(f"logits times {s:g}", s * late + 1, 0) for s in (0.5, 4.0)]
    for number in range(10):
        logits, label = rng.normal(size=(4 + number, 4)), number % 4
        logits[-1, label] += 8
        curves.append((f"random logits {number}", logits, label))
    cases = []
    for name, logits, label in curves:
        best = np.delete(logits, label, axis=1).max(axis=1)
        margin = logits[:, label] - best
        share = (margin - margin[0]) / (margin[-1] - margin[0])
        wanted = np.trapezoid(share, dx=1 / (len(share) - 1))
        cases.append((name, (logits, label), float(wanted)))
    return verdict(candidate, cases)


def check_frame_share(candidate: Callable[..., Any]) -> str:
    """Check a function for how much more a mask keeps on the picture's frame than everywhere.

    Args:
        candidate: `candidate(mask, width) -> float`, for a mask `(H, W)` in [0, 1] and a frame of
            `width` pixels: the mask's mean on the frame over its mean on all pixels; 0 for a mask
            without any mass.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    centre = np.zeros((8, 10))
    centre[3:5, 3:7] = 1
    corner = np.zeros((8, 10))
    corner[0, 0] = 1
    masks = [("a constant mask", np.full((6, 9), 0.3), 2), ("an object in the centre", centre, 2)]
    masks += [("one corner", corner, 1), ("an empty mask", np.zeros((5, 7)), 1)]
    masks += [(f"a soft mask {n}", rng.random((7 + n, 12 - n)), 1 + n % 3) for n in range(5)]
    cases = []
    for name, mask, width in masks:
        height, across = mask.shape
        edge = [
            min(i, j, height - 1 - i, across - 1 - j) < width
            for i in range(height)
            for j in range(across)
        ]
        frame = np.array(edge).reshape(mask.shape)
        wanted = mask[frame].mean() / mask.mean() if mask.any() else 0.0
        cases.append((name, (mask, width), float(wanted)))
    return verdict(candidate, cases)


def check_occlusion(candidate: Callable[..., Any]) -> str:
    """Check a function for the map of what hiding each square costs.

    Args:
        candidate: `candidate(score, image, side, fill) -> (H / side, W / side)`, for a function
            `score` from an image `(H, W)` to a number, both sides multiples of `side`: for each
            square of `side` pixels, the score of the image minus that with this square alone set
            to `fill`. The image given must stay as it was.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    cases = []
    for number in range(6):
        side, fill = 1 + number % 3, (0.0, 0.5)[number % 2]
        image = rng.random((2 * side, 3 * side))
        weight = rng.normal(size=image.shape)

        def linear(x: np.ndarray, weight: np.ndarray = weight) -> float:
            return float((weight * x).sum())

        def curved(x: np.ndarray, weight: np.ndarray = weight) -> float:
            return float(np.tanh((weight * x).sum()) + x[0, 0] * x[-1, -1])

        for name, score in (("a linear score", linear), ("a score with interactions", curved)):
            wanted = np.zeros((2, 3))
            for i, j in np.ndindex(2, 3):
                hidden = image.copy()
                hidden[i * side : (i + 1) * side, j * side : (j + 1) * side] = fill
                wanted[i, j] = score(image) - score(hidden)
            what = f"{name}, squares of {side} pixels filled with {fill:g}"
            cases.append((what, (score, image, side, fill), wanted))
    return verdict(candidate, cases)


def check_mask_to_cells(candidate: Callable[..., Any]) -> str:
    """Check a function that averages a mask over the cells of a square grid.

    Args:
        candidate: `candidate(mask, cells) -> (cells, cells)`, for a mask `(H, W)` in [0, 1] whose
            sides are multiples of `cells`.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    edge = np.zeros((4, 4))
    edge[:, 1:] = 1
    masks = [("an edge within a cell", edge, 2), ("one cell", rng.random((6, 4)), 1)]
    masks += [
        (f"a random mask {n}", rng.random((n * (1 + n % 3), n * (2 + n % 2))), n)
        for n in range(2, 7)
    ]
    cases = []
    for name, mask, cells in masks:
        rows, columns = (np.array_split(np.arange(length), cells) for length in mask.shape)
        wanted = np.array([[mask[np.ix_(r, c)].mean() for c in columns] for r in rows])
        cases.append((name, (mask, cells), wanted))
    return verdict(candidate, cases)
