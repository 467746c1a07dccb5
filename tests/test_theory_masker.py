"""The masker's threshold rule against gradients, descent and brute force; the two basins."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from align.theory import masker
from align.theory.gaussian import World
from align.theory.information import all_masks

many = settings(derandomize=True, deadline=None, max_examples=150)
few = settings(derandomize=True, deadline=None, max_examples=12)
seeds = st.integers(0, 2**32 - 1)
scales = st.floats(0.05, 6.0)
sparsities = st.floats(0.0, 4.0)

OBJECT = World(12, 12, 0.35, 0.30, -0.15)  # object the stronger evidence, feature by feature
BACKGROUND = World(12, 12, 0.30, 0.35, -0.15)


def torch_loss(mask, evidence, sparsity):
    """The masker's loss, written down a second time."""
    kept, removed = (mask * evidence).sum(-1), ((1 - mask) * evidence).sum(-1)
    dist = torch.sigmoid(kept) - torch.sigmoid(removed)
    return (dist - 1) ** 2 + sparsity * mask.mean(-1)


def descend(evidence, sparsity, starts, steps, rate=0.02):
    """Projected gradient descent on the loss from many starts at once, float64."""
    values = torch.tensor(evidence)
    mask = torch.tensor(starts, requires_grad=True)
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(torch_loss(mask, values, sparsity).sum(), mask)
        with torch.no_grad():
            mask.sub_(rate * len(evidence) * gradient).clamp_(0, 1)
    return mask.detach().numpy(), torch_loss(mask, values, sparsity).detach().numpy()


@many
@given(seeds, scales, sparsities, st.integers(1, 8))
def test_loss_and_gradient_are_those_of_autograd(seed, scale, sparsity, count):
    rng = np.random.default_rng(seed)
    evidence, mask = scale * rng.normal(size=count), rng.random(count)
    variable = torch.tensor(mask, requires_grad=True)
    loss = torch_loss(variable, torch.tensor(evidence), sparsity)
    loss.backward()
    assert masker.masker_loss(mask, evidence, sparsity) == pytest.approx(loss.item(), abs=1e-9)
    gradient = masker.masker_gradient(mask, evidence, sparsity)
    np.testing.assert_allclose(gradient, variable.grad.numpy(), atol=1e-9)


@many
@given(seeds, scales, sparsities, st.integers(1, 8))
def test_the_optimal_mask_is_a_self_consistent_threshold(seed, scale, sparsity, count):
    rng = np.random.default_rng(seed)
    evidence = scale * rng.normal(size=count)
    solution = masker.optimal_mask(evidence, sparsity)
    tolerance = 1e-9 * (1 + solution.threshold)
    assert np.all(solution.mask[evidence > solution.threshold + tolerance] == 1)
    assert np.all(solution.mask[evidence < solution.threshold - tolerance] == 0)
    assert solution.loss == pytest.approx(masker.masker_loss(solution.mask, evidence, sparsity))
    # The threshold is the one of its own S, and dist the one of its own mask.
    kept = solution.mask @ evidence
    slopes = [1 / (2 + 2 * np.cosh(s)) for s in (kept, evidence.sum() - kept)]
    gain = 2 * (1 - solution.dist) * sum(slopes)
    assert solution.threshold == pytest.approx(sparsity / count / gain, rel=1e-6)


@many
@given(seeds, scales, sparsities, st.integers(1, 8))
def test_no_mask_beats_the_optimal_one(seed, scale, sparsity, count):
    rng = np.random.default_rng(seed)
    evidence = scale * rng.normal(size=count)
    solution = masker.optimal_mask(evidence, sparsity)
    masks = np.concatenate([all_masks(count), rng.random((500, count))])
    losses = torch_loss(torch.tensor(masks), torch.tensor(evidence), sparsity).numpy()
    assert solution.loss <= losses.min() + 1e-12
    if np.isin(solution.mask, (0, 1)).all():
        assert np.array_equal(masks[losses[: 2**count].argmin()], solution.mask)


@few
@given(seeds, st.floats(0.2, 4.0), st.floats(0.1, 3.0))
def test_gradient_descent_finds_the_optimal_mask_from_one_of_its_starts(seed, scale, sparsity):
    rng = np.random.default_rng(seed)
    evidence = scale * rng.normal(size=5)
    solution = masker.optimal_mask(evidence, sparsity)
    starts = np.concatenate([rng.random((30, 5)), all_masks(5)])
    masks, losses = descend(evidence, sparsity, starts, steps=300)
    assert losses.min() >= solution.loss - 1e-9
    assert losses.min() == pytest.approx(solution.loss, abs=1e-4)
    np.testing.assert_allclose(masks[losses.argmin()], solution.mask, atol=0.05)


