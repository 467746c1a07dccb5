"""The closed-form world: the printed numbers, sampling, ridge regression, and the best strength."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from align.theory.gaussian import World

many = settings(derandomize=True, deadline=None, max_examples=150)
EXAMPLE = World(p=12, q=40, mu=0.35, beta_source=0.30, beta_target=-0.15)
STRONGER = World(p=12, q=40, mu=0.5, beta_source=0.30, beta_target=-0.05)  # f1 above chance

effects = st.floats(0.05, 1.0)
worlds = st.builds(
    World,
    p=st.integers(1, 20),
    q=st.integers(1, 40),
    mu=effects,
    beta_source=effects,
    beta_target=st.floats(-1.0, 1.0),
)
# Where the background is worth less on the target than on the source.
shifted = worlds.filter(lambda world: world.beta_target < world.beta_source - 1e-3)
shares = st.floats(0, 1)


def test_the_printed_numbers():
    table = {(12, 40): 0.4417, (12, 0): 0.8873, (6, 0): 0.8044}
    table |= {(12, 10): 0.7462, (6, 20): 0.4587, (0, 40): 0.1714}
    for kept, accuracy in table.items():
        assert round(float(EXAMPLE.accuracy(*kept)), 4) == accuracy
    for penalty, accuracy in {1: 0.6444, 10: 0.8570, 100: 0.8845}.items():
        assert round(float(EXAMPLE.accuracy(12, 0, penalty=penalty)), 4) == accuracy


def within_error(measured, expected, n, tests):
    """Whether a share of n agrees with its expectation, at 1 - 1e-6 for all tests together."""
    limit = norm.isf(1e-6 / (2 * tests))
    return abs(measured - expected) <= limit * np.sqrt(expected * (1 - expected) / n)


@pytest.mark.parametrize("domain", ["source", "target"])
def test_accuracies_agree_with_sampling(domain):
    n = 40_000
    features, labels = EXAMPLE.sample(n, domain, seed=1)
    cases = [(12, 40, None), (12, 0, None), (6, 20, None), (12, 0, 1.0), (9, 13, 4.0)]
    for objects, backgrounds, penalty in cases:
        shrink = 0 if penalty is None else 1 / (1 + penalty)
        kept = np.full(52, float(shrink))
        kept[:objects] = kept[12 : 12 + backgrounds] = 1
        correct = np.mean(np.sign(features @ (kept * EXAMPLE.means())) == labels)
        expected = EXAMPLE.accuracy(objects, backgrounds, domain, penalty)
        assert within_error(correct, expected, n, tests=10)


def test_the_sample_has_the_worlds_moments():
    features, labels = EXAMPLE.sample(40_000, "target", seed=2)
    assert set(np.unique(labels)) == {-1.0, 1.0}
    limit = norm.isf(1e-6 / 104) / np.sqrt(40_000)
    signed = features * labels[:, None]
    assert np.abs(signed.mean(axis=0) - EXAMPLE.means("target")).max() < limit * 1.02
    assert np.abs(np.cov(signed.T) - np.eye(52)).max() < 0.05
    again, _ = EXAMPLE.sample(40_000, "target", seed=2)
    assert np.array_equal(features, again)


@many
@given(worlds, shares, shares, st.floats(0, 1e3), st.sampled_from(["source", "target"]))
def test_the_penalty_is_ridge_regression_outside_the_mask(world, first, second, penalty, domain):
    objects, backgrounds = round(first * world.p), round(second * world.q)
    outside = np.ones(world.p + world.q)
    outside[:objects] = outside[world.p : world.p + backgrounds] = 0
    means = world.means()
    moments = np.eye(len(means)) + np.outer(means, means)
    weights = np.linalg.solve(moments + penalty * np.diag(outside), means)
    separation = weights @ world.means(domain) / np.linalg.norm(weights)
    computed = world.separation(objects, backgrounds, domain, penalty)
    assert computed == pytest.approx(separation, abs=1e-9)


@many
@given(worlds, shares, shares)
def test_strength_runs_from_no_mask_to_the_hard_mask(world, first, second):
    kept = first * world.p, second * world.q
    assert world.accuracy(*kept, penalty=0) == pytest.approx(world.accuracy(world.p, world.q))
    assert world.accuracy(*kept, penalty=np.inf) == world.accuracy(*kept)
    assert world.accuracy(*kept, "source") <= world.accuracy(world.p, world.q, "source") + 1e-12


@many
@given(shifted, shares)
def test_break_even_separates_masks_that_help_from_masks_that_hurt(world, second):
    backgrounds = second * world.q
    needed = world.break_even(backgrounds)
    unguided = world.separation(world.p, world.q)
    if 0 < needed <= world.p:
        tie = world.separation(needed, backgrounds)
        assert tie == pytest.approx(unguided, abs=1e-9)
    objects = np.linspace(0, world.p, 23)
    difference = world.separation(objects, backgrounds) - unguided
    assert np.all(difference[objects < needed - 1e-9] < 1e-9)
    assert np.all(difference[objects > needed + 1e-9] > -1e-9)


def test_break_even_ends_at_the_mask_that_keeps_all():
    assert STRONGER.break_even(40) == pytest.approx(12)
    assert EXAMPLE.break_even(40) == pytest.approx(12)
    assert EXAMPLE.break_even(0) == 0  # the unguided rule is below chance: guessing ties or beats
    # A background worth almost as much on the target: no mask that drops some of it is as good.
    assert World(5, 10, 0.3, 0.3, 0.29).break_even(8) > 5


@many
@given(shifted, shares, shares, shares)
def test_more_is_worth_keeping_exactly_above_the_threshold(world, first, second, share):
    kept_object = world.p * (0.1 + 0.8 * first)  # room for a step either way
    kept_background = world.q * (0.1 + 0.8 * second)
    threshold = world.threshold(kept_object, kept_background)
    assert 0 <= threshold < 1
    assume(abs(share - threshold) > 1e-3)
    step = 1e-4
    more = kept_object + step * share, kept_background + step * (1 - share)
    rise = world.separation(*more) - world.separation(kept_object, kept_background)
    assume(abs(rise) > 1e-12)
    assert (rise > 0) == (share > threshold)


def test_the_best_cut_of_a_calibrated_score_is_the_threshold_at_its_own_mask():
    score = np.linspace(0, 1, 4001)
    density = np.ones_like(score) / len(score)
    objects, backgrounds = (np.cumsum((w * density)[::-1])[::-1] for w in (score, 1 - score))
    world = World(p=20, q=20, mu=0.5, beta_source=0.3, beta_target=-0.05)
    kept = objects / objects[0] * world.p, backgrounds / backgrounds[0] * world.q
    best = int(world.separation(*kept).argmax())
    assert 0 < best < len(score) - 1
    own = world.threshold(kept[0][best], kept[1][best])
    assert abs(own - score[best]) < 2e-3
    assert abs(own - 0.5) > 0.1  # the cut at one half is another


def test_near_the_truth_the_threshold_is_the_backgrounds_share_of_the_evidence_a_feature():
    unknown = World(p=12, q=40, mu=0.5, beta_source=0.3, beta_target=0.0)
    assert np.isclose(unknown.threshold(12, 0), 0.09 / (0.25 + 0.09))
    assert np.isclose(STRONGER.threshold(12, 0), 0.12 / (0.25 + 0.12))
    kept = World(p=12, q=40, mu=0.5, beta_source=0.3, beta_target=0.2)
    assert kept.threshold(12, 0) == 0  # worth more than half of what it was: keep all
    with pytest.raises(ValueError, match="worth no more on the target"):
        World(p=12, q=40, mu=0.5, beta_source=0.1, beta_target=0.2).threshold(12, 0)


@many
@given(worlds, shares, shares, st.sampled_from(["source", "target"]))
def test_no_strength_beats_the_best(world, first, second, domain):
    kept = first * world.p, second * world.q
    best = world.best_penalty(*kept, domain)
    grid = np.concatenate([[0.0, np.inf], np.geomspace(1e-6, 1e6, 241)])
    assert best.accuracy >= world.accuracy(*kept, domain, grid).max() - 1e-12
    assert best.accuracy == world.accuracy(*kept, domain, best.penalty)


@many
@given(shifted, st.data())
def test_a_little_guidance_helps_if_the_mask_is_better_than_chance(world, data):
    objects = data.draw(st.integers(0, world.p))
    backgrounds = data.draw(st.integers(0, world.q))
    odds = objects * world.q - backgrounds * world.p
    assume(odds != 0)
    gain = world.separation(objects, backgrounds, "target", 1e-5)
    gain -= world.separation(world.p, world.q)
    assert np.sign(gain) == np.sign(odds)
    penalty = world.best_penalty(objects, backgrounds).penalty
    if odds > 0:
        assert penalty > 0
    elif world.separation(world.p, world.q) >= 0:
        assert penalty == 0


def test_at_break_even_some_strength_beats_both_the_hard_mask_and_none():
    backgrounds = np.array([5.0, 10.0, 20.0, 30.0])
    objects = STRONGER.break_even(backgrounds)
    unguided = STRONGER.accuracy(12, 40)
    np.testing.assert_allclose(STRONGER.accuracy(objects, backgrounds), unguided)
    best = STRONGER.best_penalty(objects, backgrounds)
    assert np.all((best.penalty > 0) & np.isfinite(best.penalty))
    assert np.all(best.accuracy > unguided + 1e-3)
    # It falls to zero only where the mask is no better than chance, and does so continuously.
    near = STRONGER.best_penalty([3.001, 3.0, 2.0], 10)
    assert 0 < near.penalty[0] < 0.01 and np.all(near.penalty[1:] == 0)


def test_below_chance_the_best_strength_jumps():
    backgrounds = 20.0
    objects = EXAMPLE.break_even(backgrounds)
    below, above = EXAMPLE.best_penalty([objects - 1e-6, objects + 1e-6], backgrounds).penalty
    assert (below, above) == (0.0, np.inf)


def test_a_true_mask_is_enforced_only_as_far_as_the_background_loses_its_meaning():
    # With the true mask the best shrinkage is the ratio of the background's two means.
    world = World(12, 40, 0.35, 0.30, 0.06)
    assert world.best_penalty(12, 0).penalty == pytest.approx(0.30 / 0.06 - 1)
    assert EXAMPLE.best_penalty(12, 0).penalty == np.inf
    assert EXAMPLE.best_penalty(12, 0, "source").penalty == pytest.approx(0)


def test_rules_without_weights_guess():
    assert EXAMPLE.accuracy(0, 0) == 0.5
    assert World(3, 4, 0.2, 0.0, 0.5).accuracy(0, 4) == 0.5
    assert World(3, 0, 0.0, 0.1, 0.1).accuracy(3, 0) == 0.5
    # Every finite strength of an empty mask is the unguided rule.
    finite = EXAMPLE.accuracy(0, 0, penalty=[0, 1e3])
    np.testing.assert_allclose(finite, EXAMPLE.accuracy(12, 40))


def test_arguments_broadcast():
    grid = EXAMPLE.accuracy(np.arange(13)[:, None], np.arange(41), penalty=2.0)
    assert grid.shape == (13, 41)
    assert grid[4, 7] == EXAMPLE.accuracy(4, 7, penalty=2.0)
    best = EXAMPLE.best_penalty(np.arange(13)[:, None], np.arange(41))
    assert best.penalty.shape == best.accuracy.shape == (13, 41)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: World(-1, 4, 0.1, 0.1, 0.1), "p is -1"),
        (lambda: World(2, 1.5, 0.1, 0.1, 0.1), "q is 1.5, expected a whole number"),
        (lambda: World(0, 0, 0.1, 0.1, 0.1), "at least one"),
        (lambda: World(1, 1, np.nan, 0.1, 0.1), "mu holds a number that is not finite"),
        (lambda: EXAMPLE.accuracy(13, 0), r"kept_object is 13, .* in \[0, 12\]"),
        (lambda: EXAMPLE.accuracy(0, [3, 41]), r"kept_background runs from 3 to 41, .* \[0, 40\]"),
        (lambda: EXAMPLE.accuracy(-1, 0), "kept_object is -1, expected"),
        (lambda: EXAMPLE.accuracy(1, 0, "Target"), "domain is 'Target'"),
        (lambda: EXAMPLE.accuracy(1, 0, penalty=-0.1), "penalty is -0.1"),
        (lambda: EXAMPLE.accuracy(1, 0, penalty=np.nan), "penalty is nan"),
        (lambda: EXAMPLE.best_penalty(13, 0), r"kept_object is 13, .* in \[0, 12\]"),
        (lambda: EXAMPLE.break_even(41), r"kept_background is 41, .* in \[0, 40\]"),
        (lambda: World(2, 2, 0.0, 0.1, 0.1).break_even(1), "mu is 0"),
        (lambda: World(2, 2, 0.1, 0.1, 0.2).break_even(1), "worth no more on the target"),
        (lambda: EXAMPLE.sample(0), "asked for 0 samples"),
        (lambda: EXAMPLE.sample(3, "here"), "domain is 'here'"),
    ],
)
def test_bad_arguments_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()
