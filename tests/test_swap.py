"""The intervention aligned: swapped pictures, their losses, and methods that train on them."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

import align
from align import Config
from align.data.batches import Batch, Batches
from align.interventions import backgrounds, blurred, derangement, emptied, swap
from align.methods.guided import guided_terms, swap_loss
from align.networks.classifier import Classifier


def pictures(count: int = 4, size: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def left_half(count: int = 4, size: int = 16) -> torch.Tensor:
    masks = torch.zeros(count, size, size)
    masks[:, :, : size // 2] = 1
    return masks


def test_a_swap_keeps_the_object_and_takes_the_rest():
    x, b, masks = pictures(), pictures(seed=1), left_half()
    swapped = swap(x, masks, b)
    assert torch.equal(swapped[..., :8], x[..., :8])
    assert torch.equal(swapped[..., 8:], b[..., 8:])
    torch.testing.assert_close(swap(x, masks * 0 + 0.25, b), 0.25 * x + 0.75 * b)


@pytest.mark.parametrize("count", [2, 3, 17])
def test_nobody_stands_behind_themselves(count):
    for seed in range(20):
        order = derangement(count, torch.Generator().manual_seed(seed))
        assert sorted(order.tolist()) == list(range(count))
        assert (order != torch.arange(count)).all()


def test_all_partners_are_equally_likely():
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(5, 5)
    for _ in range(4000):
        counts[torch.arange(5), derangement(5, generator)] += 1
    # 1,000 expected of a standard deviation of 27: five of them.
    assert (counts[~torch.eye(5).bool()] - 1000).abs().max() < 140


def test_an_emptied_picture_has_no_trace_of_its_object():
    masks = torch.zeros(4, 16, 16)
    masks[:, 4:12, 4:12] = 1
    x = pictures()
    other = torch.where(masks[:, None] > 0, torch.rand_like(x), x)
    torch.testing.assert_close(emptied(x, masks), emptied(other, masks), rtol=0, atol=1e-5)
    assert torch.equal(emptied(x, masks)[..., 0, :], x[..., 0, :])
    everything = torch.ones(4, 16, 16)
    mean = x.mean((2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(emptied(x, everything), mean, rtol=0, atol=1e-5)


def test_a_blur_keeps_the_colour_and_loses_the_things():
    x = pictures(size=64)
    assert blurred(x).var() < x.var() / 10
    torch.testing.assert_close(blurred(x).mean((2, 3)), x.mean((2, 3)), rtol=0, atol=0.02)


def test_backgrounds_come_from_the_batch_or_the_picture_itself():
    x, masks = pictures(), left_half()
    order = derangement(4, torch.Generator().manual_seed(3))
    assert torch.equal(backgrounds("picture", x, masks, torch.Generator().manual_seed(3)), x[order])
    assert torch.equal(
        backgrounds("emptied", x, masks, torch.Generator().manual_seed(3)),
        emptied(x, masks)[order],
    )
    assert torch.equal(backgrounds("blur", x, masks), blurred(x))


def test_the_two_swap_losses_by_hand():
    logits = torch.tensor([[math.log(3.0), 0.0]])  # ¾ and ¼
    swapped = torch.tensor([[0.0, 0.0]])
    labels = torch.tensor([1])
    assert swap_loss("label", logits, swapped, labels).item() == pytest.approx(math.log(2))
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert swap_loss("consistency", logits, swapped, labels).item() == pytest.approx(kl)
    assert swap_loss("consistency", logits, logits, labels).item() == pytest.approx(0)


def terms_of(alignment: str, masks: torch.Tensor, **choices):
    torch.manual_seed(0)
    f = Classifier("small-cnn", 3).eval()
    config = Config(method="guided", alignment=alignment, warmup=0, **choices)
    batch = Batch(pictures(size=32), torch.tensor([0, 1, 2, 0]), masks)
    generator = torch.Generator().manual_seed(7)
    terms, _ = guided_terms(f, config, batch, 0, lambda: batch.masks, generator)
    return f, batch, terms


def test_guidance_by_swap_adds_the_cross_entropy_of_swapped_pictures():
    f, batch, terms = terms_of("swap", left_half(size=32), swap_weight=3.0)
    behind = batch.images[derangement(4, torch.Generator().manual_seed(7))]
    wanted = cross_entropy(f(swap(batch.images, batch.masks, behind)), batch.labels)
    torch.testing.assert_close(terms["swap"], wanted)
    torch.testing.assert_close(terms["loss"], terms["ce"] + 3 * wanted)
    assert "alignment" not in terms


def test_swap_and_energy_are_the_sum_of_both():
    masks = left_half(size=32)
    _, _, swap_alone = terms_of("swap", masks)
    _, _, energy = terms_of("energy", masks, lambda3=5.0)
    _, _, both = terms_of("swap+energy", masks, lambda3=5.0)
    torch.testing.assert_close(both["swap"], swap_alone["swap"])
    torch.testing.assert_close(both["alignment"], energy["alignment"])
    torch.testing.assert_close(both["loss"], both["ce"] + both["swap"] + 5 * both["alignment"])


def test_where_nothing_was_found_nothing_is_swapped():
    _, _, terms = terms_of("swap", torch.zeros(4, 32, 32))
    torch.testing.assert_close(terms["swap"], terms["ce"])


def test_a_classifier_guided_by_swap_forgets_the_scene():
    """The property the term exists for: with true masks the target's accuracy rises, by far."""
    world = align.load("toy-vlcs", n=600, seed=0)
    choices = Config(epochs=6, warmup=1, lr=3e-3)
    found = {}
    for name in ("erm", "guided"):
        run = align.train(
            name, world["noon"], config=replace(choices, alignment="swap"), progress=False
        )
        found[name] = align.evaluate(run, world["dusk"], max_explained=0)["accuracy"]
    assert found["guided"] > found["erm"] + 0.1


