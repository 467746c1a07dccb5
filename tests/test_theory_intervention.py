"""Carried evidence changes no logit; the swap bounds hold; the closed forms are what is fitted."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import align
from align import losses, records, saliency
from align.theory import alignment, carry, gap, information, intervention, swap
from align.theory.gaussian import World
from align.training import Run

many = settings(derandomize=True, deadline=None, max_examples=100)
some = settings(derandomize=True, deadline=None, max_examples=30)
seeds = st.integers(0, 2**32 - 1)


def random_head(seed, classes=3):
    rng = np.random.default_rng(seed)
    features = rng.exponential(2) * rng.normal(size=(4, 5, 3, 2))
    weight, bias = rng.normal(size=(classes, 5)), rng.normal(size=classes)
    return features, weight, bias, rng.integers(classes, size=4), rng


# T5: the map can be moved.


@many
@given(seeds, st.integers(2, 5), st.floats(0, 1), st.booleans(), st.sampled_from([0.0, 3.0]))
def test_carrying_changes_no_logit(seed, classes, amount, each, marker):
    features, weight, bias, _, rng = random_head(seed, classes)
    region = rng.random((4, 3, 2) if each else (3, 2)) * (rng.random((3, 2)) < 0.5)
    region[..., 1, 1] += 0.1
    moved = carry.carried_head(features, weight, bias, region, amount=amount, marker=marker)
    before = alignment.pooled_logits(features, weight, bias)
    np.testing.assert_allclose(alignment.pooled_logits(*moved), before, atol=1e-9)


@many
@given(seeds, st.floats(0, 1))
def test_outside_evidence_falls_linearly_to_nothing(seed, amount):
    features, weight, bias, labels, rng = random_head(seed)
    mask = np.array([[1, 0.5], [1, 0], [0, 0]])
    region = (mask == 1) * rng.random((3, 2))
    moved = carry.carried_head(features, weight, bias, region, amount=amount)
    before = alignment.contrastive_evidence(features, weight, labels)
    after = alignment.contrastive_evidence(moved.features, moved.weight, labels)
    wanted = (1 - amount) * alignment.outside_evidence(before, mask)
    np.testing.assert_allclose(alignment.outside_evidence(after, mask), wanted, atol=1e-9)
    share = region / region.sum()
    total = before.sum(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(after, (1 - amount) * before + amount * share * total, atol=1e-9)


@many
@given(seeds, st.booleans())
def test_with_a_marker_the_min_max_map_is_the_region(seed, soft):
    features, weight, bias, _, rng = random_head(seed)
    mask = rng.random((4, 3, 2)) if soft else (rng.random((4, 3, 2)) < 0.5).astype(float)
    mask[:, 0, 0], mask[:, 2, 1] = 1, 0
    pooled = features.mean(axis=(2, 3)) @ weight.T
    moved = carry.carried_head(features, weight, bias, mask, marker=0.1 - pooled.min().clip(max=0))
    for label in range(3):
        shown = alignment.minmax_map(moved.features, moved.weight, [label] * 4)
        np.testing.assert_allclose(shown, mask, atol=1e-9)
    bound = alignment.pooled_logits(*moved) - alignment.pooled_logits(features, weight, bias)
    np.testing.assert_allclose(bound, 0, atol=1e-9)


def test_without_enough_marker_the_min_max_map_can_be_the_opposite():
    features, weight, mask = -np.ones((1, 1, 2, 2)), np.array([[1.0], [0.0]]), np.eye(2)
    moved = carry.carried_head(features, weight, [0, 0], mask)
    np.testing.assert_array_equal(alignment.minmax_map(*moved[:2], [0])[0], 1 - mask)


def test_carry_is_a_layer_whose_columns_sum_to_one():
    layer = carry.carry(np.array([[[0, 2], [1, 1]], [[1, 0], [0, 0]]]), 0.25)
    assert layer.shape == (2, 4, 4)
    np.testing.assert_allclose(layer.sum(axis=1), 1)
    np.testing.assert_allclose(layer[0, 1], [0.125, 0.875, 0.125, 0.125])
    np.testing.assert_array_equal(carry.carry(np.ones((2, 2)), 0), np.eye(4))


class Carried(torch.nn.Module):
    """A trained trunk and one more layer: a linear map over the cells."""

    def __init__(self, trunk, region):
        super().__init__()
        self.trunk = trunk
        self.cells = torch.nn.Linear(region.size, region.size, bias=False)
        self.cells.weight = torch.nn.Parameter(torch.tensor(carry.carry(region)).float())

    def forward(self, images):
        maps = self.trunk(images)
        return self.cells(maps.flatten(2)).reshape(maps.shape)


@pytest.fixture(scope="module")
def trained():
    return Run.load(records.RESULTS / "checkpoints" / "toy-vlcs-erm").classifier.eval()


def logits_and_evidence(network, domain):
    with torch.no_grad():
        images = domain.images.float() / 255
        logits, features = network(images), network.features(images)
        evidence = saliency.contrastive_evidence(features, network.linear.weight, domain.labels)
    return logits, features, evidence


@pytest.mark.parametrize("inside", ["object", "background", "one corner"])
def test_a_trained_network_with_its_evidence_in_any_region(trained, inside):
    region = np.zeros((8, 8))
    region[3:5, 3:5] = 1
    if inside == "background":
        region = 1 - region
    if inside == "one corner":
        region = np.zeros((8, 8))
        region[0, 0] = 1
    world = align.load("toy-vlcs", n=200, seed=0)
    network = align.Classifier("small-cnn", trained.linear.out_features)
    network.load_state_dict(trained.state_dict())
    network.trunk = Carried(network.trunk, region)
    network.eval()
    for domain in map(world.__getitem__, world.domains):
        before, _, evidence = logits_and_evidence(trained, domain)
        after, _, moved = logits_and_evidence(network, domain)
        assert (after - before).abs().max() < 1e-4 * before.abs().max()
        assert torch.equal(before.argmax(1), after.argmax(1))
        masks = torch.tensor(region).float().expand(len(moved), -1, -1)
        assert losses.alignment_energy(moved, masks) == 0
        assert losses.alignment_energy(evidence, masks) > 0.1  # before, it was not all there


def test_a_trained_network_passes_every_saliency_loss_at_the_true_masks(trained):
    domain = align.load("toy-vlcs", n=200, seed=0)["dusk"]
    labels = domain.labels
    cells = losses.mask_to_cells(domain.masks, (8, 8)).double().numpy()
    cells = (cells >= cells.max(axis=(1, 2), keepdims=True)).astype(float)  # hard, none empty
    _, features, _ = logits_and_evidence(trained, domain)
    weight, bias = (p.detach().double().numpy() for p in trained.linear.parameters())
    pooled = features.double().numpy().mean(axis=(2, 3)) @ weight.T
    moved = carry.carried_head(features, weight, bias, cells, marker=1 - min(pooled.min(), 0))
    np.testing.assert_allclose(alignment.pooled_logits(*moved), pooled + bias, atol=1e-9)
    evidence = alignment.contrastive_evidence(moved.features, moved.weight, labels)
    assert np.all(alignment.outside_share(evidence, cells) == 0)
    shown = torch.tensor(alignment.minmax_map(moved.features, moved.weight, labels))
    masks = torch.tensor(cells)
    assert losses.alignment_l1(shown, masks) < 1e-9
    assert losses.alignment_bce(shown, masks) < 1e-5  # the loss clips the map at 1e-6


# T6: the intervention bounds the gap.


@many
@given(seeds, st.integers(2, 5), st.floats(0.01, 30))
def test_the_chain_is_never_broken(seed, classes, scale):
    rng = np.random.default_rng(seed)
    before, after = scale * rng.normal(size=(2, 6, classes))
    labels, weights = rng.integers(classes, size=6), rng.dirichlet(np.ones(6))
    chain = intervention.intervention_chain(before, after, labels, weights=weights)
    assert chain.bound.holds()
    ends = gap.ce_gap_logits(before, after, labels, weights=weights)
    assert chain.gap == pytest.approx(ends.left) and chain.logits == pytest.approx(ends.right)


def test_the_chain_can_be_tight():
    # Two classes, far on the wrong side, logits that move apart: all four numbers are one.
    chain = intervention.intervention_chain([[-60.0, 0.0]], [[-85.0, 25.0]], [0])
    np.testing.assert_allclose(chain, 50.0)


def random_worlds(rng, shape=(2, 2, 2, 2), labels=3, objects=2):
    """Source and target that share P(O, Y); the backgrounds depend on object and label."""
    parts = np.prod(shape[:objects]), np.prod(shape[objects:])
    shared = rng.dirichlet(np.ones(parts[0] * labels)).reshape(parts[0], 1, labels)

    def joint():
        given = rng.dirichlet(np.full(parts[1], 0.7), (parts[0], labels)).transpose(0, 2, 1)
        return (shared * given).reshape(*shape, labels)

    return joint(), joint()


@many
@given(seeds, st.floats(0.1, 10))
def test_the_target_is_bounded_from_home(seed, scale):
    rng = np.random.default_rng(seed)
    _, target = random_worlds(rng, (3, 4), objects=1)
    q = rng.dirichlet(np.ones(4))
    found = intervention.home_bounds(target, scale * rng.normal(size=(3, 4, 3)), q)
    assert found.ratio >= 1 and found.risk.holds() and found.gap.holds()
    # A rule that never looks at the background moves by nothing, and has no gap.
    blind = np.broadcast_to(rng.normal(size=(3, 1, 3)), (3, 4, 3))
    blind = intervention.home_bounds(target, blind, q)
    assert blind.gap.right == 0 and blind.gap.left < 1e-12


def test_the_bound_on_the_risk_can_be_tight():
    # The whole loss falls on the one background that the target shows more often.
    target = np.array([[[0.5], [0.5]]])
    target = np.concatenate([target, np.zeros((1, 2, 1))], axis=2)
    logits = np.array([[[-40.0, 0.0], [400.0, 0.0]]])
    found = intervention.home_bounds(target, logits, [0.2, 0.8])
    assert found.ratio == pytest.approx(2.5)
    assert found.risk.left == pytest.approx(found.risk.right) == pytest.approx(20.0)


def test_the_bound_on_the_gap_is_within_a_factor_of_two():
    # The target shows the first background only, all margins far below zero and 30 apart.
    target = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    logits = np.array([[[-70.0, 0.0], [-40.0, 0.0]]])
    found = intervention.home_bounds(target, logits, [0.25, 0.75])
    assert found.ratio == pytest.approx(4.0) and found.gap.left == pytest.approx(0.75 * 30)
    assert found.gap.right == pytest.approx(2 * found.gap.left)


@many
@given(seeds, st.booleans())
def test_the_swap_loss_splits_and_bounds_the_movement(seed, own):
    rng = np.random.default_rng(seed)
    joint, _ = random_worlds(rng)
    kept = rng.random(4) < 0.5
    prediction = rng.dirichlet(np.full(3, 0.5), (2, 2, 2, 2))
    replacement = rng.dirichlet(np.ones(2 ** (~kept).sum())) if own else None
    found = intervention.swap_loss(joint, kept, prediction, replacement)
    assert found.split.holds(1e-9) and found.movement.holds()


@many
@given(seeds)
def test_the_rule_of_the_kept_part_has_the_least_swap_loss_and_does_not_move(seed):
    rng = np.random.default_rng(seed)
    joint, _ = random_worlds(rng)
    kept = rng.random(4) < 0.5
    known = joint.sum(axis=tuple(np.flatnonzero(~kept)), keepdims=True)
    rule = np.broadcast_to(known / known.sum(-1, keepdims=True), joint.shape)
    found = intervention.swap_loss(joint, kept, rule)
    assert found.split.left == pytest.approx(information.bayes_risk(joint, kept), abs=1e-9)
    assert found.movement.left < 1e-9 and found.movement.right < 1e-6


@many
@given(seeds, st.floats(0.01, 30))
def test_the_best_rule_under_swap_is_an_average_and_the_best(seed, strength):
    rng = np.random.default_rng(seed)
    joint, _ = random_worlds(rng)
    kept = rng.random(4) < 0.5
    rule = intervention.swap_rule(joint, kept, strength)
    assert rule.pool.holds(1e-9) and rule.share.shape == (2, 2, 2, 2)

    def objective(table):
        plain = -(joint * np.log(table)).sum()
        return plain + strength * intervention.swap_loss(joint, kept, table).split.left

    best = objective(rule.table)
    for _ in range(5):
        other = rule.table * np.exp(0.3 * rng.normal(size=rule.table.shape))
        assert objective(other / other.sum(-1, keepdims=True)) >= best - 1e-12


@many
@given(seeds, st.floats(0.01, 100))
def test_swap_at_a_noisy_mask_lies_within_its_guards(seed, strength):
    rng = np.random.default_rng(seed)
    source, target = random_worlds(rng)
    kept = rng.random(4) < 0.5
    found = intervention.swap_risk(source, target, kept, strength, objects=2)
    assert found.guard.holds()
    masks = np.stack([np.ones(4, bool), kept])
    terms = information.noisy_supervision_terms(source, target, masks, objects=2)
    np.testing.assert_allclose([found.unguided, found.enforced], terms.excess_risk, atol=1e-9)
    weak, strong = (
        intervention.swap_risk(source, target, kept, s, objects=2).swap for s in (1e-9, 1e9)
    )
    # No strength is no mask; full strength is the mask enforced: the same identity.
    np.testing.assert_allclose([weak, strong], terms.excess_risk, atol=1e-4)


# T7: the closed-form world.

BOOK = World(12, 40, 0.35, 0.30, -0.15)
worlds = st.builds(
    World,
    st.integers(1, 6),
    st.integers(0, 6),
    st.floats(0.05, 1),
    st.floats(-1, 1),
    st.floats(-1, 1),
)


def normal_equations(means, kept, strength, fill):
    """The minimiser of the population's two squared errors, solved as they stand."""
    variance, evidence = swap.FILLS[fill]
    d = len(means)
    swapped = np.zeros((d, d))
    inside = np.ix_(kept, kept)
    swapped[inside] = (np.eye(d) + np.outer(means, means))[inside]
    outside = np.ix_(~kept, ~kept)
    swapped[outside] = (variance * np.eye(d) + evidence * np.outer(means, means))[outside]
    moments = np.eye(d) + np.outer(means, means) + strength * swapped
    return np.linalg.solve(moments, means * (1 + strength * kept))


