"""Reliance: what the answer does when the background or the object is replaced."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.transforms import Bbox
from synthetic import record

import align
from align.experiment import Experiment
from align.metrics import predict, reliance
from align.metrics.reliance import background, elsewhere, partners
from alignbook import results
from alignbook.reliance import plane

WAYS = ("logits", "probability", "decisions")
SIDE = 24


def flat_world(count=200, seed=0, spread=(1.0, 1.0)):
    """A flat square on a flat ground: red and green tell the object's value, blue the ground's."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(count, 2, generator=generator) * torch.tensor(spread) * 0.08 + 0.5
    masks = torch.zeros(count, SIDE, SIDE)
    corners = torch.randint(2, SIDE - 10, (count, 2), generator=generator).tolist()
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[top : top + 8, left : left + 8] = 1
    shade = values[:, :1, None] * masks.flatten(1)[:, None] + values[:, 1:, None] * (
        1 - masks.flatten(1)[:, None]
    )
    return shade.view(count, 1, SIDE, SIDE).repeat(1, 3, 1, 1).clamp(0, 1), masks, values


def linear(object_weight, ground_weight):
    """Logits ±(a·object + c·ground), read off the square by its place, and off the border."""

    def classifier(images):
        ground = images[:, :, 0].mean((1, 2))
        inside = (images - ground[:, None, None, None]).abs() > 1e-6
        shade = (images * inside).sum((1, 2, 3)) / inside.sum((1, 2, 3)).clamp_min(1)
        score = object_weight * (shade - 0.5) + ground_weight * (ground - 0.5)
        return torch.stack([-score, score], 1)

    return classifier


def noisy(seed=0, classes=3):
    torch.manual_seed(seed)
    return align.Classifier("small-cnn", classes).eval()


def pictures(count=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, SIDE, SIDE, generator=generator)
    coarse = torch.rand(count, 1, 4, 4, generator=generator)
    masks = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")[:, 0]
    return images, masks


