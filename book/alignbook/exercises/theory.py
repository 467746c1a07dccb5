"""Checkers of the exercises of the theory chapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from align.theory import alignment, gap, gaussian, information, masker
from alignbook.exercises.verdict import TOLERANCE, verdict


def check_target_accuracy(candidate: Callable[..., Any]) -> str:
    """Check a function for the target accuracy of a hard mask in the closed-form world.

    Args:
        candidate: `candidate(world, kept_object, kept_background) -> float`, for an
            `align.theory.gaussian.World`; it must guess, ½, where the rule has no weight.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    book = gaussian.World(12, 40, 0.35, 0.30, -0.15)
    cases = [
        ("the true mask", (book, 12, 0)),
        ("no mask", (book, 12, 40)),
        ("half the object and half the background", (book, 6, 20)),
        ("an empty mask", (book, 0, 0)),
        ("a background without any meaning on the source", (gaussian.World(3, 2, 0.5, 0, 1), 0, 2)),
    ]
    for number in range(20):
        p, q = (int(count) for count in rng.integers(1, 15, 2))
        world = gaussian.World(p, q, *(float(mean) for mean in rng.uniform(-0.8, 0.8, 3)))
        kept = int(rng.integers(0, p + 1)), int(rng.integers(0, q + 1))
        cases.append((f"random world {number}", (world, *kept)))
    return verdict(candidate, [(name, a, a[0].accuracy(*a[1:])) for name, a in cases])


def check_squared_error_bound(candidate: Callable[..., Any]) -> str:
    """Check a function for the right side of the squared-error bound.

    Args:
        candidate: `candidate(prediction_source, prediction_target, weights) -> float`, for paired
            predictions in [0, 1] and the probabilities of the pairs.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    world = gap.mean_difference_counterexample()
    pairs = [("equal means", world.prediction_source, world.prediction_target, world.weights)]
    for number in range(10):
        weights = rng.dirichlet(np.ones(7))
        pairs.append((f"random pairs {number}", rng.random(7), rng.random(7), weights))
    cases = []
    for name, before, after, weights in pairs:
        bound = gap.mse_gap(before, after, np.zeros(len(before)), weights=weights)
        cases.append((name, (before, after, weights), bound.right))
    return verdict(candidate, cases)


def check_leaked_information(candidate: Callable[..., Any]) -> str:
    """Check a function for what a background tells once the object is known.

    Args:
        candidate: `candidate(joint) -> float`, in nats, for a joint `(objects, backgrounds,
            labels)` that may have cells of probability zero.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    copies = np.zeros((2, 2, 2))
    copies[0, 0, 0] = copies[1, 1, 1] = 0.5
    parity = np.fromfunction(lambda o, b, y: ((o + b) % 2 == y) / 4, (2, 2, 2))
    joints = [
        ("a background that repeats what the object says", copies),
        ("a label that is the parity of object and background", parity),
        ("independent bits", information.bit_world([0.8, 0.7])),
    ]
    for number in range(10):
        joint = rng.dirichlet(np.full(18, 0.5)).reshape(3, 2, 3)
        joints.append((f"random joint {number}", joint))
    background, known = np.array([False, True]), np.array([True, False])
    cases = []
    for name, joint in joints:
        wanted = information.conditional_mutual_information(joint, background, known)
        cases.append((name, (joint,), wanted))
    return verdict(candidate, cases)


def check_best_penalty(candidate: Callable[..., Any]) -> str:
    """Check a function for the best strength of guidance by a given mask.

    Args:
        candidate: `candidate(world, kept_object, kept_background) -> float`, the λ ≥ 0 that tests
            best on the target, `inf` included. An answer counts as right if no other λ tests
            better.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    book = gaussian.World(12, 40, 0.35, 0.30, -0.15)
    mild = gaussian.World(12, 40, 0.5, 0.3, -0.05)
    useful = gaussian.World(12, 40, 0.5, 0.3, 0.1)
    cases = [
        ("the true mask, a misleading background", (book, 12, 0)),
        ("the true mask, a background that keeps some meaning", (useful, 12, 0)),
        ("a mask below break-even", (mild, 6, 12)),
        ("a mask worse than chance", (mild, 2, 30)),
        ("a mask that loses against none", (book, 2, 24)),
    ]
    for number in range(20):
        means = rng.uniform(0.2, 0.6), rng.uniform(0.1, 0.6), rng.uniform(-0.4, 0.4)
        kept = int(rng.integers(1, 9)), int(rng.integers(0, 16))
        cases.append((f"random world {number}", (gaussian.World(8, 15, *means), *kept)))

    def tests_best(answer: float, arguments: tuple[Any, ...]) -> str | None:
        world, *kept = arguments
        if not answer >= 0:
            return f"λ = {answer:g} is not 0 or more"
        reached = world.accuracy(*kept, penalty=answer)
        best = world.best_penalty(*kept)
        if reached < best.accuracy - TOLERANCE:
            return (
                f"λ = {answer:g} gives accuracy {reached:.4f}, another λ gives {best.accuracy:.4f}"
            )
        return None

    return verdict(candidate, [(name, a, None) for name, a in cases], tests_best)


def check_outside_share(candidate: Callable[..., Any]) -> str:
    """Check a function for the energy loss: the share of the evidence outside the object.

    Args:
        candidate: `candidate(evidence, mask) -> float`, for the contrastive evidence `(C, h, w)`
            of one image, class by class, and a mask `(h, w)` in [0, 1].

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    head = alignment.mean_contrast_counterexample()
    cancels = alignment.contrastive_evidence(head.swapped, head.weight, head.labels)[0]
    images = [("evidence of two classes that cancels", cancels, head.mask)]
    for number in range(8):
        evidence = rng.normal(size=(4, 3, 5))
        evidence[0] = 0
        images.append((f"a soft mask {number}", evidence, rng.random((3, 5))))
    images.append(("all evidence inside", np.ones((3, 2, 2)) * np.eye(2), np.eye(2)))
    images.append(("no evidence at all", np.zeros((3, 2, 2)), np.eye(2)))
    cases = []
    for name, evidence, mask in images:
        wanted = float(alignment.outside_share(evidence[None], mask)[0])
        cases.append((name, (evidence, mask), wanted))
    return verdict(candidate, cases)