def test_a_dense_search_along_the_order_of_evidence_finds_nothing_better():
    # Much evidence makes the loss bimodal along S: several thresholds are self-consistent.
    amounts = np.linspace(0, 40, 8_001)
    masks = torch.tensor(np.clip(amounts[:, None] - np.arange(40), 0, 1))
    for evidence in (np.full(40, 0.5), np.linspace(1.0, 0.01, 40), np.linspace(3, -1, 40)):
        for sparsity in (0.05, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0):
            solution = masker.optimal_mask(evidence, sparsity)
            least = torch_loss(masks, torch.tensor(evidence), sparsity).min().item()
            assert solution.loss <= least + 1e-12
            assert solution.loss == pytest.approx(least, abs=1e-5)


def test_more_sparsity_keeps_less():
    evidence = np.linspace(-0.5, 1.5, 9)
    kept = [masker.optimal_mask(evidence, s).mask.sum() for s in np.linspace(0, 20, 81)]
    assert kept[0] == (evidence > 0).sum() and kept[-1] == 0
    assert np.all(np.diff(kept) <= 1e-9)


def test_limits_of_the_optimal_mask():
    nothing = masker.optimal_mask([-1.0, 0.0, -0.2], 0.5)
    assert nothing.mask.tolist() == [0, 0, 0]
    everything = masker.optimal_mask([1.0, 0.0, -2.0], 0.0)
    assert everything.mask.tolist() == [1, 0, 0] and everything.threshold == 0
    tied = masker.optimal_mask(np.full(40, 0.5), 1.5)
    assert np.ptp(tied.mask) == 0 and 0 < tied.mask[0] < 1
    huge = masker.optimal_mask([1e4, -1e4], 1e-3)
    assert np.isfinite(huge.loss)


@many
@given(seeds, scales, st.integers(1, 7))
def test_inside_its_window_a_mask_is_a_strict_local_minimum(seed, scale, count):
    rng = np.random.default_rng(seed)
    evidence = scale * rng.normal(size=count)
    kept = evidence >= np.sort(evidence)[rng.integers(count)]
    assume(evidence[kept].min() > 1e-3)
    mask = kept.astype(float)
    window = masker.sparsity_window(evidence, mask)
    assert 0 <= window.low < window.high
    middle = (window.low + window.high) / 2
    gradient = masker.masker_gradient(mask, evidence, middle)
    assert np.all(gradient[kept] < 0) and np.all(gradient[~kept] > 0)
    outside = masker.masker_gradient(mask, evidence, window.high * 1.01)
    assert np.any(outside[kept] > 0)
    if window.low > 0:
        outside = masker.masker_gradient(mask, evidence, window.low * 0.99)
        assert np.any(outside[~kept] < 0)


def test_a_mask_against_the_order_of_evidence_has_no_window():
    low, high = masker.sparsity_window([1.0, 0.5, 0.5, 0.5], [0, 1, 1, 1])
    assert low > high
    assert masker.sparsity_window([1.0, 0.5], [0, 0]).high == np.inf


def test_a_window_is_not_yet_a_global_minimum():
    # The object is the stronger evidence feature by feature, yet keeping all is better.
    evidence = np.repeat([1.0, 0.95], 5)
    window = masker.sparsity_window(evidence, np.repeat([1, 0], 5))
    middle = (window.low + window.high) / 2
    assert window.low < window.high
    assert masker.optimal_mask(evidence, middle).mask.tolist() == [1] * 10


def test_evidence_is_weight_times_mean():
    assert masker.evidence([1.0, -2.0], [3.0, 0.5]).tolist() == [3.0, -1.0]


@pytest.mark.parametrize(("world", "expected"), [(OBJECT, (1.0, 0.0)), (BACKGROUND, (0.0, 1.0))])
def test_the_alternation_locks_in_on_the_stronger_evidence(world, expected):
    path = masker.iterate(world, 8, sparsity=1.35, penalty=10.0)
    assert (path.mask_object[-1], path.mask_background[-1]) == expected
    gap = path.evidence_object - path.evidence_background
    assert abs(gap[-1]) > 2 * abs(gap[0])
    if world is OBJECT:
        assert path.accuracy_target[-1] == pytest.approx(world.accuracy(12, 0, penalty=10.0))
    else:
        assert path.accuracy_target[-1] == pytest.approx(world.accuracy(0, 12, penalty=10.0))
    assert path.accuracy_target[0] == pytest.approx(world.accuracy(12, 12))