@pytest.mark.parametrize("target", ["hard", "soft", "stretch", "sampled"])
def test_align_trains_on_swaps_at_its_own_masks(target):
    world = align.load("toy-vlcs", n=64, seed=0)
    config = Config(epochs=2, warmup=0, head_start=1, alignment="swap", target=target, rounds=1)
    run = align.train("align", world["noon"], config=config, progress=False)
    assert "swap" not in run.history[0] and run.history[1]["swap"] > 0
    again = align.train("align", world["noon"], config=config, progress=False)
    assert again.history == run.history


def test_balanced_batches_draw_every_class_alike():
    domain = align.load("toy-vlcs", n=500, seed=0)["noon"]
    keep = torch.cat([(domain.labels == 0).nonzero()[:, 0], (domain.labels == 1).nonzero()[:8, 0]])
    rare = domain.subset(keep)
    share = (rare.labels == 1).double().mean().item()
    assert share < 0.1
    drawn = torch.cat(
        [b.labels for e in range(20) for b in Batches(rare, 4, balanced=True).epoch(e)]
    )
    # A share of ½ of about 2,000: five standard deviations of .011.
    assert abs((drawn == 1).double().mean().item() - 0.5) < 0.056
    plain = torch.cat([b.labels for b in Batches(rare, 4).epoch(0)])
    assert (plain == 1).double().mean().item() < 0.15


@pytest.mark.parametrize(
    ("choice", "value"),
    [
        ("alignment", "swop"),
        ("swap_background", "sky"),
        ("swap_loss", "none"),
        ("swap_weight", -1.0),
        ("masker_reads", "tea leaves"),
        ("balanced", 1),
    ],
)
def test_choices_that_do_not_exist_are_refused(choice, value):
    with pytest.raises(ValueError, match=choice):
        Config(**{choice: value})


def test_the_new_choices_leave_older_runs_their_hash():
    """Left at what was done before, they are not named."""
    read = Config(method="align").used()
    assert not {"swap_weight", "swap_background", "swap_loss", "masker_reads", "balanced"} & set(
        read
    )
    assert Config(method="align", alignment="swap", swap_weight=2.0).used()["swap_weight"] == 2
    assert Config(method="erm", balanced=True).hash() != Config(method="erm").hash()