@many
@given(seeds, worlds, st.floats(0, 50), st.sampled_from(list(swap.FILLS)))
def test_swap_is_a_penalty_for_a_linear_rule(seed, world, strength, fill):
    rng = np.random.default_rng(seed)
    means, kept = world.means(), rng.random(world.p + world.q) < 0.5
    weights = normal_equations(means, kept, strength, fill)
    penalty = swap.equivalent_penalty(strength, (means[~kept] ** 2).sum(), fill)
    wanted = means / np.where(kept, 1, 1 + penalty)
    size = np.linalg.norm(weights) * np.linalg.norm(wanted)
    assert weights @ wanted == pytest.approx(size, rel=1e-9, abs=1e-12)
    objects, backgrounds = kept[: world.p].sum(), kept[world.p :].sum()
    found = swap.accuracy(world, objects, backgrounds, strength, fill=fill)
    away = world.means("target")
    if np.linalg.norm(wanted) > 1e-6:
        t = wanted @ away / np.linalg.norm(wanted)
        assert found == pytest.approx(swap.ndtr(t), abs=1e-9)


def test_the_statement_as_it_was_made():
    s, outside = np.array([0.0, 0.3, 1.0, 10.0]), 3.6
    shrinkage = (1 + s) / ((1 + s) ** 2 * (1 + outside) - outside)
    np.testing.assert_allclose(1 / (1 + swap.equivalent_penalty(s, outside)), shrinkage)


