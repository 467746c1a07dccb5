"""Each method against values worked out by hand, in a short run, and in forward passes."""

import math
from dataclasses import replace

import pytest
import torch
from synthetic import weights
from torch import nn
from torch.nn.functional import avg_pool2d, cross_entropy

import align
from align import Config, losses
from align.data.batches import Batch, Batches
from align.methods import METHODS, cgc, irm, mixing, mixup, regulariser, sgt
from align.methods.dre import DRE
from align.methods.groupdro import GroupDRO
from align.methods.guided import alignment, guided_terms
from align.saliency import finish, input_gradient
from align.training import checkpoint, start
from align.training.loop import CHECKPOINT

TINY = Config(epochs=3, batch_size=32, warmup=1, head_start=0, irm_anneal=1)
NEW = ("mixup", "irm", "groupdro", "sgt", "dre", "cgc")


class Colours(nn.Module):
    """A classifier simple enough for pencil and paper: its features are the image itself."""

    def __init__(self, weight):
        super().__init__()
        self.linear = nn.Linear(3, len(weight))
        self.linear.weight.data = torch.tensor(weight)
        self.linear.bias.data.zero_()
        self.register_buffer("mean", torch.zeros(3, 1, 1))

    def features(self, images):
        return images * 1

    def head(self, features):
        return self.linear(features.mean((2, 3)))

    def forward(self, images):
        return self.head(self.features(images))


RED_OR_GREEN = [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]


def pixels(*colours):
    """One-pixel images."""
    return torch.tensor(colours)[:, :, None, None]


def fresh():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("method", NEW)
def test_the_loss_falls_and_the_same_seed_gives_the_same_bits(method, joined):
    config = replace(TINY, method=method, irm_weight=1.0)
    first, again = (align.train(method, joined, config=config, progress=False) for _ in range(2))
    assert torch.equal(weights(first.classifier), weights(again.classifier))
    assert first.history == again.history
    assert first.history[-1]["loss"] < first.history[0]["loss"]
    other = align.train(method, joined, config=config, seed=1, progress=False)
    assert not torch.equal(weights(first.classifier), weights(other.classifier))


CALLS = {"sgt": 2, "align": 2}
"""Of the methods that show the classifier more than one batch, those that do not do it at once."""


@pytest.mark.parametrize("alignment", ["energy", "rrr"])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_makes_as_many_forward_passes_as_stated(name, alignment, joined):
    """One pass serves all images: no loop over images, classes or environments."""
    method = start(name, joined, replace(TINY, alignment=alignment, warmup=0, rounds=1))
    seen = []
    method.classifier.trunk.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    method.update(next(Batches(joined, 32).epoch(0)), 0, torch.Generator())
    assert sum(seen) / 32 == METHODS[name].passes.forward
    assert len(seen) == CALLS.get(name, 1)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_looks_at_masks_and_environments_if_it_says_so_and_only_then(name, joined):
    kind = METHODS[name]
    config = replace(TINY, epochs=2, warmup=0, irm_weight=1.0)
    whole = weights(align.train(name, joined, config=config, progress=False).classifier)

    def same(**changes):
        changed = replace(joined, **changes)
        run = align.train(name, changed, config=config, progress=False)
        return torch.equal(whole, weights(run.classifier))

    order = torch.randperm(len(joined), generator=fresh())
    assert same(environments=joined.environments[order]) == (not kind.reads_environments)
    assert same(masks=1 - joined.masks) == (not kind.needs_masks)
    if not kind.needs_masks:
        assert same(masks=None)