@pytest.mark.parametrize(("a", "c"), [(1.0, 0.5), (0.3, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_a_linear_classifier_moves_by_what_its_weights_say(a, c):
    """Object and ground add up: each pair's shift is known, and so is the variance's share."""
    images, masks, values = flat_world()
    follow = partners(len(images))
    found = reliance(linear(a, c), images, masks)
    moved = (values[follow] - values).double()
    whole = (a * moved[:, 0] + c * moved[:, 1]).square().sum()
    assert found["reliance_logits"] == pytest.approx(
        math.sqrt((c * moved[:, 1]).square().sum() / whole), abs=1e-3
    )
    assert found["object_reliance_logits"] == pytest.approx(
        math.sqrt((a * moved[:, 0]).square().sum() / whole), abs=1e-3
    )
    score = (a * (values[:, 0] - 0.5) + c * (values[:, 1] - 0.5)).double()
    after = (a * (values[:, 0] - 0.5) + c * (values[follow, 1] - 0.5)).double()
    flips = ((score > 0) != (after > 0)).double().mean().item()
    assert found["reliance_decisions"] == pytest.approx(flips, abs=0.006)
    apart = (torch.sigmoid(2 * score) - torch.sigmoid(2 * after)).abs().mean().item()
    assert found["reliance_probability"] == pytest.approx(apart, abs=1e-4)


def test_squares_are_shares_of_the_variance():
    """Sobol's total indices: with many pictures the closed form needs no pairs."""
    a, c, spread = 1.0, 0.7, (1.0, 1.5)
    images, masks, _ = flat_world(4000, spread=spread)
    found = reliance(linear(a, c), images, masks, batch_size=500)
    own, ground = (a * spread[0]) ** 2, (c * spread[1]) ** 2
    assert found["reliance_logits"] ** 2 == pytest.approx(ground / (own + ground), abs=0.03)
    assert found["object_reliance_logits"] ** 2 == pytest.approx(own / (own + ground), abs=0.03)


def test_a_classifier_of_the_background_relies_on_nothing_else():
    images, masks = pictures()
    masks[:, :4] = 0

    def frame(images):  # what no object and no filling ever covers
        return images[:, :, :2].mean((2, 3))

    found = reliance(frame, images, masks)
    assert found["reliance_logits"] == pytest.approx(1, abs=1e-6)
    for way in WAYS:
        assert found[f"object_reliance_{way}"] == pytest.approx(0, abs=1e-6)


def test_a_classifier_of_the_object_does_not_move_with_the_background():
    images, masks = pictures()
    masks[:, 10:14, 10:14] = 1

    def middle(images):
        return images[:, :, 10:14, 10:14].mean((2, 3))

    found = reliance(middle, images, masks)
    for way in WAYS:
        assert found[f"reliance_{way}"] == pytest.approx(0, abs=1e-6)
    assert found["object_reliance_logits"] == pytest.approx(1, abs=1e-6)
    # The control keeps a region as large elsewhere: it moves what looks at the object.
    assert found["control_reliance_logits"] > 0.3


@settings(deadline=None, derandomize=True, max_examples=10)
@given(st.integers(2, 9), st.integers(0, 1000), st.sampled_from([0.25, 3.0]))
def test_ranges_scale_and_the_triangle(count, seed, scale):
    images, masks = pictures(count, seed)
    classifier = noisy(seed)
    found = reliance(classifier, images, masks, seed=seed)
    assert found["reliance_logits"] + found["object_reliance_logits"] >= 1 - 1e-6
    for name, value in found.items():
        assert value >= 0 and (name.endswith("logits") or value <= 1 + 1e-9)

    def louder(batch):  # scaled, and raised for each picture by another amount
        return scale * classifier(batch).double() + 9 * batch.double().mean((1, 2, 3))[:, None]

    again = reliance(louder, images, masks, seed=seed)
    for name, value in found.items():
        if not name.endswith("probability"):
            assert again[name] == pytest.approx(value, abs=1e-4)


@settings(deadline=None, derandomize=True, max_examples=10)
@given(st.integers(2, 9), st.integers(0, 1000), st.floats(0, 1))
def test_wrong_masks_mislead_by_their_measured_error_at_most(count, seed, spoilt):
    images, truth = pictures(count, seed)
    masks = (1 - spoilt) * truth + spoilt * pictures(count, seed + 1)[1]
    classifier = noisy(seed)
    exact = reliance(classifier, images, truth)
    given_ = reliance(classifier, images, masks, truth=truth)
    for what in ("reliance", "object_reliance"):
        for way in WAYS:
            apart = abs(exact[f"{what}_{way}"] - given_[f"{what}_{way}"])
            assert apart <= given_[f"mask_error_{way}"] + 1e-6
            other = reliance(classifier, images, truth, truth=masks)[f"mask_error_{way}"]
            assert other == pytest.approx(given_[f"mask_error_{way}"], abs=1e-6)
    own = reliance(classifier, images, truth, truth=truth)
    assert all(own[f"mask_error_{way}"] == 0 for way in WAYS)


def test_it_does_not_depend_on_batches_bytes_or_known_logits():
    images, masks = pictures()
    images = (images * 255).round() / 255
    classifier = noisy()
    whole = reliance(classifier, images, masks)
    for other in (
        reliance(classifier, images, masks, batch_size=5),
        reliance(classifier, (images * 255).round().byte(), masks),
        reliance(classifier, images, masks, logits=predict(classifier, images), batch_size=5),
    ):
        assert other == pytest.approx(whole, abs=1e-5)
    assert reliance(classifier, images, masks, seed=1) != whole


def test_it_takes_as_many_forward_passes_as_it_says():
    images, masks = pictures()
    seen = []

    def counted(batch):
        seen.append(len(batch))
        return batch.mean((2, 3))

    for options, passes in (
        ({}, 3),
        ({"logits": images.mean((2, 3))}, 2),
        ({"truth": masks}, 4),
    ):
        seen.clear()
        reliance(counted, images, masks, **options)
        assert sum(seen) == passes * len(images)


@given(st.integers(2, 60), st.integers(0, 10**6))
def test_partners_are_one_cycle_through_all(count, seed):
    follow, place, path = partners(count, seed), 0, []
    for _ in range(count):
        path.append(place)
        place = int(follow[place])
    assert place == 0 and sorted(path) == list(range(count))


def test_partners_know_nothing_of_labels():
    """Over many draws a picture meets every other equally often."""
    met = torch.stack([partners(5, seed) for seed in range(2000)])
    shares = torch.stack([(met == other).double().mean(0) for other in range(5)])
    assert torch.allclose(shares, (1 - torch.eye(5).double()) / 4, atol=0.04)


def test_a_background_is_the_picture_off_the_object_and_even_on_it():
    images, masks, values = flat_world(20)
    filled = background(images, masks >= 0.5)
    assert torch.allclose(filled, values[:, 1, None, None, None].expand_as(filled), atol=1e-5)
    images, masks = pictures()
    objects = masks >= 0.7
    filled = background(images, objects)
    near = torch.nn.functional.max_pool2d(objects[:, None].float(), 3, 1, 1).expand_as(images) > 0
    assert torch.equal(filled[~near], images[~near])
    assert filled.min() >= images.min() and filled.max() <= images.max()
    # What the object and its edge look like leaves no trace.
    assert torch.equal(background(images.masked_fill(near, 1), objects)[near], filled[near])
    full = background(images, torch.ones_like(objects))
    assert torch.allclose(full, images.mean((2, 3), keepdim=True).expand_as(full), atol=1e-5)


@pytest.mark.parametrize("side", [1, 3, 7, 24, 33])
def test_backgrounds_of_any_size(side):
    images = torch.rand(2, 3, side, side + 2)
    filled = background(images, torch.rand(2, side, side + 2) > 0.5)
    assert filled.shape == images.shape and bool(filled.isfinite().all())


def test_a_control_region_has_the_mask_s_area_and_another_place():
    objects = pictures(30)[1] >= 0.6
    moved = elsewhere(objects, seed=3)
    assert torch.equal(moved.sum((1, 2)), objects.sum((1, 2)))
    assert torch.equal(moved, elsewhere(objects, seed=3))
    assert not torch.equal(moved, elsewhere(objects, seed=4))
    # It is the mirror image: a pattern that no turn round the edges brings to its mirror image.
    row = torch.tensor([[[1, 1, 0, 1, 0, 0, 0]]]) > 0
    turns = [row.flip(2).roll(by, 2) for by in range(7)]
    assert any(torch.equal(elsewhere(row), turn) for turn in turns)
    # Each pixel is as likely as any other.
    corner = torch.zeros(4000, 4, 4, dtype=torch.bool)
    corner[:, 0, 0] = True
    assert torch.allclose(
        elsewhere(corner).double().mean(0), torch.full((4, 4), 1 / 16).double(), atol=0.02
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"masks": torch.zeros(12, 8, 8)},
            r"masks are .* expected floating point of shape \(12, 24",
        ),
        (
            {"masks": torch.full((12, SIDE, SIDE), 255.0)},
            r"masks run from 255 to 255, expected \[0",
        ),
        ({"truth": torch.zeros(3, SIDE, SIDE)}, "truth is .* expected floating point of shape"),
        ({"logits": torch.zeros(3, 2)}, "logits are .* expected floating point of shape .12, C"),
        ({"seed": -1}, "seed is -1, expected a whole number from 0"),
        ({"classifier": lambda x: x.new_full((len(x), 2), math.nan)}, "NaN or infinite for 12 of"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, message):
    images, masks = pictures()
    given_ = {"classifier": noisy(), "images": images, "masks": masks} | changes
    with pytest.raises(ValueError, match=message):
        reliance(**given_)


def test_one_picture_alone_has_no_partner():
    images, masks = pictures(1)
    with pytest.raises(
        ValueError, match="the number of images is 1, expected a whole number from 2"
    ):
        reliance(noisy(), images, masks)
    with pytest.raises(ValueError, match="objects are torch.float32 .* expected torch.bool"):
        background(images, masks)
    with pytest.raises(ValueError, match="objects are torch.float32 .* expected torch.bool"):
        elsewhere(masks)


def test_a_classifier_that_says_the_same_of_everything_has_no_share_of_logits():
    images, masks = pictures()
    found = reliance(lambda x: x.new_ones(len(x), 2), images, masks)
    assert found["reliance_decisions"] == 0 and "reliance_logits" not in found


def test_evaluation_carries_it_wherever_there_are_masks():
    domain = align.load("toy-vlcs", n=24, size=32)["noon"]
    classifier = noisy(classes=5)
    found = align.evaluate(classifier, domain, max_explained=16, localisation_only=True)
    for what in ("reliance", "object_reliance", "control_reliance"):
        for way in WAYS:
            assert found[f"{what}_{way}"] >= 0
    part = domain.subset(
        torch.randperm(24, generator=torch.Generator().manual_seed(0))[:16].sort().values
    )
    shown = part.subset((part.masks.amax((1, 2)) >= 0.5).nonzero()[:, 0])
    own = reliance(classifier, shown.images, shown.masks)
    assert {key: found[key] for key in own} == pytest.approx(own, abs=1e-5)
    bare = align.evaluate(
        classifier, replace(domain, masks=None), max_explained=16, localisation_only=True
    )
    assert not any("reliance" in key for key in bare)


PAIRS = {"erm": (0.4, 0.7), "guided": (0.97, 0.68), "align": (0.41, 0.3)}
"""Evidence inside and reliance of runs that nobody made: one moves the one, one the other."""


def measured(pairs=PAIRS):
    found = []
    for method, (inside, relied) in pairs.items():
        for seed in range(3):
            config = align.Config(method=method, seed=seed)
            one = record(Experiment("composite", "paired", config), lambda domain, shift: 0.8)
            for metrics_ in one["metrics"].values():
                metrics_ |= {"evidence_inside": inside + seed / 100, "object_area": 0.15}
                metrics_ |= {"reliance_logits": relied + seed / 100, "control_reliance_logits": 0.8}
            found.append(one)
    return found


def test_the_plane_shows_every_method_where_it_was_measured():
    drawn = plane(results.frame(measured()))
    assert "ERM 0.41 inside, reliance 0.71" in drawn.alt
    assert "a constant map has inside 0.15; the control's reliance is 0.80" in drawn.alt
    points = [line for line in drawn.figure.axes[0].lines if line.get_label()[0] != "_"]
    at = [(line.get_xdata()[0], line.get_ydata()[0]) for line in points]
    expected = [(inside + 0.01, relied + 0.01) for inside, relied in PAIRS.values()]
    assert at == [pytest.approx(pair) for pair in expected]
    # Guidance goes right alone, the other goes down alone: what the figure is drawn for.
    assert at[1][0] - at[0][0] > 0.5 and abs(at[1][1] - at[0][1]) < 0.05
    assert abs(at[2][0] - at[0][0]) < 0.05 and at[0][1] - at[2][1] > 0.3


def test_the_planes_axes_name_what_the_masks_mark():
    def named(**more):
        ax = plane(results.frame(measured()), **more).figure.axes[0]
        return ax.get_xlabel(), ax.get_ylabel()

    assert named() == ("evidence inside the object", "reliance on the background, logits")
    boxed = ("evidence inside the box", "reliance on the outside, logits")
    assert named(region="box") == boxed


CROWD = {"erm": (0.52, 0.44), "dre": (0.53, 0.45), "align": (0.54, 0.44), "guided": (0.93, 0.4)}
"""Three in a corner and one far away, whose intervals touch."""


def test_the_planes_names_hide_nothing_and_its_axes_are_as_large_as_what_they_hold():
    found = measured(CROWD)
    for one, relied in zip(found[6:9], (0.34, 0.44, 0.54), strict=True):
        for metrics_ in one["metrics"].values():
            metrics_["reliance_logits"] = relied  # a tall bar beside the others' marks
    drawn = plane(results.frame(found))
    ax = drawn.figure.axes[0]
    drawn.figure.draw_without_rendering()
    marks = [line for line in ax.lines if line.get_label()[0] != "_"]
    marks.sort(key=lambda line: -line.get_ydata()[0])  # names are written from the top down
    centres = [ax.transData.transform(line.get_xydata())[0] for line in marks]
    half = [line.get_markersize() * drawn.figure.dpi / 144 for line in marks]
    taken = [Bbox([at - size, at + size]) for at, size in zip(centres, half, strict=True)]
    bars = [ends for part in ax.collections for ends in part.get_segments()]
    taken += [Bbox(ax.transData.transform(ends)).padded(1) for ends in bars]
    taken += [
        line.get_window_extent().padded(1) for line in ax.lines if line.get_linestyle() == ":"
    ]
    *lines, _, _, _, _ = written = [text.get_window_extent() for text in ax.texts]
    names = [text.get_text() for text in ax.texts[len(lines) :]]
    assert names == [line.get_label() for line in marks]
    assert len(lines) == 2 and len(marks) == len(CROWD) and len(bars) == 2 * len(CROWD)
    for place, name in enumerate(written[2:]):
        others = taken + written[: 2 + place]
        assert not any(Bbox.intersection(name, other) for other in others), names[place]
        assert (name.min >= ax.bbox.min).all() and (name.max <= ax.bbox.max).all(), names[place]
        gaps = [np.hypot(*np.maximum(name.min - at, at - name.max).clip(0)) for at in centres]
        assert np.argmin(gaps) == place and gaps[place] < 30 * drawn.figure.dpi / 72
    # From the constant map's share to the rightmost mean, and over the means upwards; the control
    # lies far above them and would press them together.
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert 0.05 < left < 0.15 and 0.94 < right < 1.05
    assert 0.35 < bottom < 0.41 and top < 0.7
    assert re.fullmatch(r"another region kept: 0\.8\d ↑", ax.texts[1].get_text())


def test_two_runs_stand_at_their_mean_without_an_interval():
    drawn = plane(results.frame(measured({"erm": (0.5, 0.4)})[:2]))
    ax = drawn.figure.axes[0]
    (point,) = [line for line in ax.lines if line.get_label()[0] != "_"]
    assert point.get_xydata()[0] == pytest.approx((0.505, 0.405))
    assert {len(set(map(tuple, s))) for part in ax.collections for s in part.get_segments()} == {1}


def test_an_interval_that_leaves_the_plane_ends_in_an_arrow():
    found = measured({"erm": (0.5, 0.5), "guided": (0.9, 0.4)})
    for one, relied in zip(found[:3], (0.1, 0.5, 0.9), strict=True):
        for metrics_ in one["metrics"].values():
            metrics_["reliance_logits"] = relied
    ax = plane(results.frame(found)).figure.axes[0]
    arrows = [line for line in ax.lines if line.get_marker() in ("v", "^", "<", ">")]
    arrows = [line for line in arrows if line.get_xdata()[0] < 0.6]  # those of plain training
    assert [line.get_marker() for line in arrows] == ["v", "^"]
    assert [line.get_ydata()[0] for line in arrows] == list(ax.get_ylim())
    assert all(line.get_xdata()[0] == pytest.approx(0.51) for line in arrows)


def test_the_plane_says_what_was_not_measured():
    found = measured()
    for one in found[3:6]:
        for metrics_ in one["metrics"].values():
            del metrics_["evidence_inside"]
    drawn = plane(results.frame(found), domains=["reversed"])
    assert "A point for each of 2" in drawn.alt
    assert "Not measured for: true masks, " in drawn.alt
    assert "not run here" in plane(results.frame(found), "decisions").alt
    assert "not run here" in plane(results.frame([])).alt
    assert "not run here" in plane(results.frame(found), domains=["elsewhere"]).alt
    assert "reliance" in plane(results.frame(found[:1])).alt  # one seed has no interval
    with pytest.raises(ValueError, match="way is 'words', expected one of logits"):
        plane(results.frame(found), "words")