def test_swap_fitted_to_samples_is_the_closed_form():
    n, kept = 200_000, np.r_[np.arange(12) < 8, np.arange(40) < 10]
    x, y = BOOK.sample(n, "source", seed=0)
    other, _ = BOOK.sample(n, "source", seed=1)
    x_away, y_away = BOOK.sample(n, "target", seed=2)
    fills = {
        "picture": other,
        "noise": np.random.default_rng(3).normal(size=x.shape),
        "constant": np.zeros_like(x),
    }
    for fill, rest in fills.items():
        swapped = np.where(kept, x, rest)
        for s in (0.3, 1.0, 5.0):
            moments = x.T @ x + s * swapped.T @ swapped
            weights = np.linalg.solve(moments, x.T @ y + s * swapped.T @ y)
            fitted = (np.sign(x_away @ weights) == y_away).mean()
            # Standard errors of the test and of the fit: about 0.001 each.
            assert fitted == pytest.approx(swap.accuracy(BOOK, 8, 10, s, fill=fill), abs=0.006)


@many
@given(worlds, st.floats(0, 1), st.floats(0, 1))
def test_the_best_swap_is_the_best_penalty(world, objects, backgrounds):
    kept = world.p * objects, world.q * backgrounds
    best, penalty = swap.best_strength(world, *kept), world.best_penalty(*kept)
    back = swap.equivalent_penalty(best.strength, swap.outside_signal(world, *kept))
    if np.isfinite(penalty.penalty):
        assert back == pytest.approx(penalty.penalty, rel=1e-6, abs=1e-9)
    assert best.accuracy == penalty.accuracy
    reached = swap.accuracy(world, *kept, np.logspace(-3, 4, 30))
    assert (reached <= best.accuracy + 1e-9).all()