def test_mixup_by_hand(monkeypatch):
    monkeypatch.setattr(mixup, "shares", lambda *_: torch.tensor([0.25, 0.25]))
    monkeypatch.setattr(torch, "randperm", lambda *_, **__: torch.tensor([1, 0]))
    images = pixels([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    batch = Batch(images, torch.tensor([0, 1]), None)
    method = mixup.Mixup(Colours(RED_OR_GREEN), Config(method="mixup"))
    # x̂ of the first is ¼ red and ¾ green: logits (.5, 1.5); labels 0 by ¼ and 1 by ¾. The second
    # mirrors it.
    expected = 0.25 * math.log(1 + math.e) + 0.75 * math.log(1 + 1 / math.e)
    assert method.loss(batch, 0, torch.Generator())["loss"].item() == pytest.approx(expected)


def test_shares_follow_the_beta_distribution_and_repeat_with_the_generator():
    first, again = (mixing.shares(4000, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    # Var Beta(a, a) = 1 / (4 (2a + 1)); the tolerance is 4 standard errors of a mean of 4,000.
    assert first.mean().item() == pytest.approx(0.5, abs=4 * 0.42 / 4000**0.5)
    assert first.var().item() == pytest.approx(1 / (4 * 1.4), abs=0.01)
    narrow = mixing.shares(4000, torch.Generator().manual_seed(1), 2.0)
    assert narrow.var().item() == pytest.approx(1 / (4 * 5), abs=0.01)


def test_irm_penalty_by_hand():
    # One image of logits (1, 0) and class 0: slope σ(1) − 1. Alone it has no second half.
    slope = 1 / (1 + math.exp(-1)) - 1
    logits, labels = torch.tensor([[1.0, 0.0]] * 3), torch.tensor([0, 0, 0])
    members = torch.tensor([[True, False, True], [False, True, False]])
    assert irm.penalty(logits, labels, members).item() == pytest.approx(slope**2 / 2)
    halves = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    both = torch.ones(1, 2, dtype=torch.bool)
    wrong = 1 / (1 + math.exp(-1))
    value = irm.penalty(halves, torch.tensor([0, 0]), both).item()
    assert value == pytest.approx(slope * wrong)  # the halves disagree: negative


def test_irm_penalty_is_the_product_of_gradients_along_a_dummy_scale():
    torch.manual_seed(0)
    logits, labels = torch.randn(14, 4, requires_grad=True), torch.randint(4, (14,))
    environments = torch.randint(3, (14,))
    members = environments == torch.arange(3)[:, None]
    scale = torch.tensor(1.0, requires_grad=True)
    products = []
    for e in range(3):
        own = torch.nonzero(environments == e)[:, 0]
        slopes = [
            torch.autograd.grad(
                cross_entropy(logits[half] * scale, labels[half]), scale, create_graph=True
            )[0]
            for half in (own[::2], own[1::2])
        ]
        products.append(slopes[0] * slopes[1])
    expected = torch.stack(products).mean()
    value = irm.penalty(logits, labels, members)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    ours, theirs = (torch.autograd.grad(v, logits)[0] for v in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def test_irm_weighs_its_penalty_once_annealed_and_then_starts_its_optimiser_anew(joined):
    method = start("irm", joined, replace(TINY, irm_anneal=1, irm_weight=50.0))
    method.classifier.eval()
    batch = next(Batches(joined, 32).epoch(0))
    before = method.optimizer
    for epoch, weight in ((0, 1), (1, 50), (2, 50)):
        method.begin(epoch)
        terms = method.loss(batch, epoch, torch.Generator())
        expected = terms["ce"] + weight * terms["penalty"]
        assert terms["loss"].item() == pytest.approx(expected.item())
        assert (method.optimizer is before) == (epoch == 0)
        if epoch == 1:
            annealed = method.optimizer
            assert not annealed.state
    assert method.parts()["optimizer"] is annealed is method.optimizer


def test_groupdro_by_hand():
    images = pixels([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0])
    batch = Batch(images, torch.tensor([0, 0, 0]), None, torch.tensor([0, 2, 0]))
    config = Config(method="groupdro", groupdro_eta=0.5)
    method = GroupDRO(Colours(RED_OR_GREEN), config, environments=3)
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    raised = [math.exp(0.5 * right), 1.0, math.exp(0.5 * wrong)]  # none of environment 1 is here
    q = [value / sum(raised) for value in raised]
    value = method.loss(batch, 0, torch.Generator())["loss"].item()
    assert method.groups.q.tolist() == pytest.approx(q)
    assert value == pytest.approx(q[0] * right + q[2] * wrong)
    method.loss(batch, 0, torch.Generator())
    again = [raised[i] ** 2 for i in range(3)]
    assert method.groups.q.tolist() == pytest.approx([value / sum(again) for value in again])


def test_groupdro_on_one_domain_is_erm_to_the_bit(domain):
    runs = [align.train(m, domain, config=TINY, progress=False) for m in ("groupdro", "erm")]
    assert torch.equal(*(weights(run.classifier) for run in runs))


def test_groupdro_keeps_its_weights_in_the_checkpoint(joined, tmp_path):
    config = replace(TINY, method="groupdro", groupdro_eta=1.0)
    align.train("groupdro", joined, config=config, checkpoint=tmp_path, progress=False)
    method = start("groupdro", joined, config)
    assert method.groups.q.tolist() == [0.5, 0.5]
    path = tmp_path / CHECKPOINT
    checkpoint.restore(path, method.parts(), checkpoint.read(path)[0])
    assert method.groups.q.sum().item() == pytest.approx(1)
    assert abs(method.groups.q[0].item() - 0.5) > 0.01


def test_sgt_divergence_by_hand_and_both_sides_learn():
    logits = torch.tensor([[math.log(3.0), 0.0]], requires_grad=True)
    other = torch.zeros(1, 2, requires_grad=True)
    value = sgt.divergence(logits, other)
    assert value.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    value.backward()
    assert logits.grad.abs().max() > 0.01
    torch.testing.assert_close(other.grad, torch.tensor([[0.5 - 0.75, 0.5 - 0.25]]))


def test_sgt_puts_noise_of_the_images_range_in_the_least_important_pixels():
    torch.manual_seed(0)
    # Each image has a range of its own.
    images = 0.2 + torch.linspace(0.1, 0.8, 5).view(5, 1, 1, 1) * torch.rand(5, 3, 8, 8)
    size = torch.rand(5, 8, 8)
    noisy = sgt.replace_least(images, size, 0.25, fresh())
    changed = (noisy != images).all(1)
    assert torch.equal(changed, (noisy != images).any(1))
    assert changed.sum((1, 2)).tolist() == [16] * 5
    assert all(size[i][changed[i]].max() < size[i][~changed[i]].min() for i in range(5))
    for image, other in zip(images, noisy, strict=True):
        assert image.min() <= other.min() and other.max() <= image.max()
    whole = sgt.replace_least(images, size, 1.0, fresh())
    assert torch.unique(whole).numel() > 0.99 * whole.numel()  # drawn apart
    assert torch.equal(sgt.replace_least(images, size, 0.0, fresh()), images)


def test_sgt_ranks_pixels_by_the_size_of_the_true_classs_gradient(monkeypatch):
    seen = []
    monkeypatch.setattr(
        sgt, "replace_least", lambda images, size, *_: seen.append(size) or images.clone()
    )
    images = torch.rand(4, 3, 2, 2)
    classifier = Colours([[1.0, -3.0, 0.0], [0.0, 0.0, 0.0]])
    method = sgt.SGT(classifier, Config(method="sgt"))
    terms = method.loss(Batch(images, torch.tensor([0, 0, 1, 1]), None), 0, torch.Generator())
    # ∂z_0/∂x is W_0 / 4 in every pixel; its mean size over colours is (1 + 3) / 12.
    torch.testing.assert_close(seen[0][:2], torch.full((2, 2, 2), 1 / 3))
    assert (seen[0][2:] == 0).all()
    assert terms["divergence"].item() == pytest.approx(0, abs=1e-6)
    assert terms["loss"].item() == pytest.approx(terms["ce"].item(), abs=1e-6)


def test_sgt_measures_the_divergence_from_the_clean_prediction(monkeypatch):
    monkeypatch.setattr(sgt, "replace_least", lambda images, *_: images * 0)
    method = sgt.SGT(Colours(RED_OR_GREEN), Config(method="sgt"))
    batch = Batch(pixels([1.0, 0.0, 0.0]), torch.tensor([0]), None)
    terms = method.loss(batch, 0, torch.Generator())
    p = 1 / (1 + math.exp(-2))  # of the red pixel; the black one has ½
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert terms["divergence"].item() == pytest.approx(expected)
    assert terms["loss"].item() == pytest.approx(expected - math.log(p))


def test_sgt_weighs_the_divergence_and_keeps_noise_out_of_batchnorms_statistics(domain):
    method = start("sgt", domain, replace(TINY, sgt_weight=7.0))
    twin = start("erm", domain, TINY)
    batch = next(Batches(domain, 32).epoch(0))
    terms = method.loss(batch, 0, fresh())
    expected = terms["ce"] + 7 * terms["divergence"]
    assert terms["loss"].item() == pytest.approx(expected.item())
    assert terms["divergence"] > 1e-5
    twin.loss(batch, 0, fresh())
    norm, reference = method.classifier.trunk[1], twin.classifier.trunk[1]
    assert torch.equal(norm.running_mean, reference.running_mean)
    assert not torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))
    assert norm.momentum == reference.momentum == 0.1


def test_dre_equals_its_equation_written_out(domain):
    config = replace(TINY, method="dre", dre_consistency=2.0, dre_sparsity=3.0, dre_mixed=5.0)
    method = start(config.method, domain, config)
    assert isinstance(method, DRE)
    f = method.classifier.eval()
    batch = next(Batches(domain, 32).epoch(0))
    terms = method.loss(batch, 0, fresh())
    generator = fresh()
    partner = mixing.same_class_partners(batch.labels, generator)
    m = mixing.shares(32, generator).float()[:, None, None]
    x, other = batch.images, batch.images[partner]
    mixed = m[:, None] * x + (1 - m[:, None]) * other
    own, theirs, blended = (align.grad_cam(f, images, batch.labels) for images in (x, other, mixed))
    consistency = (blended - (m * own + (1 - m) * theirs)).abs().mean()
    size = (own.mean() + blended.mean()) / 2
    ce, mixed_ce = (cross_entropy(f(images), batch.labels) for images in (x, mixed))
    expected = ce + 2 * consistency + 3 * size + 5 * mixed_ce
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-4)
    for name in ("consistency", "size"):
        weight = f.linear.weight  # the channel weights are constants: first order
        assert torch.autograd.grad(terms[name], weight, retain_graph=True, allow_unused=True) == (
            None,
        )
        grounds = torch.autograd.grad(terms[name], f.trunk[0].weight, retain_graph=True)[0]
        assert grounds.abs().max() > 0
    assert torch.isfinite(finish(torch.ones(1, 2, 2))).all()  # ε in min-max


def test_cgc_contrast_by_hand():
    maps = torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]]])
    # Cosines: 1 with itself, 0 with the other; divided by T = ½.
    expected = -math.log(math.exp(2) / (math.exp(2) + 1))
    assert cgc.contrast(maps, maps, 0.5).item() == pytest.approx(expected)
    # The other image's own map, not its moved one, is what is told apart.
    moved = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    second = math.log(2)  # ⟨moved, own⟩ = 0 = ⟨own, the other's⟩
    value = cgc.contrast(moved, maps, 0.5).item()
    assert value == pytest.approx((expected + second) / 2)
    assert torch.isfinite(cgc.contrast(torch.zeros(2, 2, 2), torch.zeros(2, 2, 2), 0.5))


