"""T4 and the noisy-supervision identity: exact on every joint, for every mask."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align.theory import information
from align.theory.information import all_masks, bayes_risk, noisy_supervision_terms

many = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(
    st.lists(st.integers(1, 3), min_size=0, max_size=3),
    st.lists(st.integers(1, 3), min_size=0, max_size=3),
    st.integers(2, 4),
)


def random_pair(seed, objects, backgrounds, labels, zeros=0.0, target_zeros=0.0):
    """Two joints over object features, background features and label that share P(O, Y)."""
    rng = np.random.default_rng(seed)
    shared = rng.dirichlet(np.full(int(np.prod(objects)) * labels, 0.5))
    shared = shared.reshape(*objects, *[1] * len(backgrounds), labels)
    axes = tuple(range(len(objects), len(objects) + len(backgrounds)))

    def shifted(share):
        table = rng.gamma(0.5, size=(*objects, *backgrounds, labels)) + 1e-6
        table *= rng.random(table.shape) >= share
        table[(..., *[0] * len(backgrounds), slice(None))] += 1e-6
        return shared * table / table.sum(axis=axes, keepdims=True)

    return shifted(zeros), shifted(target_zeros)


def by_loops(source, target, kept, objects):
    """The terms of one mask as a textbook would sum them, cell by cell."""
    features = range(source.ndim - 1)

    def key(x, names):
        return tuple(x[j] for j in names)

    def table(joint, names):
        sums = {}
        for x in itertools.product(*map(range, joint.shape[:-1])):
            cell = sums.setdefault(key(x, names), np.zeros(joint.shape[-1]))
            cell += joint[x]
        return sums

    def entropy(joint, names):
        return sum(
            -p * np.log(p / cell.sum())
            for cell in table(joint, names).values()
            for p in cell
            if p > 0
        )

    both = [j for j in features if kept[j]]
    seen = [j for j in both if j < objects]
    divergence = cross = 0.0
    source_cells, coarse = table(source, both), table(target, seen)
    for x, cell in table(target, both).items():
        belief = source_cells[x] if source_cells[x].sum() > 0 else coarse[x[: len(seen)]]
        for p, b in zip(cell, belief, strict=True):
            if p > 0:
                ratio = b / belief.sum()
                with np.errstate(divide="ignore"):
                    divergence += p * (np.log(p / cell.sum()) - np.log(ratio))
                    cross -= p * np.log(ratio)
    least = entropy(target, range(objects))
    coarse_risk = entropy(target, seen)
    return (coarse_risk - least, coarse_risk - entropy(target, both), divergence, cross - least)


@many
@given(seeds, shapes)
def test_the_identity_holds_for_every_mask(seed, shape):
    objects, backgrounds, labels = shape
    source, target = random_pair(seed, objects, backgrounds, labels)
    masks = all_masks(len(objects) + len(backgrounds))
    terms = noisy_supervision_terms(source, target, masks, objects=len(objects))
    assert terms.identity.holds(1e-9)
    assert terms.excess_risk.shape == (len(masks),)
    for term in terms[:3]:
        assert term.min() >= -1e-12


@settings(derandomize=True, deadline=None, max_examples=15)
@given(seeds, shapes, st.sampled_from([0.0, 0.5]))
def test_the_terms_are_those_of_the_definition(seed, shape, zeros):
    objects, backgrounds, labels = shape
    source, target = random_pair(seed, objects, backgrounds, labels, zeros, zeros)
    masks = all_masks(len(objects) + len(backgrounds))
    terms = noisy_supervision_terms(source, target, masks, objects=len(objects))
    for number, mask in enumerate(masks):
        expected = by_loops(source, target, mask, len(objects))
        np.testing.assert_allclose([term[number] for term in terms], expected, atol=1e-9)


@many
@given(seeds, shapes)
def test_zero_cells_make_the_same_side_infinite(seed, shape):
    objects, backgrounds, labels = shape
    source, target = random_pair(seed, objects, backgrounds, labels, zeros=0.6)
    masks = all_masks(len(objects) + len(backgrounds))
    terms = noisy_supervision_terms(source, target, masks, objects=len(objects))
    assert terms.identity.holds(1e-9)
    assert np.array_equal(np.isinf(terms.mismatch), np.isinf(terms.excess_risk))
    assert np.isfinite(terms.missed_object).all() and np.isfinite(terms.leaked_information).all()


def test_one_mask_and_many_agree():
    source, target = random_pair(5, [2, 3], [2, 2], 3)
    masks = all_masks(4)
    together = noisy_supervision_terms(source, target, masks, objects=2)
    for number, mask in enumerate(masks):
        alone = noisy_supervision_terms(source, target, mask, objects=2)
        assert isinstance(alone.mismatch, float)
        np.testing.assert_allclose(alone, [term[number] for term in together], atol=1e-12)


def test_all_masks_of_twelve_bits():
    source, target = random_pair(7, [2] * 5, [2] * 7, 2)
    terms = noisy_supervision_terms(source, target, all_masks(12), objects=5)
    assert terms.excess_risk.shape == (4096,)
    assert terms.identity.holds(1e-9)


def test_the_three_learners_are_three_masks():
    source, target = random_pair(3, [3, 2], [2, 3], 3)
    vanilla, perfect, strict, none = np.array(
        [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool
    )
    terms = noisy_supervision_terms(source, target, [vanilla, perfect, strict, none], objects=2)
    assert terms.missed_object[0] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose([term[1] for term in terms], 0, atol=1e-12)
    np.testing.assert_allclose([terms.leaked_information[2], terms.mismatch[2]], 0, atol=1e-12)
    assert terms.missed_object[2] > 1e-3
    object_joint = target.sum(axis=(2, 3))
    told = information.conditional_mutual_information(object_joint, [True, True])
    assert terms.excess_risk[3] == pytest.approx(told, abs=1e-12)


def test_without_a_shift_the_identity_has_no_mismatch_and_the_background_can_only_help():
    source, _ = random_pair(4, [2, 2], [2, 2], 2)
    terms = noisy_supervision_terms(source, source, all_masks(4), objects=2)
    np.testing.assert_allclose(terms.mismatch, 0, atol=1e-12)
    full = terms.excess_risk[-1]
    assert full == pytest.approx(-terms.leaked_information[-1], abs=1e-12)
    assert full <= terms.excess_risk.min() + 1e-12


def test_the_mismatch_is_the_shift_that_needs_the_label_to_be_seen():
    source, target = random_pair(8, [3], [2, 3], 3)
    terms = noisy_supervision_terms(source, target, [True, False, True], objects=1)
    seen = target.sum(axis=1), source.sum(axis=1)
    # P(o, y) and P(o) are shared, so joints diverge as much as conditionals given them.
    with_label, without = (
        np.sum(p * np.log(p / q)) for p, q in (seen, [joint.sum(axis=-1) for joint in seen])
    )
    assert terms.mismatch == pytest.approx(with_label - without, abs=1e-9)
    assert terms.mismatch > 0.01


def test_a_cell_that_the_source_never_shows_is_the_limit_of_vanishing_noise():
    # On the source two background bits equal the label; on the target they may disagree.
    shared = information.bit_world([0.8])
    source, target = np.zeros((2, 2, 2, 2)), np.zeros((2, 2, 2, 2))
    for y in range(2):
        source[:, y, y, y] = shared[:, y]
        target[:, y, 1 - y, y] = shared[:, y]
    terms = noisy_supervision_terms(source, target, [True] * 3, objects=1)
    assert terms.mismatch == pytest.approx(terms.leaked_information, abs=1e-12)
    assert terms.excess_risk == pytest.approx(0, abs=1e-12)
    for noise in (1e-3, 1e-6):
        noisy = (1 - noise) * source + noise * shared[:, None, None, :] / 4
        near = noisy_supervision_terms(noisy, target, [True] * 3, objects=1)
        np.testing.assert_allclose(near, terms, atol=10 * noise)
    # One bit alone is a cell that the source shows, with the other label: no finite loss.
    alone = noisy_supervision_terms(source, 1.0 * target[:, ::-1], [False, True, False], objects=1)
    assert alone.mismatch == alone.excess_risk == np.inf


def test_deterministic_label():
    source = information.bit_world([1.0, 0.9])
    target = information.bit_world([1.0, 0.2])
    terms = noisy_supervision_terms(source, target, all_masks(2), objects=1)
    # Masks in order: nothing, the background bit, the object bit, both.
    np.testing.assert_allclose(terms.missed_object, [np.log(2), np.log(2), 0, 0], atol=1e-12)
    np.testing.assert_allclose(terms.excess_risk[[0, 2, 3]], [np.log(2), 0, 0], atol=1e-12)
    expected = -0.2 * np.log(0.9) - 0.8 * np.log(0.1)
    assert terms.excess_risk[1] == pytest.approx(expected, abs=1e-12)
    constant = np.array([[1.0, 0.0]])
    assert bayes_risk(constant) == 0
    assert noisy_supervision_terms(constant, constant, [False], objects=1) == (0, 0, 0, 0)


@many
@given(seeds, shapes, st.sampled_from(["log", "squared"]))
def test_a_mask_must_be_complete(seed, shape, loss):
    objects, backgrounds, labels = shape
    joint, _ = random_pair(seed, objects + backgrounds, [], labels)
    values = np.random.default_rng(seed).normal(size=labels)
    for mask in all_masks(joint.ndim - 1):
        cost = information.incomplete_mask_cost(joint, mask, loss=loss, values=values)
        assert cost.holds(1e-9)
        assert cost.right >= -1e-12


def test_an_incomplete_mask_is_free_only_if_the_rest_is_independent():
    joint = information.bit_world([0.9, 0.5])
    assert information.incomplete_mask_cost(joint, [True, False]).right == pytest.approx(0)
    assert information.incomplete_mask_cost(joint, [False, True]).right > 0.1


def test_squared_error_can_miss_what_cross_entropy_sees():
    # Given o = 0 the label is 1, given o = 1 it is 0 or 2: equal means, other distributions.
    joint = np.array([[0.0, 0.5, 0.0], [0.25, 0.0, 0.25]])
    assert information.incomplete_mask_cost(joint, [False], loss="squared") == (0.0, 0.0)
    assert information.incomplete_mask_cost(joint, [False]).right > 0.3


def test_bayes_risks_of_a_fair_coin_and_a_noisy_bit():
    joint = information.bit_world([0.9])
    masks = [[False], [True]]
    np.testing.assert_allclose(bayes_risk(joint, masks, loss="zero-one"), [0.5, 0.1])
    np.testing.assert_allclose(bayes_risk(joint, masks, loss="squared"), [0.25, 0.09])
    entropy = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
    np.testing.assert_allclose(bayes_risk(joint, masks), [np.log(2), entropy])


@many
@given(seeds, shapes)
def test_chain_rule(seed, shape):
    objects, backgrounds, labels = shape
    joint, _ = random_pair(seed, objects, backgrounds, labels, zeros=0.3)
    count = joint.ndim - 1
    first = np.arange(count) < len(objects)
    information_of = information.conditional_mutual_information
    whole = information_of(joint, np.ones(count, bool))
    parts = information_of(joint, first) + information_of(joint, ~first, first)
    assert whole == pytest.approx(parts, abs=1e-9)
    nothing = bayes_risk(joint, np.zeros(count, bool))
    assert whole == pytest.approx(nothing - bayes_risk(joint), abs=1e-9)


def test_all_masks_lists_each_once():
    masks = all_masks(3)
    assert masks.shape == (8, 3) and len({tuple(mask) for mask in masks}) == 8
    assert not masks[0].any() and masks[-1].all()
    assert all_masks(0).shape == (1, 0)


def test_bit_world_has_the_agreement_asked_for():
    joint = information.bit_world([0.9, 0.6, 0.2])
    assert joint.shape == (2, 2, 2, 2) and joint.sum() == pytest.approx(1)
    assert joint[1, 0, 0, 1] == pytest.approx(0.5 * 0.9 * 0.4 * 0.8)
    assert joint[0, 0, 1, 0] == pytest.approx(0.5 * 0.9 * 0.6 * 0.8)


COIN = np.full((2, 2), 0.25)
SHIFTED = np.array([[0.5, 0.0], [0.25, 0.25]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bayes_risk(2 * COIN), "sums to 2, expected 1; divide it by its sum"),
        (lambda: bayes_risk([[1.5, -0.5]]), "negative probability -0.5"),
        (lambda: bayes_risk([[np.inf, 0.0]]), "not finite"),
        (lambda: bayes_risk(np.zeros((0, 2))), "is empty"),
        (
            lambda: bayes_risk(COIN, [True, False]),
            r"shape \(2,\), expected booleans of shape \(1,\)",
        ),
        (lambda: bayes_risk(COIN, [0.5]), "expected booleans"),
        (lambda: bayes_risk(COIN, loss="hinge"), "loss is 'hinge'"),
        (lambda: bayes_risk(COIN, loss="squared", values=[1]), "1 values for 2 labels"),
        (
            lambda: information.conditional_mutual_information(COIN, [1, 1]),
            r"features is .* of shape \(2,\)",
        ),
        (
            lambda: information.conditional_mutual_information(COIN, [1], [1, 0]),
            r"given is .* of shape \(2,\)",
        ),
        (
            lambda: information.incomplete_mask_cost(COIN, [[True]]),
            r"kept is bool of shape \(1, 1\)",
        ),
        (lambda: information.incomplete_mask_cost(COIN, [1], loss="zero-one"), "'log' or"),
        (lambda: noisy_supervision_terms(COIN, SHIFTED, [1], objects=1), "differ by 0.25 in P"),
        (lambda: noisy_supervision_terms(COIN, SHIFTED, [1], objects=0), "differ by 0.25 in P"),
        (lambda: noisy_supervision_terms(COIN, COIN, [1], objects=2), "objects is 2"),
        (lambda: noisy_supervision_terms(COIN, COIN, [1, 1], objects=1), "one entry a feature"),
        (lambda: noisy_supervision_terms(COIN, np.ones((1, 1)), [1], objects=1), "same shape"),
        (lambda: all_masks(25), "expected 0 to 24 features"),
        (lambda: information.bit_world([1.2]), r"expected all in \[0, 1\]"),
    ],
)
def test_bad_arguments_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_too_many_masks_at_once_are_refused_with_advice():
    joint = np.full((2,) * 17, 2.0**-17)
    with pytest.raises(ValueError, match="pass fewer masks at a time"):
        noisy_supervision_terms(joint, joint, all_masks(16), objects=8)
    few = noisy_supervision_terms(joint, joint, all_masks(16)[:3], objects=8)
    np.testing.assert_allclose(few.excess_risk, 0, atol=1e-12)