def test_ends_of_the_strength():
    assert swap.accuracy(BOOK, 8, 10, 0) == pytest.approx(BOOK.accuracy(12, 40))
    assert swap.accuracy(BOOK, 8, 10, np.inf) == pytest.approx(BOOK.accuracy(8, 10))
    assert swap.equivalent_penalty(np.inf, 3.6, "constant") == pytest.approx(3.6)
    assert swap.equivalent_penalty(np.inf, 0.0, "constant") == 0
    assert swap.best_rule_accuracy(BOOK, 8, 10, 0) == pytest.approx(BOOK.accuracy(12, 40))
    assert swap.best_rule_accuracy(BOOK, 8, 10, np.inf) == pytest.approx(BOOK.accuracy(8, 10))
    assert swap.best_rule_accuracy(BOOK, 12, 40, 3) == pytest.approx(BOOK.accuracy(12, 40))
    assert swap.best_rule_accuracy(BOOK, 0, 0, 3) == pytest.approx(BOOK.accuracy(12, 40))
    assert swap.best_rule_accuracy(BOOK, 0, 0, np.inf) == 0.5


@many
@given(st.floats(-50, 50), st.floats(1e-3, 1e3))
def test_the_cap(log_odds, strength):
    found = swap.capped(log_odds, strength)
    assert abs(found) <= np.log1p(2 / strength) + 1e-12
    assert found == pytest.approx(-swap.capped(-log_odds, strength), abs=1e-12)
    assert abs(found) <= abs(log_odds) + 1e-12
    slope = (swap.capped(1e-4, strength) - swap.capped(-1e-4, strength)) / 2e-4
    assert slope == pytest.approx(1 / (1 + strength), abs=1e-6)