def test_cgc_crops_stay_in_the_image_and_move_maps_as_images():
    crops = cgc.random_crops(2000, fresh())
    corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
    assert (crops @ corners.T).abs().max() <= 1 + 1e-6
    area = (crops[:, 0, 0] * crops[:, 1, 1]).abs()
    assert 0.5 <= area.min() < 0.52 and 0.98 < area.max() <= 1
    assert (crops[:, 0, 0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    images = torch.rand(1, 3, 6, 6)
    mirror = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    torch.testing.assert_close(cgc.warp(images, mirror), images.flip(3))
    # On a ramp, cropping the pooled map is pooling the cropped image.
    ramp = torch.linspace(-7 / 8, 7 / 8, 8).expand(1, 1, 8, 8)
    ramp = ramp + 2 * ramp.mT
    crop = torch.tensor([[[0.5, 0.0, 0.1], [0.0, 0.5, -0.2]]])
    expected = 0.5 * ramp + 0.1 - 2 * 0.2
    torch.testing.assert_close(cgc.warp(ramp, crop), expected)
    torch.testing.assert_close(cgc.warp(avg_pool2d(ramp, 2), crop), avg_pool2d(expected, 2))


def test_a_crops_size_place_and_mirroring_are_drawn_apart():
    """Correlations of 4,000 draws: 4.5 standard errors, so each fails once in 100,000 at chance."""
    crops = cgc.random_crops(4000, fresh())
    side = crops[:, 1, 1]
    free = (1 - side).clamp_min(1e-6)
    x, y = crops[:, 0, 2] / free, crops[:, 1, 2] / free
    drawn = torch.stack([side**2, (crops[:, 0, 0] < 0).float(), x, y])
    between = torch.corrcoef(drawn) - torch.eye(4)
    assert between.abs().max() < 4.5 / 4000**0.5
    for place in (x, y):
        assert place.min() < -0.99 and place.max() > 0.99
        assert place.mean().abs() < 4.5 * (1 / 3 / 4000) ** 0.5


def test_noise_and_shares_follow_the_generator_and_hardly_repeat():
    images, size = torch.rand(1, 3, 4, 4), torch.rand(1, 4, 4)
    draws = {
        "noise": lambda g: sgt.replace_least(images, size, 0.5, g).flatten(),
        "shares": lambda g: mixing.shares(8, g),
    }
    for name, draw in draws.items():
        seen = {tuple(draw(torch.Generator().manual_seed(s)).tolist()) for s in range(300)}
        assert len(seen) == 300, name
        assert torch.equal(*(draw(torch.Generator().manual_seed(5)) for _ in range(2))), name


def test_the_regulariser_weighs_its_two_parts_one_to_a_half(domain, monkeypatch):
    parts = torch.tensor(3.0), torch.tensor(5.0)
    monkeypatch.setattr(regulariser, "map_terms", lambda *_: parts)
    method = start("dre", domain, TINY)
    batch = next(Batches(domain, 8).epoch(0))
    features, weight = method.classifier.features(batch.images), method.classifier.linear.weight
    found = regulariser.regulariser(method.classifier, batch, features, weight, fresh())
    assert found.item() == 3 + 5 / 2


@pytest.mark.parametrize("form", ["bce", "l1"])
def test_the_forms_of_alignment_on_the_min_max_map_by_hand(form):
    features = torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]]])  # one channel, weight 1: the map itself
    target = torch.tensor([[[0.0, 1.0], [0.5, 1.0]]])
    labels = torch.tensor([0])
    found = alignment(form, features, torch.tensor([[1.0], [0.0]]), labels, target).item()
    pairs = [(0.0, 0.0), (0.25, 1.0), (0.5, 0.5), (1.0, 1.0)]
    if form == "l1":
        assert found == pytest.approx(0.75 / 4, abs=1e-4)
    else:
        clipped = [(min(max(a, 1e-7), 1 - 1e-7), m) for a, m in pairs]
        wanted = [-m * math.log(a) - (1 - m) * math.log(1 - a) for a, m in clipped]
        assert found == pytest.approx(sum(wanted) / 4, abs=1e-3)


