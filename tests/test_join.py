"""Several domains joined into one that remembers where each image is from."""

from dataclasses import replace

import pytest
import torch

import align
from align.data import join
from align.data.batches import Batches


@pytest.fixture(scope="module")
def parts():
    benchmark = align.load("toy-vlcs", n=40, size=32)
    return [benchmark["noon"].subset(torch.arange(10)), benchmark["dusk"].subset(torch.arange(6))]


def test_a_joined_domain_holds_its_parts_in_order(parts):
    both = join(parts)
    assert (both.name, len(both), both.environment_count) == ("noon+dusk", 16, 2)
    assert both.environments.tolist() == [0] * 10 + [1] * 6
    for name in ("images", "labels", "masks"):
        values = getattr(both, name)
        assert torch.equal(values[:10], getattr(parts[0], name))
        assert torch.equal(values[10:], getattr(parts[1], name))


def test_groups_of_different_parts_stay_apart(parts):
    groups = join(parts).groups
    assert set(groups[:10].tolist()).isdisjoint(groups[10:].tolist())
    assert torch.equal(groups[:10], parts[0].groups)
    assert torch.equal(groups[10:] - groups[10:].min(), parts[1].groups - parts[1].groups.min())


def test_what_a_part_lacks_the_whole_lacks(parts):
    named = [replace(part, files=tuple(map(str, range(len(part))))) for part in parts]
    assert join(named).files == (*named[0].files, *named[1].files)
    bare = join([named[0], replace(parts[1], masks=None, groups=None)])
    assert (bare.masks, bare.groups, bare.files) == (None, None, None)


def test_a_joined_domain_joins_again_and_a_lone_one_is_one_environment(parts):
    again = join([parts[1], join(parts)])
    assert again.environments.tolist() == [0] * 6 + [1] * 10 + [2] * 6
    assert join(parts[:1]).environment_count == parts[0].environment_count == 1


def test_environments_follow_their_images_through_subsets_splits_and_batches(parts):
    both = join(parts)
    dusk = {image.numpy().tobytes() for image in parts[1].images}
    for part in (both.subset(torch.tensor([12, 3, 15])), *both.split(0.5, seed=1)):
        assert part.environments.tolist() == [
            int(image.numpy().tobytes() in dusk) for image in part.images
        ]
    for batch in Batches(both, 8, augment=False).epoch(0):
        bytes_ = (batch.images * 255).round().to(torch.uint8)
        assert batch.environments.tolist() == [
            int(image.numpy().tobytes() in dusk) for image in bytes_
        ]
    assert next(Batches(parts[0], 8).epoch(0)).environments is None


def test_domains_that_do_not_fit_together_are_refused(parts):
    with pytest.raises(ValueError, match="no domains given to join"):
        join([])
    other = align.load("toy-terra", n=8, size=32)
    with pytest.raises(ValueError, match="'noon' and 'ridge' do not fit .* load both alike"):
        join([parts[0], replace(next(iter(other)), name="ridge")])
    small = align.load("toy-vlcs", n=40, size=16)["dusk"]
    with pytest.raises(ValueError, match=r"at \(32, 32\) pixels .* at \(16, 16\); load both"):
        join([parts[0], small])
    with pytest.raises(ValueError, match=r"environments are torch.float32 .* expected torch.int64"):
        replace(parts[0], environments=torch.zeros(10))
    with pytest.raises(ValueError, match="environments start at -1, expected numbers from 0"):
        replace(parts[0], environments=torch.full((10,), -1))
