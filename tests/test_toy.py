"""The toy worlds: deterministic, masks true, pairing as described, scenes exchangeable."""

import itertools

import pytest
import torch

import align
from alignbook.worlds.toy import WORLDS, paired_scene

SMALL = {"n": 200, "size": 32}


@pytest.mark.parametrize("world", WORLDS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(world):
    first, again = align.load(world, **SMALL), align.load(world, **SMALL)
    other = align.load(world, seed=1, **SMALL)
    for name in first.domains:
        assert first[name].fingerprint() == again[name].fingerprint()
        assert first[name].fingerprint() != other[name].fingerprint()


@pytest.mark.parametrize("world", WORLDS)
def test_a_domain_is_rendered_alike_whatever_was_rendered_before(world):
    straight, reversed_ = align.load(world, **SMALL), align.load(world, **SMALL)
    for name in straight.domains[::-1]:
        reversed_[name]
    for name in straight.domains:
        assert straight[name].fingerprint() == reversed_[name].fingerprint()


@pytest.mark.parametrize("size", [32, 64, 97])
def test_object_area_is_a_tenth_to_three_tenths_of_the_image(size):
    for world, spec in WORLDS.items():
        for domain in align.load(world, n=240, size=size):
            area = domain.masks.mean((1, 2))
            empty = domain.labels == (
                spec.classes.index("empty") if "empty" in spec.classes else -1
            )
            assert (area[empty] == 0).all()
            assert area[~empty].min() > 0.1
            assert area[~empty].max() < 0.3


def test_the_mask_is_the_object_exactly():
    """Outside the mask nothing changes with the objects; inside nothing changes with the scene."""
    here = align.load("toy-vlcs", **SMALL)["noon"]
    elsewhere = align.load("toy-vlcs", scene_seed=99, **SMALL)["noon"]
    assert torch.equal(here.masks, elsewhere.masks)
    assert torch.equal(here.labels, elsewhere.labels)
    solid = (here.masks == 1)[:, None].expand_as(here.images)
    assert torch.equal(here.images[solid], elsewhere.images[solid])
    clear = (here.masks == 0)[:, None].expand_as(here.images)
    assert (here.images[clear] != elsewhere.images[clear]).float().mean() > 0.9


@pytest.mark.parametrize("world", WORLDS)
def test_no_two_domains_pair_a_class_with_the_same_scene(world):
    for a, b in itertools.combinations(WORLDS[world].domains, 2):
        pairs = zip(paired_scene(world, a), paired_scene(world, b), strict=True)
        assert all(x != y for x, y in pairs)


@pytest.mark.parametrize("rho", [0.0, 0.6, 1.0])
def test_rho_is_the_share_that_shows_the_paired_scene(rho):
    spec = WORLDS["toy-vlcs"]
    domain = align.load("toy-vlcs", n=3000, size=16, rho=rho)["film"]
    own = torch.tensor([spec.scenes.index(s) for s in paired_scene("toy-vlcs", "film")])
    share = (domain.groups == own[domain.labels]).float().mean().item()
    # Binomial with 3,000 draws: 4 standard deviations hold with probability above 0.9999.
    expected = rho + (1 - rho) / 5
    assert share == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 3000) ** 0.5)


def test_pairing_can_be_borrowed_or_taken_away():
    plain = align.load("toy-vlcs", rho=1.0, **SMALL)
    borrowed = align.load("toy-vlcs", rho=1.0, pairing="noon", **SMALL)
    assert torch.equal(borrowed["dusk"].groups, plain["noon"].groups) == torch.equal(
        borrowed["dusk"].labels, plain["noon"].labels
    )
    own = torch.tensor(
        [WORLDS["toy-vlcs"].scenes.index(s) for s in paired_scene("toy-vlcs", "noon")]
    )
    assert torch.equal(borrowed["dusk"].groups, own[borrowed["dusk"].labels])
    free = align.load("toy-vlcs", n=2000, size=16, rho=1.0, pairing="none")["dusk"]
    counts = torch.stack(
        [torch.bincount(free.groups[free.labels == c], minlength=5) for c in range(5)]
    )
    # 400 images a class, 80 expected a scene, standard deviation 8.
    assert (counts - 80).abs().max() < 4.5 * 8


def test_classes_are_balanced_and_colour_tells_nothing():
    domain = align.load("toy-vlcs", n=1000, size=32)["noon"]
    assert torch.bincount(domain.labels).tolist() == [200] * 5
    solid = domain.masks > 0.99
    hue = torch.stack(
        [
            (domain.images.float() * solid[:, None]).sum((2, 3))[:, c] / solid.sum((1, 2))
            for c in range(3)
        ],
        1,
    )
    mean = torch.stack([hue[domain.labels == c].mean(0) for c in range(5)])
    assert (mean.amax(1) - mean.amin(1)).max() < 25  # no class has a colour of its own


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 8}, "size is 8, expected a whole number from 16"),
        ({"n": 3}, "n is 3, expected a whole number from 5"),
        ({"n": 9.5}, "n is 9.5, expected a whole number"),
        ({"rho": "high"}, "rho is 'high', expected a number"),
        ({"seed": -1}, "seed is -1, expected a whole number"),
        ({"scene_seed": 0.5}, "scene_seed is 0.5, expected a whole number"),
        ({"pattern": -0.1}, "pattern is -0.1, expected a number from 0 to 1"),
        ({"rho": 1.2}, "rho is 1.2, expected a number from 0 to 1"),
        ({"pairing": "midnight"}, "pairing is 'midnight', expected one of noon"),
        ({"root": "somewhere"}, "rendered, not read"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        align.load("toy-vlcs", **options)


def test_unknown_names_list_what_there_is():
    with pytest.raises(ValueError, match="benchmark is 'imagenet', expected one of .*toy-vlcs"):
        align.load("imagenet")
    with pytest.raises(KeyError, match="has no domain 'sunset'; it has noon"):
        align.load("toy-vlcs", **SMALL)["sunset"]


def test_pattern_shows_on_the_object_alone_and_leaves_scene_and_outline():
    plain = align.load("toy-vlcs", pattern=0, **SMALL)["noon"]
    worn = align.load("toy-vlcs", **SMALL)["noon"]
    assert torch.equal(plain.masks, worn.masks) and torch.equal(plain.groups, worn.groups)
    changed = (plain.images != worn.images).any(1)
    assert not changed[plain.masks == 0].any()
    assert changed[plain.masks == 1].float().mean() > 0.5


def test_trap_animals_are_plain_and_say_so():
    with pytest.raises(ValueError, match="the animals of toy-terra are plain"):
        align.load("toy-terra", pattern=0.3, **SMALL)