def test_cgc_terms_add_up_over_both_views(monkeypatch):
    """Without a crop both views are the image, and its map is the view's."""
    whole = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(2, 2, 3)
    monkeypatch.setattr(cgc, "random_crops", lambda *_: whole)
    images = torch.zeros(2, 3, 1, 2)
    images[0, 0, 0, 0] = images[1, 1, 0, 1] = 1  # red on the left; green on the right
    images[0, 2, 0, 1] = 0.2  # blue speaks against red, which the map leaves out
    method = cgc.CGC(Colours([[2.0, 0.0, -5.0], [0.0, 2.0, 0.0]]), Config(method="cgc"))
    terms = method.loss(Batch(images, torch.tensor([0, 0]), None), 0, torch.Generator())
    ce = math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(1))
    contrast = -math.log(math.exp(2) / (math.exp(2) + 1))  # of the predicted classes' maps
    assert terms["ce"].item() == pytest.approx(ce)
    assert terms["contrast"].item() == pytest.approx(contrast, rel=1e-5)
    assert terms["loss"].item() == pytest.approx(ce + 0.5 * contrast, rel=1e-5)


def test_rrr_by_hand():
    gradients = torch.tensor([[[[1.0, 2.0]], [[0.0, -1.0]], [[0.0, 0.0]]]]).expand(2, 3, 1, 2)
    masks = torch.tensor([[[1.0, 0.5]], [[0.0, 1.0]]])
    # First image: (½·2)² + (½·1)²; second: 1².
    assert losses.alignment_rrr(gradients, masks).item() == pytest.approx((1.25 + 1) / 2)
    assert losses.alignment_rrr(gradients, masks[:, None]).item() == pytest.approx((1.25 + 1) / 2)


