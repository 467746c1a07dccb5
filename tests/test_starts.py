"""Starts of the masker: what is learned from, and what they find on objects of other kinds."""

import torch

import align
from align.data import Domain
from align.localised import masker_quality
from align.networks.classifier import Classifier
from align.networks.feature_masker import masker_for
from alignbook import starts
from alignbook.campaign.recipes import PHOTOS


def test_pictures_in_which_nothing_or_everything_is_marked_teach_nothing():
    masks = torch.zeros(5, 4, 4)
    masks[1:, 0] = 1
    masks[2] = 1
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 4, 4)
    domain = Domain("d", images, torch.zeros(5, dtype=torch.long), ("a", "b"), masks)
    assert starts.masked(domain, 2).images[:, 0, 0, 0].tolist() == [1, 3]
    assert starts.masked(domain, 9).images[:, 0, 0, 0].tolist() == [1, 3, 4]


def test_what_birds_taught_finds_horses_and_people(real_data):
    """Better than the disc in the middle of the same area, which knows where objects stand."""
    world = align.load("composite", real_data, size=96, seed=0)["reversed"]
    world = world.subset(torch.arange(0, len(world), 3))
    weights = str(real_data / PHOTOS.weights)
    trunk = Classifier(PHOTOS.backbone, 2, weights=weights, output_stride=PHOTOS.output_stride)
    config = align.Config(
        backbone=PHOTOS.backbone, masker_reads="pretrained", masker_start="birds", masker_lr=0.0
    )
    masker = masker_for(config, trunk).eval()
    found = masker_quality(masker, world, torch.arange(len(world)), 64)
    assert found["masker_iou"] > found["centre_iou"] + 0.1
