"""Values outside the ranges that docstrings promise are refused; values at their ends are taken."""

import pytest
import torch

import align
from align import losses, metrics, saliency
from align.config import Config
from align.experiment import Experiment
from align.metrics import localisation
from align.metrics.accuracy import accuracy_per_class
from align.metrics.faithfulness import _pixel_counts, area
from align.metrics.perturbation import blur

HALF = torch.full((2, 4, 4), 0.5)
MAPS = torch.linspace(0, 1, 32).view(2, 4, 4)
EVIDENCE = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
IMAGES = torch.full((2, 3, 16, 16), 0.5)
LABELS = torch.tensor([0, 1])
CLASSIFIER = align.Classifier("small-cnn", 3).eval()
SHARE = torch.tensor([0.5, 0.5])

REFUSED = {
    "a map above 1 in the cross-entropy": (
        lambda: losses.alignment_bce(MAPS * 2, HALF),
        "saliency values run from 0 to 2",
    ),
    "a mask below 0 in the cross-entropy": (
        lambda: losses.alignment_bce(MAPS, HALF - 1),
        "mask values run from -0.5 to -0.5",
    ),
    "a map above 1 in the distance": (
        lambda: losses.alignment_l1(MAPS * 2, HALF),
        "saliency values run from 0 to 2",
    ),
    "a mask above 1 in the distance": (
        lambda: losses.alignment_l1(MAPS, HALF * 4),
        "mask values run from 2 to 2",
    ),
    "a mask above 1 in the energy": (
        lambda: losses.alignment_energy(EVIDENCE, HALF * 4),
        "mask values run from 2 to 2",
    ),
    "a share above 1": (
        lambda: losses.attribution_consistency(MAPS, MAPS, MAPS, SHARE * 3),
        "shares run from 1.5 to 1.5",
    ),
    "one row of pixels has no neighbours below": (
        lambda: losses.smoothness(torch.rand(2, 1, 8)),
        "at least 2 x 2 pixels",
    ),
    "bytes for a map": (
        lambda: align.grad_cam(CLASSIFIER, IMAGES * 255, LABELS),
        "image values run from 128 to 128",
    ),
    "a label that is no class": (
        lambda: align.grad_cam(CLASSIFIER, IMAGES, LABELS - 1),
        "labels .*-1",
    ),
    "images a little above 1": (
        lambda: metrics.accuracy(CLASSIFIER, IMAGES * 2.2, LABELS),
        "image values run from 1.1",
    ),
    "images a little below 0": (
        lambda: metrics.accuracy(CLASSIFIER, IMAGES - 0.6, LABELS),
        "image values run from -0.1",
    ),
    "correctness in two columns": (
        lambda: accuracy_per_class(torch.ones(2, 1, dtype=torch.bool), LABELS, ["a", "b"]),
        r"expected torch.bool of shape \(N,\)",
    ),
    "correctness in numbers": (
        lambda: accuracy_per_class(torch.ones(2), LABELS, ["a", "b"]),
        r"expected torch.bool of shape \(N,\)",
    ),
    "a label without a name": (
        lambda: accuracy_per_class(torch.ones(2, dtype=torch.bool), LABELS, ["a"]),
        "labels run from 0 to 1, expected 0 to 0",
    ),
    "a curve of one point": (
        lambda: area(torch.rand(2, 1)),
        "one point, expected at least 2",
    ),
    "a blur wider than its reflection": (
        lambda: blur(torch.rand(1, 3, 8, 8), kernel_size=17),
        "odd kernel size of at most 15",
    ),
    "more pixels than there are": (
        lambda: localisation.top_pixels(MAPS, torch.tensor([3, 17])),
        "counts run from 3 to 17, expected 0 to 16",
    ),
    "a map that is not finite": (
        lambda: localisation.top_pixels(MAPS / 0, torch.tensor([3, 3])),
        "NaN or infinite",
    ),
    "a map without cells": (
        lambda: metrics.iou(torch.rand(2, 0, 4), HALF),
        "saliency",
    ),
    "leaving out the only domain": (
        lambda: Experiment("b", "", Config(), target="d").trained_on(("d",)),
        "leaving it out leaves nothing to train on",
    ),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_values_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_values_at_the_ends_are_taken():
    ends = torch.tensor([0.0, 1.0]).repeat(2, 1).view(2, 1, 2)
    assert losses.alignment_l1(ends, ends) == losses.alignment_l1(1 - ends, 1 - ends) == 0
    assert losses.alignment_l1(ends, 1 - ends) == 1
    blurred = blur(torch.rand(1, 3, 8, 8), kernel_size=15)
    assert blurred.shape == (1, 3, 8, 8)
    assert localisation.top_pixels(MAPS, torch.tensor([0, 16])).sum((1, 2)).tolist() == [0, 16]
    assert losses.smoothness(torch.zeros(1, 2, 2)) == 0


def test_a_pixel_of_one_half_belongs_to_the_object():
    """Masks are soft after resizing; everywhere in the library an object's pixel is at least ½."""
    truth = torch.tensor([[[0.5, 0.4], [0.0, 0.0]]])
    peak = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    assert metrics.iou(peak, truth).item() == 1
    assert metrics.iou(peak, truth, threshold=0.5).item() == 1
    assert metrics.pointing_game(peak, truth).item()


def test_a_rectangular_map_divides_by_all_its_cells():
    features = torch.ones(1, 1, 2, 5)
    found = saliency.class_evidence(features, torch.tensor([[10.0], [0.0]]), torch.tensor([0]))
    torch.testing.assert_close(found, torch.ones(1, 2, 5))


def test_a_map_without_positive_evidence_stays_without_it():
    """Divided by its largest value a map keeps its signs, also where that value is below zero."""
    below = torch.tensor([[[-2.0, -1.0], [-3.0, -4.0]]])
    assert (saliency.finish(below, normalize="max", relu=False) < 0).all()
    above = saliency.finish(torch.tensor([[[2.0, 1.0], [0.0, 4.0]]]), normalize="max")
    torch.testing.assert_close(above, torch.tensor([[[0.5, 0.25], [0.0, 1.0]]]))


def test_a_map_is_enlarged_from_the_centres_of_its_cells():
    cells = torch.tensor([[[0.0, 1.0]]])
    found = saliency.finish(cells, normalize=None, size=(1, 4))
    torch.testing.assert_close(found, torch.tensor([[[0.0, 0.25, 0.75, 1.0]]]))


def test_the_smallest_share_of_pixels_is_one_pixel():
    found = _pixel_counts([0.001, 0.5, 1.0], 16)
    assert found == (1, 8, 16)