def test_rrr_guidance_penalises_the_gradient_of_all_log_probabilities():
    f = Colours(RED_OR_GREEN)
    images = torch.zeros(1, 3, 1, 2)
    images[0, 0] = 0.5  # logits (1, 0)
    config = Config(method="guided", alignment="rrr", warmup=0, lambda3=3.0)
    batch = Batch(images, torch.tensor([0]), torch.tensor([[[1.0, 0.0]]]))
    terms, _ = guided_terms(f, config, batch, 0, lambda: batch.masks, torch.Generator())
    p = 1 / (1 + math.exp(-1))
    # Σ_c ∂ log p_c / ∂x = Σ_c W_c − 2 Σ_c p_c W_c, spread over two pixels.
    red, green = (2 - 2 * 2 * p) / 2, (2 - 2 * 2 * (1 - p)) / 2
    assert terms["alignment"].item() == pytest.approx(red**2 + green**2)
    assert terms["loss"].item() == pytest.approx((terms["ce"] + 3 * terms["alignment"]).item())
    (second,) = torch.autograd.grad(terms["alignment"], f.linear.weight)
    assert second.abs().max() > 0
    assert not batch.images.requires_grad


@pytest.mark.parametrize("form", ["energy", "bce", "l1"])
def test_first_order_holds_the_channel_weights_constant_and_second_does_not(form):
    torch.manual_seed(0)
    images, labels = torch.rand(4, 3, 6, 6), torch.tensor([0, 1, 1, 0])
    batch = Batch(images, labels, (torch.rand(4, 6, 6) > 0.5).float())
    found = {}
    for second_order in (True, False):
        f = Colours([[2.0, 0.5, -1.0], [0.0, 2.0, 1.0]])
        config = Config(method="guided", alignment=form, warmup=0, second_order=second_order)
        f.features = lambda images: images.clone().requires_grad_()
        terms, features = guided_terms(f, config, batch, 0, lambda: batch.masks, torch.Generator())
        by_weight, by_features = torch.autograd.grad(
            terms["alignment"], [f.linear.weight, features], allow_unused=True
        )
        found[second_order] = terms["alignment"].item(), by_weight, by_features
    assert found[True][0] == found[False][0]
    assert torch.equal(found[True][2], found[False][2])
    assert found[True][1].abs().max() > 1e-3
    assert found[False][1] is None


