"""The alignment bound is never violated; the counter-examples are what they claim to be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from align.theory import alignment

many = settings(derandomize=True, deadline=None, max_examples=150)
seeds = st.integers(0, 2**32 - 1)


def random_head(seed, classes=3, scale=3.0):
    rng = np.random.default_rng(seed)
    features, swapped = scale * rng.normal(size=(2, 4, 5, 3, 2))
    weight, bias = rng.normal(size=(classes, 5)), rng.normal(size=classes)
    labels = rng.integers(classes, size=4)
    return features, swapped, weight, bias, labels, rng


@many
@given(seeds, st.integers(2, 5), st.floats(0.01, 30), st.booleans())
def test_the_bound_holds_for_any_features_and_any_mask(seed, classes, scale, soft):
    features, swapped, weight, bias, labels, rng = random_head(seed, classes, scale)
    mask = rng.random((4, 3, 2))
    mask = mask if soft else np.round(mask)
    bound = alignment.alignment_bound(features, swapped, weight, bias, labels, mask)
    assert bound.left.shape == bound.right.shape == (4,)
    assert bound.holds()


@many
@given(seeds, st.integers(2, 5))
def test_evidence_sums_to_the_margin(seed, classes):
    features, _, weight, bias, labels, _ = random_head(seed, classes)
    evidence = alignment.contrastive_evidence(features, weight, labels)
    logits = alignment.pooled_logits(features, weight, bias)
    rows = np.arange(4)
    margin = logits[rows, labels][:, None] - logits
    offset = bias[labels][:, None] - bias
    np.testing.assert_allclose(evidence.sum(axis=(2, 3)) + offset, margin, atol=1e-9)
    np.testing.assert_array_equal(evidence[rows, labels], 0)


def test_the_loss_is_torchs():
    features, swapped, weight, bias, labels, rng = random_head(0)
    losses = [
        torch.nn.functional.cross_entropy(
            torch.tensor(maps.mean(axis=(2, 3)) @ weight.T + bias),
            torch.tensor(labels),
            reduction="none",
        ).numpy()
        for maps in (features, swapped)
    ]
    bound = alignment.alignment_bound(features, swapped, weight, bias, labels, np.ones((3, 2)))
    np.testing.assert_allclose(bound.left, np.abs(losses[0] - losses[1]), atol=1e-9)


def test_the_parts_of_the_bound():
    features, swapped, weight, bias, labels, rng = random_head(1)
    before = alignment.contrastive_evidence(features, weight, labels)
    after = alignment.contrastive_evidence(swapped, weight, labels)
    mask = np.array([[1, 0], [1, 1], [0, 0]])
    outside = alignment.outside_evidence(before, mask)
    by_hand = sum(np.abs(before[:, :, u, v]) for u, v in [(0, 1), (2, 0), (2, 1)])
    np.testing.assert_allclose(outside, by_hand)
    leak = alignment.inside_leak(before, after, mask)
    difference = sum((before - after)[:, :, u, v] for u, v in [(0, 0), (1, 0), (1, 1)])
    np.testing.assert_allclose(leak, np.abs(difference))
    right = alignment.alignment_bound(features, swapped, weight, bias, labels, mask).right
    total = outside + alignment.outside_evidence(after, mask) + leak
    np.testing.assert_allclose(right, total.max(axis=1))


def test_limits_of_the_mask():
    features, swapped, weight, bias, labels, _ = random_head(2)
    evidence = alignment.contrastive_evidence(features, weight, labels)
    full, empty = np.ones((3, 2)), np.zeros((3, 2))
    assert np.all(alignment.outside_evidence(evidence, full) == 0)
    assert np.all(alignment.inside_leak(evidence, evidence, full) == 0)
    assert np.all(alignment.outside_share(evidence, full) == 0)
    np.testing.assert_allclose(alignment.outside_share(evidence, empty), 1)
    # With the full mask the bound is the largest change of a margin.
    after = alignment.contrastive_evidence(swapped, weight, labels)
    right = alignment.alignment_bound(features, swapped, weight, bias, labels, full).right
    margins = (evidence - after).sum(axis=(2, 3))
    np.testing.assert_allclose(right, np.abs(margins).max(axis=1))
    assert alignment.outside_share(np.zeros((1, 2, 3, 2)), empty).tolist() == [0.0]
    # The same image twice, evidence inside only: nothing can move.
    inside = features * np.array([[1, 0], [0, 0], [0, 1]])
    mask = np.array([[1, 0], [0, 0], [0, 1]])
    assert np.all(alignment.alignment_bound(inside, inside, weight, bias, labels, mask).right == 0)


def test_the_bound_is_reached_by_a_sure_mistake():
    # Two classes, evidence in one outside cell, both margins far below zero: CE is -margin.
    features = np.zeros((1, 1, 1, 2))
    features[..., 0] = -100.0
    swapped = np.zeros_like(features)
    swapped[..., 1] = 0.0
    weight, bias = np.array([[1.0], [0.0]]), np.array([-60.0, 0.0])
    bound = alignment.alignment_bound(features, swapped, weight, bias, [0], np.array([[0, 1]]))
    assert bound.left[0] == pytest.approx(bound.right[0]) == pytest.approx(50.0)


def test_tensors_that_carry_gradients_are_taken():
    features, swapped, weight, bias, labels, _ = random_head(3)
    mask = np.ones((3, 2))
    arrays = alignment.alignment_bound(features, swapped, weight, bias, labels, mask)
    tensors = [torch.tensor(a, requires_grad=True) for a in (features, swapped, weight, bias)]
    bound = alignment.alignment_bound(*tensors, torch.tensor(labels), torch.tensor(mask))
    np.testing.assert_array_equal(arrays.right, bound.right)


def accuracy(head, features):
    logits = alignment.pooled_logits(features, head.weight, head.bias)
    return np.mean(logits.argmax(axis=1) == head.labels)


@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_a_perfect_min_max_map_can_belong_to_a_background_classifier(classes, scale, leak):
    head = alignment.minmax_counterexample(classes, 6, object_scale=scale, leak=leak)
    for features in (head.features, head.swapped):
        shown = alignment.minmax_map(features, head.weight, head.labels)
        np.testing.assert_allclose(shown, np.broadcast_to(head.mask, shown.shape), atol=1e-9)
    assert accuracy(head, head.features) == 1.0
    assert accuracy(head, head.swapped) == 0.0
    # The object is in the first channel, and it is worth nothing: without it all is as before.
    blind = head._replace(weight=np.concatenate([0 * head.weight[:, :1], head.weight[:, 1:]], 1))
    assert accuracy(blind, head.features) == 1.0
    bound = alignment.alignment_bound(*head)
    assert bound.holds() and bound.left.min() > 0.4


def test_the_contrast_sees_what_the_min_max_map_does_not():
    head = alignment.minmax_counterexample()
    evidence = alignment.contrastive_evidence(head.features, head.weight, head.labels)
    share = alignment.outside_share(evidence, head.mask)
    np.testing.assert_allclose(share, 1 - head.mask.mean())


def test_the_leak_is_seen_by_the_swap_alone():
    head = alignment.minmax_counterexample(leak=True)
    before = alignment.contrastive_evidence(head.features, head.weight, head.labels)
    after = alignment.contrastive_evidence(head.swapped, head.weight, head.labels)
    for evidence in (before, after):
        assert np.all(alignment.outside_share(evidence, head.mask) == 0)
    leak = alignment.inside_leak(before, after, head.mask).max(axis=1)
    np.testing.assert_allclose(leak, alignment.alignment_bound(*head).right)
    assert leak.min() > 0.4


def test_the_mean_contrast_can_be_blind_outside():
    head = alignment.mean_contrast_counterexample()
    outside = head.mask == 0
    for features in (head.features, head.swapped):
        evidence = alignment.contrastive_evidence(features, head.weight, head.labels)
        mean = evidence[:, 1:].mean(axis=1)
        assert np.all(mean[:, outside] == 0)
    assert accuracy(head, head.features) == 1.0
    assert accuracy(head, head.swapped) == 0.0
    bound = alignment.alignment_bound(*head)
    assert bound.holds() and bound.left[0] > 1
    evidence = alignment.contrastive_evidence(head.swapped, head.weight, head.labels)
    assert alignment.outside_share(evidence, head.mask)[0] > 0.5


def test_a_constant_map_is_all_zeros():
    shown = alignment.minmax_map(np.ones((1, 2, 3, 3)), np.ones((2, 2)), [0])
    assert np.array_equal(shown, np.zeros((1, 3, 3)))


MAPS, WEIGHT = np.zeros((2, 3, 4, 4)), np.zeros((2, 3))
EVIDENCE = np.zeros((2, 2, 4, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: alignment.contrastive_evidence(MAPS, WEIGHT.T, [0, 0]), "with the same K"),
        (lambda: alignment.contrastive_evidence(MAPS[0], WEIGHT, [0, 0]), "expected 4 axes"),
        (lambda: alignment.contrastive_evidence(MAPS, WEIGHT[:1], [0, 0]), "C of 2 or more"),
        (lambda: alignment.contrastive_evidence(MAPS, WEIGHT, [0, 2]), "integers from 0 to 1"),
        (lambda: alignment.contrastive_evidence(MAPS, WEIGHT, [0]), "1 labels for 2 samples"),
        (lambda: alignment.pooled_logits(MAPS, WEIGHT, [0.0]), "1 entries for 2 classes"),
        (lambda: alignment.outside_evidence(EVIDENCE, np.ones((8, 8))), "resize it"),
        (lambda: alignment.outside_evidence(EVIDENCE, np.full((4, 4), 2.0)), r"in \[0, 1\]"),
        (lambda: alignment.inside_leak(EVIDENCE, EVIDENCE[:1], np.ones((4, 4))), "same shape"),
        (lambda: alignment.minmax_counterexample(1), "classes = 1"),
        (lambda: alignment.minmax_counterexample(object_scale=0), "positive scale"),
        (lambda: alignment.minmax_counterexample(size=2), "size = 2"),
    ],
)
def test_bad_arguments_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()