@some
@given(seeds, st.floats(0.05, 20))
def test_the_cap_is_what_the_best_rule_does(seed, strength):
    # Bits that are independent given the label: the best rule by enumeration, and by the cap.
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.05, 0.95, 4)
    joint, kept = information.bit_world(rates), rng.random(4) < 0.5
    rule = intervention.swap_rule(joint, kept, strength).table
    found = np.log(rule[..., 1] / rule[..., 0])
    signs = 2 * np.indices((2,) * 4) - 1
    each = signs * np.log(rates / (1 - rates))[:, None, None, None, None]
    wanted = each[kept].sum(0) + swap.capped(each[~kept].sum(0), strength)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("strength", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("kept", [(8, 10), (1, 0), (12, 0)])
def test_the_best_rule_in_the_closed_form_world_by_samples(strength, kept):
    n = 400_000
    inside = np.r_[np.arange(12) < kept[0], np.arange(40) < kept[1]]
    for domain in ("source", "target"):
        x, y = BOOK.sample(n, domain, seed=5)
        parts = [2 * x[:, part] @ BOOK.means()[part] for part in (inside, ~inside)]
        said = np.sign(parts[0] + swap.capped(parts[1], strength))
        found = swap.best_rule_accuracy(BOOK, *kept, strength, domain)
        assert (said == y).mean() == pytest.approx(found, abs=0.003)  # 4 standard errors


def test_the_best_rule_is_found_by_descent_too():
    # Two features, logistic rule with a free cap on the second: nothing beats the formula.
    rates = [0.7, 0.9]
    joint, kept = information.bit_world(rates), np.array([True, False])
    rule = intervention.swap_rule(joint, kept, 1.0).table

    def objective(free):
        odds = free.reshape(2, 2)
        table = np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], axis=-1)
        return -(joint * np.log(table)).sum() + (
            intervention.swap_loss(joint, kept, table).split.left
        )

    found = minimize(objective, np.zeros(4), tol=1e-12).x.reshape(2, 2)
    np.testing.assert_allclose(found, np.log(rule[..., 1] / rule[..., 0]), atol=1e-4)


MAPS, WEIGHT = np.zeros((2, 3, 4, 4)), np.zeros((2, 3))
JOINT = np.full((2, 2, 2), 1 / 8)
EVEN = np.full((2, 2, 2), 1 / 2)


