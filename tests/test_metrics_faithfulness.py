"""Insertion, deletion, sufficiency and comprehensiveness against loops written from the texts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.transforms.functional import gaussian_blur

from align.metrics import (
    blur,
    comprehensiveness,
    deletion_auc,
    deletion_curve,
    faithfulness,
    insertion_auc,
    insertion_curve,
    sufficiency,
)
from align.metrics.faithfulness import FRACTIONS, MIN_GAP, rescale
from align.metrics.inputs import pixel_ranks, tie_order, upsample

METRICS = [insertion_auc, deletion_auc, sufficiency, comprehensiveness]
SIZE = 28


class Plain(nn.Module):
    """A convolution, BatchNorm and a pooled linear head that is undecided on a flat grey image."""

    def __init__(self, seed=1, classes=4):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.convolution = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, classes)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)
        with torch.no_grad():
            self.head.weight *= 3
            self.head.bias -= self.eval()(torch.full((1, 3, 5, 5), 0.5))[0]
        self.train()

    def forward(self, x):
        return self.head(self.norm(self.convolution(x)).relu().mean((2, 3)))


class Normalising(Plain):
    """The same after its own normalisation, as every classifier of the library."""

    def __init__(self, seed=1):
        super().__init__(seed)
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1))

    def forward(self, x):
        return super().forward(x + 0.5 - self.mean if hasattr(self, "mean") else x)


class Brightness(nn.Module):
    """Class 1 if the pixels in rows 2-5, columns 3-7 are bright; nothing else matters."""

    def forward(self, x):
        inside = x[:, :, 2:6, 3:8].mean((1, 2, 3))
        return torch.stack([torch.zeros_like(inside), 12 * (inside - 0.4)], dim=1)


def some_images(count=5, size=SIZE, seed=1):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)).round()


def some_maps(count=5, height=SIZE, width=SIZE, seed=2):
    return torch.randn(count, height, width, generator=torch.Generator().manual_seed(seed))


def probability(classifier, image, target):
    classifier.eval()
    with torch.no_grad():
        return classifier(image[None]).softmax(1)[0, target].item()


def by_salience(saliency):
    """Pixels from the most to the least salient; the maps of these tests have no ties."""
    width = saliency.shape[1]
    flat = saliency.flatten().tolist()
    return [divmod(i, width) for i in sorted(range(len(flat)), key=lambda i: -flat[i])]


def naive_curve(classifier, image, saliency, start, end, steps):
    with torch.no_grad():
        target = classifier.eval()(image[None]).argmax().item()
    order, values = by_salience(saliency), []
    for step in range(steps + 1):
        picture = start.clone()
        for row, column in order[: round(step * len(order) / steps)]:
            picture[:, row, column] = end[:, row, column]
        values.append(probability(classifier, picture, target))
    return values


def naive_area(curve):
    return sum((left + right) / 2 for left, right in zip(curve, curve[1:], strict=False)) / (
        len(curve) - 1
    )


def naive_losses(classifier, image, saliency, empty, *, keep):
    """p_j(x) - p_j(changed x) for each of the fractions, and p_j(x) - p_j(empty)."""
    with torch.no_grad():
        j = classifier.eval()(image[None]).argmax().item()
    losses, order = [], by_salience(saliency)
    for fraction in (0.01, 0.05, 0.1, 0.2, 0.5):
        changed = empty.clone() if keep else image.clone()
        for row, column in order[: max(1, round(fraction * len(order)))]:
            changed[:, row, column] = (image if keep else empty)[:, row, column]
        losses.append(probability(classifier, image, j) - probability(classifier, changed, j))
    return losses, probability(classifier, image, j) - probability(classifier, empty, j)


def zero_fill(classifier, image):
    mean = classifier.mean if hasattr(classifier, "mean") else torch.zeros(3, 1, 1)
    return mean.expand_as(image).clone()


def blur_fill(image):
    return gaussian_blur(image, 3, 5 * SIZE / 224)


@pytest.mark.parametrize("make", [Plain, Normalising])
@pytest.mark.parametrize("steps", [1, 5, 28])
def test_insertion_and_deletion_are_the_naive_loops(make, steps):
    classifier, images, maps = make(), some_images(), some_maps()
    insertion = insertion_curve(classifier, images, maps, steps=steps)
    deletion = deletion_curve(classifier, images, maps, steps=steps)
    inserted = insertion_auc(classifier, images, maps, steps=steps)
    deleted = deletion_auc(classifier, images, maps, steps=steps)
    for i, (image, saliency) in enumerate(zip(images, maps, strict=True)):
        up = naive_curve(classifier, image, saliency, blur_fill(image), image, steps)
        down = naive_curve(classifier, image, saliency, image, zero_fill(classifier, image), steps)
        assert insertion[i].tolist() == pytest.approx(up, abs=1e-5)
        assert deletion[i].tolist() == pytest.approx(down, abs=1e-5)
        assert inserted[i].item() == pytest.approx(naive_area(up), abs=1e-5)
        assert deleted[i].item() == pytest.approx(naive_area(down), abs=1e-5)
    assert insertion.std() > 0.01 and deletion.std() > 0.01  # the curves are not flat


@pytest.mark.parametrize("make", [Plain, Normalising])
@pytest.mark.parametrize("fill", ["zero", "blur"])
@pytest.mark.parametrize("normalized", [False, True])
def test_sufficiency_and_comprehensiveness_are_the_naive_loops(make, fill, normalized):
    classifier, images, maps = make(), some_images(8), some_maps(8)
    arguments = {"fill": fill, "normalized": normalized}
    kept = sufficiency(classifier, images, maps, **arguments)
    removed = comprehensiveness(classifier, images, maps, **arguments)
    defined = 0
    for i, (image, saliency) in enumerate(zip(images, maps, strict=True)):
        empty = zero_fill(classifier, image) if fill == "zero" else blur_fill(image)
        for keep, value in ((True, kept[i]), (False, removed[i])):
            losses, gap = naive_losses(classifier, image, saliency, empty, keep=keep)
            if normalized and gap < 0.05:
                assert value.isnan()
                continue
            if normalized:
                losses = [min(max(loss / gap, 0), 1) for loss in losses]
            assert value.item() == pytest.approx(sum(losses) / 5, abs=1e-4)
            defined += 1
    assert defined >= 4


def test_normalised_areas_are_the_areas_of_the_rescaled_naive_curves():
    classifier, images, maps = Normalising(), some_images(8), some_maps(8)
    inserted = insertion_auc(classifier, images, maps, steps=7, normalized=True)
    deleted = deletion_auc(classifier, images, maps, steps=7, normalized=True)
    defined = 0
    for i, (image, saliency) in enumerate(zip(images, maps, strict=True)):
        up = naive_curve(classifier, image, saliency, blur_fill(image), image, 7)
        down = naive_curve(classifier, image, saliency, image, zero_fill(classifier, image), 7)
        cases = ((inserted[i], up, up[0], up[-1]), (deleted[i], down, down[-1], down[0]))
        for value, curve, empty, whole in cases:
            if whole - empty < 0.05:
                assert value.isnan()
                continue
            curve = [min(max((p - empty) / (whole - empty), 0), 1) for p in curve]
            assert value.item() == pytest.approx(naive_area(curve), abs=1e-4)
            defined += 1
    assert defined >= 4


def test_one_pass_gives_what_the_single_functions_give():
    classifier, images, maps = Normalising(), some_images(), some_maps()
    together = faithfulness(classifier, images, maps, batch_size=13)
    assert len(together) == 13
    for normalized, ending in ((False, ""), (True, "_normalized")):
        alone = {
            f"insertion_auc{ending}": insertion_auc(
                classifier, images, maps, normalized=normalized
            ),
            f"deletion_auc{ending}": deletion_auc(classifier, images, maps, normalized=normalized),
        }
        for fill in ("zero", "blur"):
            for metric in (sufficiency, comprehensiveness):
                alone[f"{metric.__name__}_{fill}{ending}"] = metric(
                    classifier, images, maps, fill=fill, normalized=normalized
                )
        for name, value in alone.items():
            torch.testing.assert_close(together[name], value, equal_nan=True, msg=name)
    sure = classifier.eval()(images).softmax(1).amax(1)
    torch.testing.assert_close(together["confidence"], sure.detach())


def test_one_pass_takes_as_many_forward_passes_as_it_says():
    class Counting(Plain):
        shown = 0

        def forward(self, x):
            self.shown += len(x)
            return super().forward(x)

    classifier = Counting()
    classifier.shown = 0
    faithfulness(classifier, some_images(5), some_maps(5), batch_size=64)
    assert classifier.shown == 5 * (2 * 28 + 4 * 5 + 1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("batch_size", [1, 3, 29, 100])
def test_neither_the_batch_size_nor_the_order_of_the_images_matters(metric, batch_size):
    classifier, images = Normalising(), some_images(6)
    maps = some_maps(6).round()  # with many ties
    expected = metric(classifier, images, maps)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    result = metric(classifier, images[order], maps[order], batch_size=batch_size)
    torch.testing.assert_close(result, expected[order], atol=1e-5, rtol=1e-5)
    alone = metric(classifier, images[2:3], maps[2:3], batch_size=batch_size)
    torch.testing.assert_close(alone, expected[2:3], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_only_the_order_of_the_pixels_matters(metric):
    classifier, images, maps = Normalising(), some_images(), some_maps()
    expected = metric(classifier, images, maps)
    torch.testing.assert_close(metric(classifier, images, maps.double().exp() * 7 - 2), expected)
    torch.testing.assert_close(metric(classifier, images, maps**3), expected)
    assert not torch.allclose(metric(classifier, images, -maps), expected)


def test_the_true_evidence_beats_random_and_reversed_maps():
    images = 0.2 * some_images(40)
    images[:, :, 2:6, 3:8] += 0.6
    truth = torch.zeros(40, SIZE, SIZE)
    truth[:, 2:6, 3:8] = 1
    grey = torch.full_like(images, 0.1)
    for worse in (some_maps(40), -truth, torch.zeros_like(truth)):
        for metric, sign, extra in (
            (insertion_auc, 1, {"baseline": grey}),
            (deletion_auc, -1, {}),
            (sufficiency, -1, {}),
            (comprehensiveness, 1, {}),
        ):
            good = metric(Brightness(), images, truth, **extra)
            bad = metric(Brightness(), images, worse, **extra)
            assert (sign * (good - bad) > 0).all(), metric.__name__


def test_everything_kept_is_sufficient_and_everything_removed_is_comprehensive():
    classifier, images, maps = Normalising(), some_images(8), some_maps(8)
    whole = {"fractions": (1.0,), "fill": "zero"}
    torch.testing.assert_close(sufficiency(classifier, images, maps, **whole), torch.zeros(8))
    share = comprehensiveness(classifier, images, maps, normalized=True, **whole)
    defined = ~share.isnan()
    assert defined.any()
    torch.testing.assert_close(share[defined], torch.ones(int(defined.sum())))


def test_a_classifier_that_ignores_the_image_has_flat_curves_and_no_normalised_value():
    class Deaf(nn.Module):
        def forward(self, x):
            return torch.tensor([[0.0, 1.0, 2.0]]).repeat(len(x), 1)

    images, maps = some_images(), some_maps()
    level = torch.tensor([0.0, 1.0, 2.0]).softmax(0)[2].expand(5)
    torch.testing.assert_close(insertion_auc(Deaf(), images, maps), level)
    torch.testing.assert_close(deletion_auc(Deaf(), images, maps), level)
    torch.testing.assert_close(sufficiency(Deaf(), images, maps), torch.zeros(5))
    torch.testing.assert_close(comprehensiveness(Deaf(), images, maps), torch.zeros(5))
    for metric in METRICS:
        assert metric(Deaf(), images, maps, normalized=True).isnan().all()


def test_a_flat_map_takes_pixels_from_everywhere():
    ranks = pixel_ranks(torch.ones(2, 32, 32))
    assert torch.equal(ranks[0], ranks[1])
    # Of 256 random pixels 64 ± 6 fall in each quarter; 24 away is 4 standard deviations.
    quarter = (ranks[0] < 256).view(2, 16, 2, 16).sum((1, 3))
    assert (quarter - 64).abs().max() < 24


def test_the_order_of_ties_is_fixed_and_draws_on_no_random_state():
    first, state = tie_order(50), torch.get_rng_state()
    tie_order.cache_clear()
    assert torch.equal(tie_order(50), first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("value", [0.3, -7.1, 0.0])
def test_a_flat_map_of_cells_stays_flat_in_pixels(value):
    fine = upsample(torch.full((1, 3, 5), value), 17, 23)
    assert (fine == fine[0, 0, 0]).all()
    fill_order = pixel_ranks(fine).flatten().long().argsort()
    assert torch.equal(fill_order, tie_order(17 * 23))


def test_maps_of_cells_are_upsampled_bilinearly():
    cells, classifier, images = some_maps(5, 4, 3), Normalising(), some_images()
    fine = nn.functional.interpolate(cells[:, None], (SIZE, SIZE), mode="bilinear")[:, 0]
    torch.testing.assert_close(upsample(cells, SIZE, SIZE), fine)
    assert torch.equal(
        deletion_curve(classifier, images, cells),
        deletion_curve(classifier, images, upsample(cells, SIZE, SIZE)),
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(0, 10**6))
def test_ranks_are_a_permutation_that_sorts_the_map(height, width, levels, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randint(levels, (3, height, width), generator=generator).float()
    ranks = pixel_ranks(maps).flatten(1).long()
    pixels = height * width
    assert torch.equal(ranks.sort(1).values, torch.arange(pixels).expand(3, -1))
    in_order = torch.empty(3, pixels).scatter_(1, ranks, maps.flatten(1))
    assert (in_order.diff(dim=1) <= 0).all()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=9),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_rescaled_curves_stay_between_their_ends(curve, empty, whole):
    result = rescale(torch.tensor([curve]), torch.tensor([empty]), torch.tensor([whole]))
    if torch.tensor(whole) - torch.tensor(empty) < MIN_GAP:
        assert result.isnan().all()
    else:
        assert ((result >= 0) & (result <= 1)).all()


def test_the_customary_window_at_224_shrinks_in_proportion():
    image = some_images(1, 224)
    torch.testing.assert_close(blur(image), gaussian_blur(image, 11, 5.0))
    small = some_images(1, 112)
    torch.testing.assert_close(blur(small), gaussian_blur(small, 5, 2.5))
    torch.testing.assert_close(blur(small, 11, 5.0), gaussian_blur(small, 11, 5.0))
    with pytest.raises(ValueError, match="odd kernel size"):
        blur(small, 4, 1.0)


def test_a_step_at_224_restores_1792_pixels():
    shares = []

    def classifier(x):
        shares.append(x.mean((1, 2, 3)))
        return torch.stack([x.mean((1, 2, 3)), torch.zeros(len(x))], dim=1)

    white = torch.ones(1, 3, 224, 224)
    black = torch.zeros_like(white)
    insertion_curve(classifier, white, some_maps(1, 7, 7), baseline=black)
    counts = torch.cat(shares[1:]).double().mul(224 * 224)
    expected = torch.arange(28, dtype=torch.float64) * 1792
    torch.testing.assert_close(counts, expected, atol=0.5, rtol=0)


@pytest.mark.parametrize("batch_size", [2, 256])
def test_a_fill_may_be_given_as_images(batch_size):
    classifier, images, maps = Normalising(), some_images(), some_maps()
    named = faithfulness(classifier, images, maps)
    blurred, grey = blur(images), classifier.mean.expand_as(images)
    for name, value in {
        "insertion_auc": insertion_auc(
            classifier, images, maps, baseline=blurred, batch_size=batch_size
        ),
        "deletion_auc": deletion_auc(
            classifier, images, maps, baseline=grey, batch_size=batch_size
        ),
        "sufficiency_blur": sufficiency(
            classifier, images, maps, fill=blurred, batch_size=batch_size
        ),
        "comprehensiveness_zero": comprehensiveness(
            classifier, images, maps, fill=grey, batch_size=batch_size
        ),
    }.items():
        torch.testing.assert_close(value, named[name], atol=1e-5, rtol=1e-5, msg=name)


def test_the_target_is_the_predicted_class_unless_given():
    classifier, images, maps = Normalising(), some_images(), some_maps()
    predicted = classifier.eval()(images).argmax(1)
    classifier.train()
    expected = deletion_auc(classifier, images, maps)
    given_ = deletion_auc(classifier, images, maps, target=predicted)
    torch.testing.assert_close(given_, expected)
    other = deletion_auc(classifier, images, maps, target=(predicted + 1) % 4)
    assert not torch.allclose(other, expected)


@pytest.mark.parametrize("metric", [*METRICS, faithfulness])
def test_the_model_and_the_random_state_are_left_as_they_were(metric):
    classifier = Normalising().train()
    classifier.norm.eval()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    state = torch.get_rng_state()
    images, maps = some_images(), some_maps().requires_grad_()
    kept_images, kept_maps = images.clone(), maps.detach().clone()
    metric(classifier, images, maps)
    assert classifier.training and classifier.head.training and not classifier.norm.training
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, kept_images) and torch.equal(maps, kept_maps) and maps.grad is None


def test_values_can_be_used_in_further_computations():
    value = insertion_auc(Normalising(), some_images(), some_maps())
    assert value.shape == (5,) and value.dtype == torch.float32 and not value.is_inference()
    weight = torch.ones(5, requires_grad=True)
    (weight * value).sum().backward()
    torch.testing.assert_close(weight.grad, value)


def test_uint8_images_count_as_their_255th():
    images, maps = (some_images() * 255).round().to(torch.uint8), some_maps()
    for metric in METRICS:
        torch.testing.assert_close(
            metric(Normalising(), images, maps), metric(Normalising(), images.float() / 255, maps)
        )


@pytest.mark.parametrize("metric", [*METRICS, faithfulness])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"saliency": torch.full((5, 7, 7), torch.nan)}, "NaN or infinite values in 5 of 5"),
        ({"saliency": torch.full((5, 7, 7), torch.inf)}, "NaN or infinite"),
        ({"saliency": torch.zeros(5, 1, 7, 7)}, r"saliency\[:, 0\]"),
        ({"saliency": torch.zeros(4, 7, 7)}, "each of the 5 images"),
        ({"saliency": torch.zeros(5, SIZE + 1, SIZE)}, "29 x 28 for images of 28 x 28"),
        ({"images": torch.full((5, 3, SIZE, SIZE), 9.0)}, r"expected \[0, 1\]"),
        ({"images": torch.zeros(3, SIZE, SIZE)}, r"images\[None\]"),
        ({"target": torch.zeros(4, dtype=torch.int64)}, "targets are"),
        ({"target": torch.full((5,), 4)}, "targets run from 4 to 4, expected 0 to 3"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"classifier": lambda x: x.mean((2, 3)) * torch.nan}, "diverged"),
    ],
)
def test_bad_input_is_named(metric, change, message):
    arguments = {"classifier": Normalising(), "images": some_images(), "saliency": some_maps()}
    with pytest.raises(ValueError, match=message):
        metric(**(arguments | change))


def test_bad_options_are_named():
    arguments = (Normalising(), some_images(), some_maps())
    with pytest.raises(ValueError, match="steps is 0"):
        insertion_auc(*arguments, steps=0)
    with pytest.raises(ValueError, match="expected at least one"):
        sufficiency(*arguments, fractions=())
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        comprehensiveness(*arguments, fractions=(0.5, 1.5))
    with pytest.raises(ValueError, match="'grey', expected 'zero', 'blur'"):
        sufficiency(*arguments, fill="grey")
    with pytest.raises(ValueError, match="the fill has shape"):
        deletion_auc(*arguments, baseline=torch.zeros(5, 3, 2, 2))


def test_the_customary_fractions_are_the_defaults():
    arguments = (Normalising(), some_images(), some_maps())
    assert FRACTIONS == (0.01, 0.05, 0.1, 0.2, 0.5)
    expected = torch.stack([sufficiency(*arguments, fractions=(part,)) for part in FRACTIONS])
    torch.testing.assert_close(sufficiency(*arguments), expected.mean(0))