def test_energy_of_second_order_by_hand():
    """Two pixels, two colours: the evidence is (w_0 − w_1)·A, half of its size outside."""
    images = torch.zeros(1, 3, 1, 2)
    images[0, 0, 0, 0] = images[0, 1, 0, 1] = 1  # red on the left, inside; green on the right
    batch = Batch(images, torch.tensor([0]), torch.tensor([[[1.0, 0.0]]]))
    f = Colours(RED_OR_GREEN)
    config = Config(method="guided", alignment="energy", warmup=0)
    terms, _ = guided_terms(f, config, batch, 0, lambda: batch.masks, torch.Generator())
    assert terms["alignment"].item() == pytest.approx(0.5, abs=1e-5)
    (by_weight,) = torch.autograd.grad(terms["alignment"], f.linear.weight)
    # share = g / (r + g) with r = w_0r − w_1r = 2 and g = w_1g − w_0g = 2: ∂/∂r = −g / (r + g)² =
    # −1/8 and ∂/∂g = r / (r + g)² = 1/8.
    expected = torch.tensor([[-1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]) / 8
    torch.testing.assert_close(by_weight, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("second_order", [True, False])
def test_the_regularisers_maps_follow_the_order_too(second_order, domain):
    config = replace(TINY, method="align", lambda4=1.0, second_order=second_order)
    method = start(config.method, domain, config)
    terms = method.loss(next(Batches(domain, 32).epoch(0)), 0, fresh())
    weight = method.classifier.linear.weight
    (gradient,) = torch.autograd.grad(terms["mixup"], weight, allow_unused=True)
    assert (gradient is not None) == second_order


def test_the_input_gradient_leaves_the_graph_of_the_outputs():
    images = torch.rand(2, 3, 2, 2, requires_grad=True)
    logits = Colours(RED_OR_GREEN)(images)
    gradient = input_gradient(logits[:, 1], images)
    expected = torch.tensor([0.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(2, 3, 2, 2)
    torch.testing.assert_close(gradient, expected)
    assert not gradient.requires_grad
    logits.sum().backward()