@many
@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.floats(0.05, 0.8),
    st.floats(0.05, 0.8),
    st.floats(-0.8, 0.8),
    st.floats(0.0, 5.0),
    st.floats(0.0, 50.0),
)
def test_the_order_never_flips_after_a_warm_up(p, q, mu, beta, target, sparsity, penalty):
    assume(abs(mu - beta) > 1e-6)
    world = World(p, q, mu, beta, target)
    path = masker.iterate(world, 5, sparsity=sparsity, penalty=penalty)
    ratio = path.evidence_object / path.evidence_background
    change = path.accuracy_target - path.accuracy_target[0]
    if mu > beta:
        assert np.all(path.mask_object >= path.mask_background)
        assert np.all(ratio >= (mu / beta) ** 2 * (1 - 1e-12))
        assert target > 0 or np.all(change >= -1e-12)
    else:
        assert np.all(path.mask_object <= path.mask_background)
        assert np.all(ratio <= (mu / beta) ** 2 * (1 + 1e-12))
        assert target > beta or np.all(change <= 1e-12)


def test_without_a_warm_up_the_first_mask_can_decide():
    options = {"sparsity": 1.35, "penalty": 10.0}
    for start in ((1.0, 0.0), (0.0, 1.0)):
        for world in (OBJECT, BACKGROUND):
            path = masker.iterate(world, 6, initial_mask=start, **options)
            assert (path.mask_object[-1], path.mask_background[-1]) == start
    # Weak guidance leaves only the basin that the evidence decides.
    path = masker.iterate(OBJECT, 6, sparsity=1.35, penalty=0.2, initial_mask=(0.0, 1.0))
    assert (path.mask_object[-1], path.mask_background[-1]) == (1.0, 0.0)


def test_the_first_classifier_is_the_calibrated_one():
    path = masker.iterate(OBJECT, 1, sparsity=1.35, penalty=10.0)
    # The source's log-odds is 2 m·x: the mean evidence of a feature is 2 m².
    assert path.evidence_object[0] == pytest.approx(2 * 0.35**2)
    assert path.evidence_background[0] == pytest.approx(2 * 0.30**2)
    features, labels = OBJECT.sample(200_000, "source", seed=0)
    guided = masker.iterate(OBJECT, 2, sparsity=1.35, penalty=10.0)
    weights = np.repeat([guided.evidence_object[1] / 0.35, guided.evidence_background[1] / 0.3], 12)
    logit = features @ weights
    # A calibrated logit has the fitted slope 1: its score has mean zero (5 standard errors).
    score = logit * ((labels + 1) / 2 - 1 / (1 + np.exp(-logit)))
    assert abs(score.mean()) < 5 * score.std() / np.sqrt(len(score))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: masker.optimal_mask([], 1.0), "evidence is empty"),
        (
            lambda: masker.optimal_mask([1.0], -1.0),
            "sparsity is -1, expected a number of 0 or more",
        ),
        (lambda: masker.optimal_mask([np.inf], 1.0), "not finite"),
        (lambda: masker.optimal_mask([[1.0]], 1.0), "expected 1 axes"),
        (lambda: masker.masker_loss([1.0, 1.0], [1.0], 1.0), "2 entries, expected 1"),
        (lambda: masker.masker_gradient([1.5], [1.0], 1.0), r"expected all in \[0, 1\]"),
        (lambda: masker.sparsity_window([1.0], [0.5]), "expected only 0 and 1"),
        (lambda: masker.evidence([1.0], [1.0, 2.0]), "same number of features"),
        (lambda: masker.iterate(OBJECT, 0, sparsity=1, penalty=1), "rounds = 0"),
        (lambda: masker.iterate(OBJECT, 1, sparsity=1, penalty=np.inf), "finite penalty"),
        (lambda: masker.iterate(World(1, 0, 1, 1, 1), 1, sparsity=1, penalty=1), "both kinds"),
        (
            lambda: masker.iterate(OBJECT, 1, sparsity=1, penalty=1, initial_mask=(1, 0, 0)),
            "3 entries, expected 2",
        ),
    ],
)
def test_bad_arguments_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()
