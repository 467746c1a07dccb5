"""T1, T2, T3: never violated, reached where they can be, and the false form is false."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from align.theory import gap

fast = settings(derandomize=True, deadline=None, max_examples=25)
many = settings(derandomize=True, deadline=None, max_examples=200)
seeds = st.integers(0, 2**32 - 1)


def random_world(seed, objects=2, backgrounds=4, labels=2, zeros=0.3):
    """Two joints (o, b, y) that share P(o, y), with some cells of probability zero."""
    rng = np.random.default_rng(seed)
    shared = rng.dirichlet(np.ones(objects * labels)).reshape(objects, 1, labels)
    shared *= rng.random(shared.shape) > 0.2
    shared[0, 0, 0] += 0.1
    shared /= shared.sum()

    def conditional():
        table = rng.random((objects, backgrounds, labels))
        table *= rng.random(table.shape) > zeros
        table[:, 0] += 1e-3
        return table / table.sum(axis=1, keepdims=True)

    return rng, shared * conditional(), shared * conditional()


def line(points):
    return np.abs(points[:, None] - points[None, :])


def paired(coupling, table):
    before = table[coupling.object, coupling.background_source, coupling.label]
    return before, table[coupling.object, coupling.background_target, coupling.label]


@fast
@given(seeds)
def test_the_coupling_has_the_right_marginals_and_the_wasserstein_cost(seed):
    rng, source, target = random_world(seed)
    points = np.sort(rng.random(4))
    coupling = gap.best_coupling(source, target, line(points))
    for joint, background in (
        (source, coupling.background_source),
        (target, coupling.background_target),
    ):
        rebuilt = np.zeros_like(joint)
        np.add.at(rebuilt, (coupling.object, background, coupling.label), coupling.probability)
        np.testing.assert_allclose(rebuilt, joint, atol=1e-9)
    cost = 0.0
    for o, y in zip(*np.nonzero(source.sum(axis=1)), strict=True):
        distance = wasserstein_distance(points, points, source[o, :, y], target[o, :, y])
        cost += source[o, :, y].sum() * distance
    assert coupling.cost == pytest.approx(cost, abs=1e-9)


@fast
@given(seeds)
def test_sensitivity_is_bounded(seed):
    rng, source, target = random_world(seed)
    distance = line(rng.normal(size=(4)))
    bound = gap.sensitivity_bound(source, target, rng.normal(size=source.shape), distance)
    assert bound.holds()


def test_sensitivity_bound_is_reached_by_a_linear_prediction():
    _, source, target = random_world(1)
    points = np.array([0.0, 1.0, 3.0, 4.0])
    table = np.broadcast_to((0.5 * points)[None, :, None], source.shape)
    bound = gap.sensitivity_bound(source, target, table, line(points))
    assert bound.left > 0.01
    assert bound.left == pytest.approx(bound.right, abs=1e-12)


def test_a_prediction_that_ignores_the_background_does_not_move():
    rng, source, target = random_world(2)
    table = np.broadcast_to(rng.random((2, 1, 2)), source.shape)
    assert gap.sensitivity_bound(source, target, table, line(np.arange(4.0))) == (0.0, 0.0)


def test_the_lipschitz_constant_ignores_objects_that_never_occur():
    source = np.zeros((2, 2, 1))
    source[0, 0, 0] = 1.0
    target = np.zeros((2, 2, 1))
    target[0, 1, 0] = 1.0
    table = np.array([[[0.0], [0.5]], [[0.0], [100.0]]])
    assert gap.sensitivity_bound(source, target, table, line(np.arange(2.0))) == (0.5, 0.5)


@fast
@given(seeds)
def test_the_chain_from_sensitivity_to_the_gaps_holds_on_distributions(seed):
    rng, source, target = random_world(seed)
    distance = line(rng.normal(size=4))
    logits = rng.normal(size=(2, 4, 2)) * 3
    table = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    epsilon = gap.sensitivity_bound(source, target, table, distance).right
    coupling = gap.best_coupling(source, target, distance)
    weights = coupling.probability

    before, after = paired(coupling, table)
    mse = gap.mse_gap(before, after, np.ones_like(before), weights=weights)
    assert mse.holds() and mse.right <= 2 * epsilon + 1e-9
    ce = gap.ce_gap(before, after, weights=weights)
    assert ce.holds() and ce.right <= epsilon / min(before.min(), after.min()) + 1e-9

    # The gaps are those of the joints themselves, whatever the coupling.
    mse_table = ((table - 1) ** 2 * (target - source)).sum()
    assert mse.left == pytest.approx(abs(mse_table), abs=1e-9)
    assert ce.left == pytest.approx(abs((np.log(table) * (target - source)).sum()), abs=1e-9)


@many
@given(seeds, st.floats(-3, 3), st.floats(0.1, 5))
def test_squared_error_gap_on_any_interval(seed, low, width):
    rng = np.random.default_rng(seed)
    before, after, label = low + width * rng.beta(0.3, 0.3, size=(3, 5))
    weights = rng.dirichlet(np.ones(5))
    bound = gap.mse_gap(before, after, label, weights=weights, interval=(low - 1e-9, low + width))
    assert bound.holds()
    assert bound.right == pytest.approx(2 * width * (weights @ np.abs(after - before)), rel=1e-6)


def test_squared_error_constants_are_two_and_four():
    unit = gap.mse_gap([1 - 1e-9], [1.0], [0.0])
    assert unit.left == pytest.approx(unit.right, rel=1e-6)
    signed = gap.mse_gap([1 - 1e-9], [1.0], [-1.0], interval=(-1, 1))
    assert signed.right == pytest.approx(4e-9, rel=1e-6)
    assert signed.left == pytest.approx(signed.right, rel=1e-6)


@many
@given(seeds, st.floats(1e-6, 0.9))
def test_cross_entropy_gap_with_probabilities(seed, least):
    rng = np.random.default_rng(seed)
    before, after = least + (1 - least) * rng.beta(0.3, 0.3, size=(2, 4))
    assert gap.ce_gap(before, after).holds()


@many
@given(seeds, st.floats(0.01, 50))
def test_cross_entropy_gap_with_logits(seed, scale):
    rng = np.random.default_rng(seed)
    before, after = scale * rng.normal(size=(2, 6, 4))
    label = rng.integers(4, size=6)
    assert gap.ce_gap_logits(before, after, label).holds()


def test_cross_entropy_constant_of_the_logits_is_reached():
    before, after = np.array([[-50.0, 50.0]]), np.array([[-51.0, 51.0]])
    bound = gap.ce_gap_logits(before, after, [0])
    assert bound.left == pytest.approx(bound.right, rel=1e-9) == pytest.approx(2.0)


def test_both_forms_of_cross_entropy_measure_the_same_gap():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 7, 3))
    label = rng.integers(3, size=7)
    table = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    before, after = table[:, np.arange(7), label]
    left = gap.ce_gap(before, after).left
    assert left == pytest.approx(gap.ce_gap_logits(*logits, label).left, abs=1e-12)


def test_equal_means_do_not_mean_equal_errors():
    example = gap.mean_difference_counterexample()
    assert example.weights @ example.prediction_source == 0.5
    assert example.weights @ example.prediction_target == 0.5
    assert example.false_bound == (0.25, 0.0)
    assert not example.false_bound.holds()
    assert example.repaired_bound == (0.25, 1.0)
    assert example.repaired_bound.holds()


HALF = np.full((1, 2, 1), 0.5)
METRIC = line(np.arange(2.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gap.best_coupling(2 * HALF, HALF, METRIC), "sums to 2, expected 1"),
        (lambda: gap.best_coupling(HALF * [[[3], [-1]]], HALF, METRIC), "negative probability"),
        (lambda: gap.best_coupling(HALF, HALF, METRIC + 1), "zeros on the diagonal"),
        (lambda: gap.best_coupling(HALF, HALF, 0 * METRIC), "positive numbers off it"),
        (lambda: gap.best_coupling(HALF, HALF, np.zeros((3, 3))), r"expected \(2, 2\)"),
        (
            lambda: gap.best_coupling(
                np.full((1, 2, 2), 0.25), np.array([[[0.5, 0], [0.25, 0.25]]]), METRIC
            ),
            r"differ by 0.25 in P\(object, label\)",
        ),
        (lambda: gap.sensitivity_bound(HALF, HALF, [[[1.0]]], METRIC), "same shape"),
        (lambda: gap.mse_gap([0.5], [1.5], [0.0]), r"target runs from 1.5 .* all in \[0, 1\]"),
        (lambda: gap.mse_gap([0.5], [0.5], [-1.0]), "label runs from -1"),
        (lambda: gap.mse_gap([0.5], [0.5, 0.5], [0.0]), "same shape"),
        (lambda: gap.mse_gap([0.5], [0.5], [0.0], weights=[0.5, 0.5]), "2 weights for 1 samples"),
        (lambda: gap.mse_gap([0.5], [0.5], [0.0], interval=(1, 0)), "first end below"),
        (lambda: gap.mse_gap([np.nan], [0.5], [0.0]), "not finite"),
        (lambda: gap.mse_gap([], [], []), "no samples"),
        (lambda: gap.ce_gap([0.0], [0.5]), "clip them from below"),
        (lambda: gap.ce_gap([1.1], [0.5]), r"expected all in \(0, 1\]"),
        (lambda: gap.ce_gap_logits([[0.0, 1.0]], [[0.0, 1.0]], [2]), "integers from 0 to 1"),
        (lambda: gap.ce_gap_logits([[0.0, 1.0]], [[0.0, 1.0]], [0, 1]), "2 labels for 1 samples"),
    ],
)
def test_bad_arguments_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()