GOOD = {
    carry.carry: {"region": np.ones((4, 4)), "amount": 0.5},
    carry.carried_head: {
        "features": MAPS,
        "weight": WEIGHT,
        "bias": [0, 0],
        "region": np.ones((4, 4)),
        "amount": 0.5,
        "marker": 1.0,
    },
    intervention.intervention_chain: {"logits": [[0, 1]], "changed": [[1, 0]], "label": [0]},
    intervention.home_bounds: {
        "joint_target": JOINT,
        "logits": JOINT,
        "replacement": [0.5, 0.5],
    },
    intervention.swap_loss: {"joint": JOINT, "kept": [True, False], "prediction": EVEN},
    intervention.swap_rule: {"joint": JOINT, "kept": [True, False], "strength": 1.0},
    intervention.swap_risk: {
        "joint_source": JOINT,
        "joint_target": JOINT,
        "kept": [True, False],
        "strength": 1.0,
        "objects": 1,
    },
    swap.outside_signal: {"world": BOOK, "kept_object": 6, "kept_background": 2},
    swap.equivalent_penalty: {"strength": 1.0, "outside": 2.0, "fill": "noise"},
    swap.accuracy: {"world": BOOK, "kept_object": 6, "kept_background": 2, "strength": 1.0},
    swap.best_strength: {"world": BOOK, "kept_object": 6, "kept_background": 2},
    swap.capped: {"log_odds": 1.0, "strength": 1.0},
    swap.best_rule_accuracy: {
        "world": BOOK,
        "kept_object": 6,
        "kept_background": 2,
        "strength": 1.0,
    },
}
BAD = [None, "x", [1, "two"], {}, float("nan"), -3, np.zeros((0, 2)), np.ones((2, 3, 4, 5, 6)), 1j]


@pytest.mark.parametrize("function", GOOD, ids=lambda f: f.__name__)
def test_an_argument_of_another_kind_is_taken_or_refused_in_words(function):
    function(**GOOD[function])
    for name in GOOD[function]:
        refused = 0
        for value in BAD:
            try:
                function(**(GOOD[function] | {name: value}))
            except ValueError as error:
                refused += 1
                assert "expected" in str(error), (name, value)
        assert refused >= 5, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: carry.carry(np.zeros((2, 2))), "at least one positive value"),
        (lambda: carry.carry(-np.ones((2, 2))), "no negative value"),
        (lambda: carry.carry(np.ones((2, 2)), 1.5), "amount is 1.5"),
        (lambda: carry.carried_head(MAPS, WEIGHT, [0, 0], np.ones((3, 3))), "expected \\(4, 4\\)"),
        (lambda: carry.carried_head(MAPS, WEIGHT, [0], np.ones((4, 4))), "1 entries"),
        (
            lambda: carry.carried_head(MAPS, WEIGHT, [0, 0], np.ones((4, 4)), marker=-1),
            "marker is -1",
        ),
        (lambda: intervention.intervention_chain([[0, 1]], [[0, 1], [1, 0]], [0]), "same shape"),
        (lambda: intervention.intervention_chain([[0, 1]], [[1, 0]], [2]), "from 0 to 1"),
        (lambda: intervention.home_bounds(JOINT, JOINT, [1, 0]), "positive where the target"),
        (lambda: intervention.swap_loss(JOINT, [True], EVEN), "one entry a feature"),
        (lambda: intervention.swap_loss(JOINT, [True, False], JOINT), "sum to one"),
        (lambda: intervention.swap_loss(JOINT, [True, False], EVEN, [1.0]), "expected 2"),
        (lambda: intervention.swap_rule(JOINT, [True, False], -1), "strength is -1"),
        (lambda: intervention.swap_risk(JOINT, JOINT, [True, False], 0, objects=1), "strength 0"),
        (
            lambda: intervention.swap_risk(
                np.array([[0.5, 0.5], [0, 0]]).reshape(2, 1, 2),
                np.array([[0, 0], [0.5, 0.5]]).reshape(2, 1, 2),
                [True, False],
                1,
                objects=1,
            ),
            "never shows",
        ),
        (lambda: swap.equivalent_penalty(1, -1), "0 or more"),
        (lambda: swap.equivalent_penalty(-1, 1), "0 or more"),
        (lambda: swap.equivalent_penalty(1, 1, "blur"), "picture, noise, constant"),
        (lambda: swap.accuracy(BOOK, 13, 0, 1), r"kept_object is 13, .* in \[0, 12\]"),
        (lambda: swap.best_rule_accuracy(BOOK, 1, 1, 1, "home"), "'source' or 'target'"),
    ],
)
def test_bad_arguments_are_explained(call, message):
    with pytest.raises(ValueError, match=message):
        call()
