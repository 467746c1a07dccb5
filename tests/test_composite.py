"""Composite worlds: objects whole, masks true, correlation as asked for, halves apart."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import align
from align import Domain
from align.experiment import Experiment, run
from alignbook.campaign.recipes import PHOTOS

COLOURS = ((255, 0, 0), (0, 0, 255))
LIGHT = (60, 200)


def flat(name, colours, count=200, masks=None):
    images = torch.empty(count, 3, 24, 24, dtype=torch.uint8)
    images[:] = torch.tensor(colours, dtype=torch.uint8)[:, None, None]
    return Domain(name, images, torch.zeros(count, dtype=torch.int64), (name,), masks)


def made(rho=0.9, seed=0, count=200):
    """Red discs of class "a" and blue ones of "b", each before a grey of its own."""
    rows, columns = np.mgrid[:24, :24]
    disc = torch.tensor(np.hypot(rows - 10, columns - 12) < 7).float().expand(count, 24, 24)
    objects = []
    for name, colour in zip("ab", COLOURS, strict=True):
        domain = flat(name, (0, 255, 0), count, disc.clone())
        images = domain.images.clone()
        images.movedim(1, 3)[disc.bool()] = torch.tensor(colour, dtype=torch.uint8)
        objects.append(replace(domain, images=images))
    scenes = [flat(f"s{grey}", (grey,) * 3, 40) for grey in LIGHT]
    return align.load(
        "composite", size=32, foregrounds=objects, backgrounds=scenes, rho=rho, seed=seed
    )


def test_a_picture_is_the_object_where_the_mask_is_and_the_scene_elsewhere():
    domain = made()["paired"]
    assert domain.classes == ("a", "b") and len(domain) == 200
    for label in (0, 1):
        part = domain.subset((domain.labels == label).nonzero()[:, 0])
        pixels = part.images.movedim(1, 3)
        object_colour = torch.tensor(COLOURS[label], dtype=torch.uint8)
        # Not a trace of the green that the objects were cut from, not even at their edges.
        assert (pixels[part.masks > 0.999] == object_colour).all()
        assert (pixels[part.masks > 0.01][:, 1] <= LIGHT[1]).all()
        for scene, grey in enumerate(LIGHT):
            chosen = part.groups == scene
            assert (pixels[chosen][part.masks[chosen] == 0] == grey).all()
    larger = (domain.masks > 0.5).any(1).sum(1)
    assert larger.min() >= 0.45 * 32 and larger.max() <= 0.9 * 32


@pytest.mark.parametrize("rho", [0.0, 0.7, 1.0])
def test_class_and_scene_are_correlated_as_asked_for(rho):
    world = made(rho, count=400)
    for name, chance in (("paired", rho), ("unpaired", 0.5), ("reversed", 1 - rho)):
        domain = world[name]
        own = (domain.groups == domain.labels).double().mean().item()
        # Binomial(400, p): standard deviation at most .025; 4 of them.
        assert own == pytest.approx(chance, abs=0.1)
        if chance in (0.0, 1.0):
            assert own == chance


def test_the_same_seed_gives_the_same_world_and_another_seed_another():
    prints = [made(seed=seed)["paired"].fingerprint() for seed in (3, 3, 4)]
    assert prints[0] == prints[1] != prints[2]


def test_the_test_domains_show_the_same_objects_before_other_scenes_and_none_trained_on():
    marked = [replace(one, images=one.images.clone()) for one in _numbered()]
    scenes = [flat(f"s{grey}", (grey,) * 3, 40) for grey in LIGHT]
    world = align.load("composite", size=32, foregrounds=marked, backgrounds=scenes, rho=1.0)
    numbers = {name: _numbers(world[name]) for name in world.domains}
    assert numbers["unpaired"] == numbers["reversed"]
    assert not set(numbers["paired"]) & set(numbers["reversed"])
    assert len(set(numbers["paired"] + numbers["reversed"])) == 80
    assert torch.equal(world["unpaired"].masks, world["reversed"].masks)
    assert not torch.equal(world["unpaired"].groups, world["reversed"].groups)


def _numbered():
    """Forty squares a class, each of a colour of its own: red is the number, blue the class."""
    for label, name in enumerate("ab"):
        masks = torch.zeros(40, 24, 24)
        masks[:, 6:18, 6:18] = 1
        domain = flat(name, (0, 255, 200 * label), 40, masks)
        domain.images[:, 0] = 5 * torch.arange(40, dtype=torch.uint8)[:, None, None]
        yield domain


def _numbers(domain):
    pixels = domain.images.movedim(1, 3)
    inside = [
        image[mask > 0.999][0].tolist() for image, mask in zip(pixels, domain.masks, strict=True)
    ]
    return [(colour[0], colour[2]) for colour in inside]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rho": 1.5}, "rho is 1.5, expected a number from 0 to 1"),
        ({"foregrounds": ["weizmann_horse"]}, "1 foregrounds and 2 backgrounds"),
        ({"foregrounds": ["cats", "dogs"]}, "foreground is 'cats', expected 'weizmann_horse' or"),
        ({"foregrounds": [flat("x", (0, 0, 0))] * 2}, "has no masks to cut along"),
    ],
)
def test_what_cannot_be_composed_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        align.load("composite", size=32, **changes)


def test_horses_and_people_before_scenes_from_disk_to_record(real_data):
    config = replace(PHOTOS, method="erm", epochs=1, warmup=0, head_start=0)
    options = {"size": 48, "rho": 0.9, "seed": 0}
    record, _ = run(
        Experiment("composite", "paired", config, options, 4), root=real_data, progress=False
    )
    assert list(record["metrics"]) == ["paired", "unpaired", "reversed"]
    assert record["metrics"]["reversed"]["count"] == 164 + 85
    assert 0.05 < record["metrics"]["paired"]["object_area"] < 0.6
    assert str(real_data) not in json.dumps(record)
