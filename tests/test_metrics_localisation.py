"""Maps against true masks, and the controls they must beat."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from align.metrics import (
    binarize,
    control_maps,
    energy_inside,
    expected_random_iou,
    expected_shifted_iou,
    iou,
    minmax,
    pointing_game,
    top_pixels,
)
from align.metrics.inputs import upsample

METRICS = [iou, pointing_game, energy_inside]
HEIGHT, WIDTH = 9, 11


def some_maps(count=6, height=HEIGHT, width=WIDTH, seed=1):
    return torch.randn(count, height, width, generator=torch.Generator().manual_seed(seed))


def some_masks(count=6, seed=2):
    soft = torch.rand(count, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    soft[:, 4, 5] = 1
    return soft


def pixels(condition):
    return {(r, c) for r in range(HEIGHT) for c in range(WIDTH) if condition(r, c)}


def naive_iou(marked, mask):
    truth = pixels(lambda r, c: mask[r, c] >= 0.5)
    return len(marked & truth) / len(marked | truth)


def ranked(saliency):
    return sorted(pixels(lambda r, c: True), key=lambda p: -saliency[p].item())


def test_iou_is_the_naive_loop():
    maps, masks = some_maps(), some_masks()
    matched, cut = iou(maps, masks), iou(maps, masks, threshold=0.2)
    for i, (saliency, mask) in enumerate(zip(maps, masks, strict=True)):
        area = len(pixels(lambda r, c, mask=mask: mask[r, c] >= 0.5))
        assert matched[i].item() == pytest.approx(naive_iou(set(ranked(saliency)[:area]), mask))
        above = pixels(lambda r, c, saliency=saliency: saliency[r, c] >= 0.2)
        assert cut[i].item() == pytest.approx(naive_iou(above, mask))
    assert not torch.allclose(matched, cut)


def test_the_pointing_game_is_the_naive_loop():
    maps, masks = some_maps(40), some_masks(40)
    hits = pointing_game(maps, masks)
    expected = [
        mask[ranked(saliency)[0]].item() >= 0.5 for saliency, mask in zip(maps, masks, strict=True)
    ]
    assert hits.dtype == torch.bool and hits.tolist() == expected and len(set(expected)) == 2


def test_energy_inside_is_the_naive_loop():
    maps, masks = some_maps(), some_masks()
    shares = energy_inside(maps, masks)
    for i, (saliency, mask) in enumerate(zip(maps, masks, strict=True)):
        inside = everything = 0.0
        for r, c in pixels(lambda r, c: True):
            positive = max(saliency[r, c].item(), 0)
            inside += positive * mask[r, c].item()
            everything += positive
        assert shares[i].item() == pytest.approx(inside / everything, abs=1e-5)


def test_the_true_mask_scores_full_marks_and_its_complement_none():
    masks = (some_masks() >= 0.5).float()
    for metric in METRICS:
        assert (metric(masks, masks).float() == 1).all()
        assert (metric(1 - masks, masks).float() < 0.5).all()
    assert (energy_inside(1 - masks, masks) == 0).all()
    assert (iou(masks, masks, threshold=0.5) == 1).all()
    assert (iou(1 - masks, masks, threshold=0.5) == 0).all()


def test_a_constant_map_scores_as_chance_does():
    # A mask of the left half: a rule that took the first of equal pixels would always hit.
    masks = torch.zeros(1, 64, 64)
    masks[:, :, :32] = 1
    # IoU of a random half with a half is 1/3 on average, with a standard deviation below .02.
    assert iou(torch.zeros_like(masks), masks).item() == pytest.approx(1 / 3, abs=0.06)
    for level in (0.0, 2.0, -1.0):
        assert energy_inside(torch.full_like(masks, level), masks).item() == pytest.approx(0.5)
    # One mask for each pixel as the object: a constant map points at one pixel, always the same.
    single = torch.eye(36).view(36, 6, 6)
    assert pointing_game(torch.zeros(36, 6, 6), single).sum() == 1
    assert not pointing_game(torch.zeros(36, 6, 6), single)[0]


def test_energy_survives_the_tiniest_maps():
    masks, maps = some_masks(), some_maps()
    torch.testing.assert_close(energy_inside(maps * 1e-35, masks), energy_inside(maps, masks))


def test_only_the_order_matters_for_the_matched_iou_and_the_pointing_game():
    maps, masks = some_maps(), some_masks()
    for other in (maps.double().exp(), maps**3, maps * 9 - 4):
        assert torch.equal(iou(maps, masks), iou(other, masks))
        assert torch.equal(pointing_game(maps, masks), pointing_game(other, masks))


def test_images_are_measured_one_by_one():
    maps, masks = (some_maps() > 0).float(), some_masks()
    for metric in (*METRICS, expected_random_iou, expected_shifted_iou):
        alone = torch.cat([metric(maps[i : i + 1], masks[i : i + 1]) for i in range(6)])
        torch.testing.assert_close(alone, metric(maps, masks))


def test_maps_of_cells_are_upsampled():
    cells, masks = some_maps(6, 3, 4), some_masks()
    for metric in METRICS:
        assert torch.equal(metric(cells, masks), metric(upsample(cells, HEIGHT, WIDTH), masks))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(-2, 2))
def test_scores_are_shares(seed, threshold):
    maps, masks = some_maps(seed=seed), some_masks(seed=seed + 1)
    for value in (iou(maps, masks), iou(maps, masks, threshold=threshold)):
        assert ((value >= 0) & (value <= 1)).all()
    assert ((energy_inside(maps, masks) >= 0) & (energy_inside(maps, masks) <= 1.00001)).all()
    counts = torch.randint(0, 99, (6,), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(top_pixels(maps.round(), counts).sum((1, 2)), counts)


def test_minmax_spans_0_to_1_and_a_constant_map_becomes_zeros():
    scaled = minmax(some_maps() * 1e-6)
    torch.testing.assert_close(scaled.amin((1, 2)), torch.zeros(6))
    torch.testing.assert_close(scaled.amax((1, 2)), torch.ones(6))
    assert torch.equal(minmax(torch.full((2, 3, 3), 0.7)), torch.zeros(2, 3, 3))


@pytest.mark.parametrize(("marked", "true"), [(1, 1), (1, 40), (30, 30), (90, 50), (99, 99)])
def test_the_expected_iou_of_random_pixels_is_near_the_exact_mean(marked, true):
    n = HEIGHT * WIDTH
    sets, masks = torch.zeros(1, n), torch.zeros(1, n)
    sets[:, :marked], masks[:, n - true :] = 1, 1
    sets, masks = sets.view(1, HEIGHT, WIDTH) > 0, masks.view(1, HEIGHT, WIDTH)
    law = hypergeom(n, true, marked)
    exact = sum(law.pmf(i) * i / (marked + true - i) for i in range(min(marked, true) + 1))
    assert expected_random_iou(sets, masks).item() == pytest.approx(exact, abs=2 / n)


def test_the_expected_iou_of_shifts_is_the_mean_over_every_shift():
    marked, masks = some_maps(3) > 1, some_masks(3)
    values = [
        iou(marked.roll((down, right), (1, 2)), masks, threshold=0.5)
        for down in range(HEIGHT)
        for right in range(WIDTH)
    ]
    expected = torch.stack(values).mean(0)
    torch.testing.assert_close(expected_shifted_iou(marked, masks), expected)


def test_an_empty_marking_has_no_overlap_to_expect():
    nothing, masks = torch.zeros(6, HEIGHT, WIDTH, dtype=torch.bool), some_masks()
    assert (iou(nothing, masks, threshold=0.5) == 0).all()
    assert (expected_random_iou(nothing, masks) == 0).all()
    assert (expected_shifted_iou(nothing, masks) == 0).all()


def test_binarize_marks_as_many_pixels_as_the_truth():
    masks = some_masks()
    marked = binarize(torch.zeros(6, 2, 2), masks, None)
    assert torch.equal(marked.sum((1, 2)), (masks >= 0.5).sum((1, 2)))


def test_control_maps_are_deterministic_and_know_nothing():
    maps, again = control_maps(4, 20, 30, seed=3), control_maps(4, 20, 30, seed=3)
    other = control_maps(4, 20, 30, seed=4)
    assert list(maps) == ["random", "random_coarse", "centre", "constant"]
    for name, value in maps.items():
        assert value.shape == (4, 20, 30) and value.min() >= 0 and value.max() <= 1
        assert torch.equal(value, again[name])
        assert torch.equal(value, other[name]) == (name in ("centre", "constant"))
    centre = maps["centre"][0]
    assert centre.flatten().topk(4).indices.sort().values.tolist() == [284, 285, 314, 315]
    torch.testing.assert_close(centre, centre.flip(0, 1))
    # Neighbours in a coarse random map are alike, in a fine one they are not.
    rough = {name: maps[name].diff(dim=2).abs().mean() for name in ("random", "random_coarse")}
    assert rough["random_coarse"] < rough["random"] / 2
    with pytest.raises(ValueError, match="sizes of at least 1"):
        control_maps(0, 20, 30)


@pytest.mark.parametrize(
    "metric", [*METRICS, expected_random_iou, expected_shifted_iou], ids=lambda m: m.__name__
)
@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (torch.full((2, 4, 4), torch.nan), torch.ones(2, 4, 4), "NaN or infinite values in 2"),
        (torch.zeros(3, 4, 4), torch.ones(2, 4, 4), "each of the 2 images"),
        (torch.zeros(2, 1, 4, 4), torch.ones(2, 4, 4), r"saliency\[:, 0\]"),
        (torch.zeros(2, 5, 4), torch.ones(2, 4, 4), "5 x 4 for images of 4 x 4"),
        (torch.zeros(2, 4, 4), torch.ones(2, 1, 4, 4), r"masks\[:, 0\]"),
        (torch.zeros(2, 4, 4), torch.full((2, 4, 4), 2.0), r"expected \[0, 1\]"),
        (torch.zeros(2, 4, 4), torch.full((2, 4, 4), torch.nan), "mask values run from nan"),
        (torch.zeros(2, 4, 4), torch.full((2, 4, 4), 0.4), "2 of 2 true masks are empty"),
    ],
)
def test_bad_input_is_named(metric, maps, masks, message):
    with pytest.raises(ValueError, match=message):
        metric(maps, masks)