def check_alignment_bound(candidate: Callable[..., Any]) -> str:
    """Check a function for what a change of background can do to the loss of one image.

    Args:
        candidate: `candidate(evidence, swapped, mask) -> float`, for the contrastive evidence
            `(C, h, w)` of an image, that of the same object before another background, and a mask
            `(h, w)` in [0, 1]; the right side of the alignment bound, in nats.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    images = []
    for number in range(8):
        evidence, swapped = rng.normal(size=(2, 4, 3, 5)) * rng.exponential(2)
        evidence[number % 4] = swapped[number % 4] = 0  # the label's own row
        mask = rng.random((3, 5)) if number % 2 else (rng.random((3, 5)) < 0.4).astype(float)
        images.append(
            (f"{'a soft' if number % 2 else 'a hard'} mask {number}", evidence, swapped, mask)
        )
    same = images[0][1]
    images.append(("a background that does not change", same, same, images[0][3]))
    cases = []
    for name, evidence, swapped, mask in images:
        outside = alignment.outside_evidence(np.stack([evidence, swapped]), mask).sum(axis=0)
        leak = alignment.inside_leak(evidence[None], swapped[None], mask)[0]
        cases.append((name, (evidence, swapped, mask), float((outside + leak).max())))
    return verdict(candidate, cases)


def check_swap_weights(candidate: Callable[..., Any]) -> str:
    """Check a function for the linear rule that is trained with swap.

    Args:
        candidate: `candidate(means, kept, strength) -> (d,)`, the minimiser w of
            E(Y − w·x)² + s E(Y − w·x̃)² in the closed-form world with source means `(d,)`, where
            x̃ has the features outside the boolean mask `kept` taken from another picture.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    worlds = [
        ("no swap at all", rng.normal(size=4), np.array([True, False, True, False]), 0.0),
        ("a mask that keeps everything", rng.normal(size=3), np.ones(3, bool), 2.0),
        ("a mask that keeps nothing", rng.normal(size=3), np.zeros(3, bool), 2.0),
    ]
    for number in range(8):
        kept = rng.random(6) < 0.5
        worlds.append((f"random means {number}", rng.normal(size=6), kept, rng.exponential(2)))
    cases = []
    for name, means, kept, s in worlds:
        inside, outside = (means[kept] ** 2).sum(), (means[~kept] ** 2).sum()
        size = (1 + s) ** 2 * (1 + outside)
        scale = size * (1 + inside) - inside * outside  # the determinant of the two unknowns
        wanted = means * np.where(kept, size - outside, 1 + s) / scale
        cases.append((name, (means, kept, float(s)), wanted))
    return verdict(candidate, cases)


def check_sparsity_window(candidate: Callable[..., Any]) -> str:
    """Check a function for the window of sparsity weights in which a mask holds.

    Args:
        candidate: `candidate(evidence, mask) -> (low, high)`, for evidence `(d,)` in logits and a
            mask `(d,)` of 0 and 1 that keeps at least one feature and drops at least one.

    Returns:
        The verdict, with the first case that is wrong.
    """
    rng = np.random.default_rng(0)
    cases = []
    for number in range(12):
        size = int(rng.integers(2, 9))
        evidence = rng.normal(0.4, 0.6, size)
        mask = np.zeros(size)
        kept = int(rng.integers(1, size))
        mask[rng.permutation(size)[:kept] if number % 2 else np.argsort(-evidence)[:kept]] = 1
        wanted = masker.sparsity_window(evidence, mask)
        cases.append((f"random evidence {number}", (evidence, mask), np.array(wanted)))
    return verdict(candidate, cases)
