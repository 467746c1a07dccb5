"""`evaluate`: what it reports, on which images, and that it leaves everything as it was."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from align import metrics
from align.data.benchmark import Domain
from align.evaluation import evaluate
from align.saliency import contrastive_evidence, grad_cam

SIZE, CLASSES = 16, ("bird", "car", "dog")
FAITHFULNESS = {
    "insertion_auc",
    "deletion_auc",
    "sufficiency_zero",
    "sufficiency_blur",
    "comprehensiveness_zero",
    "comprehensiveness_blur",
}
LOCALISATION = {"iou", "iou_matched", "pointing_game", "energy_inside"}
SAME_AREA = {"random_iou", "shifted_iou", "centre_iou"}


class Small(nn.Module):
    """A convolution, BatchNorm and a pooled linear head, normalising inside."""

    def __init__(self, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1))
        self.convolution = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, len(CLASSES))
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)

    def features(self, x):
        return self.norm(self.convolution(x - self.mean)).relu()

    def head(self, features):
        return self.linear(features.mean((2, 3)))

    def forward(self, x):
        return self.head(self.features(x))


class Bright(nn.Module):
    """A masker that marks bright pixels."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(8.0))

    def forward(self, x):
        return torch.sigmoid(self.slope * (x.mean(1, keepdim=True) - 0.5))


def some_domain(count=20, empty=(3, 7), masks=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    truth = torch.zeros(count, SIZE, SIZE)
    for i in range(count):
        if i not in empty:
            row, column = torch.randint(SIZE - 6, (2,), generator=generator).tolist()
            truth[i, row : row + 6, column : column + 5] = 1
    labels = torch.randint(len(CLASSES), (count,), generator=generator)
    return Domain("room", images, labels, CLASSES, truth if masks else None)


def test_accuracies_are_counted_over_all_images():
    domain, classifier = some_domain(), Small()
    result = evaluate(classifier, domain, max_explained=0, batch_size=7)
    right = classifier.eval()(domain.images / 255).argmax(1) == domain.labels
    assert result["count"] == 20 and 0 < result["accuracy"] < 1
    assert result["accuracy"] == pytest.approx(right.double().mean().item())
    each = {
        name: right[domain.labels == i].double().mean().item() for i, name in enumerate(CLASSES)
    }
    assert result["accuracy_per_class"] == pytest.approx(each)
    assert result["balanced_accuracy"] == pytest.approx(sum(each.values()) / 3)
    assert set(result) == {"count", "accuracy", "accuracy_per_class", "balanced_accuracy"}


def test_explanations_are_the_means_of_the_metrics_for_the_predicted_class():
    domain, classifier = some_domain(), Small()
    result = evaluate(classifier, domain, batch_size=9)
    images = domain.images / 255
    predicted = classifier.eval()(images).argmax(1)
    maps = grad_cam(classifier, images, predicted, normalize=None, upsample=True)
    assert result["explained"] == 20
    for name in FAITHFULNESS:
        metric, _, fill = name.partition("_")
        function = getattr(metrics, metric if fill in ("zero", "blur") else name)
        options = {"fill": fill} if fill in ("zero", "blur") else {}
        values = function(classifier, images, maps, **options)
        assert result[name] == pytest.approx(values.mean().item(), abs=1e-5), name
        values = function(classifier, images, maps, normalized=True, **options)
        if values.isnan().all():
            assert f"{name}_normalized" not in result
        else:
            assert result[f"{name}_normalized"] == pytest.approx(values.nanmean().item(), abs=1e-4)
    zero = metrics.deletion_auc(classifier, images, maps, normalized=True)
    assert result["normalized_zero_count"] == int((~zero.isnan()).sum()) > 0
    sure = classifier(images).softmax(1).amax(1).mean().item()
    assert result["confidence"] == pytest.approx(sure, abs=1e-5)


def test_localisation_is_measured_where_there_is_an_object():
    domain, classifier = some_domain(), Small()
    result = evaluate(classifier, domain, batch_size=9)
    shown = domain.masks.amax((1, 2)) > 0
    images, truth = domain.images[shown] / 255, domain.masks[shown]
    predicted = classifier.eval()(images).argmax(1)
    maps = grad_cam(classifier, images, predicted, normalize=None, upsample=True)
    scaled = metrics.minmax(maps)
    weight = classifier.linear.weight
    evidence = contrastive_evidence(classifier.features(images), weight, predicted).detach()
    evidence = evidence.abs().sum(1)
    assert result["localised"] == 18
    for name, values in {
        "object_area": truth,
        "iou": metrics.iou(scaled, truth, threshold=0.5),
        "iou_matched": metrics.iou(maps, truth),
        "pointing_game": metrics.pointing_game(maps, truth),
        "energy_inside": metrics.energy_inside(maps, truth),
        "evidence_inside": metrics.energy_inside(evidence, truth),
    }.items():
        assert result[name] == pytest.approx(values.float().mean().item(), abs=1e-5), name


def test_a_masker_is_measured_against_masks_of_its_own_area():
    domain, masker = some_domain(), Bright()
    result = evaluate(SimpleNamespace(classifier=Small(), masker=masker), domain)
    soft = masker(domain.images / 255)[:, 0].detach()
    shown = domain.masks.amax((1, 2)) > 0
    own, truth = soft[shown], domain.masks[shown]
    marked = own >= 0.5
    assert result["masker_area"] == pytest.approx((soft >= 0.5).float().mean().item())
    assert result["masker_mean"] == pytest.approx(soft.mean().item())
    for name, values in {
        "masker_iou": metrics.iou(own, truth, threshold=0.5),
        "masker_iou_matched": metrics.iou(own, truth),
        "masker_pointing_game": metrics.pointing_game(own, truth),
        "masker_energy_inside": metrics.energy_inside(own, truth),
        "random_iou": metrics.expected_random_iou(marked, truth),
        "shifted_iou": metrics.expected_shifted_iou(marked, truth),
    }.items():
        assert result[name] == pytest.approx(values.float().mean().item(), abs=1e-5), name
    centre = metrics.control_maps(18, SIZE, SIZE)["centre"]
    disc = metrics.top_pixels(centre, marked.sum((1, 2)))
    assert torch.equal(disc.sum((1, 2)), marked.sum((1, 2)))
    values = metrics.iou(disc, truth, threshold=0.5)
    assert result["centre_iou"] == pytest.approx(values.mean().item())


def test_a_masker_of_true_masks_beats_every_mask_of_its_area():
    domain = some_domain(empty=())
    truth = domain.masks[:, None]

    def masker(images):
        seen = (images[:, None] == domain.images[None] / 255).flatten(2).all(2)
        return truth[seen.float().argmax(1)]

    result = evaluate(Small(), domain, masker=masker, batch_size=6)
    assert result["masker_iou"] == result["masker_pointing_game"] == 1
    assert max(result[name] for name in SAME_AREA) < 0.4
    assert result["masker_area"] == pytest.approx(result["object_area"])


RELIANCE = {
    f"{what}reliance_{way}"
    for what in ("", "object_", "control_")
    for way in ("logits", "probability", "decisions")
}


def test_keys_follow_what_is_known():
    base = {"count", "accuracy", "accuracy_per_class", "balanced_accuracy", "explained"}
    faithful = FAITHFULNESS | {"confidence", "normalized_zero_count", "normalized_blur_count"}
    here = LOCALISATION | {"localised", "object_area", "evidence_inside"} | RELIANCE
    masker = {"masker_area", "masker_mean"}
    optional = {f"{name}_normalized" for name in FAITHFULNESS}

    def keys(domain, **options):
        return set(evaluate(Small(), domain, **options)) - optional

    assert keys(some_domain(masks=False)) == base | faithful
    assert keys(some_domain()) == base | faithful | here
    assert keys(some_domain(masks=False), masker=Bright()) == base | faithful | masker
    assert keys(some_domain(4, empty=range(4))) == base | faithful
    everything = keys(some_domain(), masker=Bright(), controls=True)
    mine = {f"masker_{name}" for name in LOCALISATION} | SAME_AREA | masker
    controls = {
        f"control_{control}_{name}"
        for control in ("random", "random_coarse", "centre", "constant", "true_mask")
        for name in faithful | LOCALISATION
    }
    extra = {key for key in everything if key.endswith("_normalized")}
    assert everything - extra == base | faithful | here | mine | controls


def test_controls_include_the_true_mask_and_what_knows_nothing():
    domain, classifier = some_domain(), Small()
    result = evaluate(classifier, domain, controls=True)
    assert result["control_true_mask_iou"] == result["control_true_mask_energy_inside"] == 1
    assert result["control_constant_energy_inside"] == pytest.approx(result["object_area"])
    maps = metrics.control_maps(20, SIZE, SIZE, seed=0)["random"]
    images = domain.images / 255
    value = metrics.deletion_auc(classifier, images, maps).mean().item()
    assert result["control_random_deletion_auc"] == pytest.approx(value, abs=1e-5)
    shown = domain.masks.amax((1, 2)) > 0
    value = metrics.sufficiency(classifier, images[shown], domain.masks[shown]).mean().item()
    assert result["control_true_mask_sufficiency_zero"] == pytest.approx(value, abs=1e-5)


def test_a_part_is_explained_the_same_part_for_a_seed():
    domain, seen = some_domain(), []

    def saliency(classifier, images, labels):
        seen.append(images)
        return images.mean(1)

    results = [
        evaluate(Small(), domain, saliency=saliency, max_explained=6, seed=seed)
        for seed in (0, 0, 1)
    ]
    first, same, other = (images for images in seen if len(images) == 6)
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert len(first.flatten(1).unique(dim=0)) == 6
    assert results[0] == results[1] != results[2]
    assert results[0]["explained"] == 6 and results[0]["count"] == 20


def test_the_batch_size_does_not_matter():
    domain, options = some_domain(), {"masker": Bright(), "max_explained": 7, "controls": True}
    small = evaluate(Small(), domain, batch_size=3, **options)
    large = evaluate(Small(), domain, batch_size=256, **options)
    assert small.pop("accuracy_per_class") == large.pop("accuracy_per_class")
    assert small == pytest.approx(large, abs=1e-4)


def test_localisation_only_leaves_out_faithfulness_and_nothing_else():
    domain, options = some_domain(), {"masker": Bright(), "max_explained": 7, "details": True}
    whole = evaluate(Small(), domain, **options)
    part = evaluate(Small(), domain, localisation_only=True, **options)
    left_out = set(whole) - set(part)
    assert torch.equal(part["correct"], whole["correct"])
    assert {k: v for k, v in part.items() if k != "correct"} == {
        k: v for k, v in whole.items() if k not in left_out and k != "correct"
    }
    words = (
        "confidence",
        "insertion",
        "deletion",
        "sufficiency",
        "comprehensiveness",
        "normalized",
    )
    assert left_out and all(any(word in key for word in words) for key in left_out)
    assert {"iou", "energy_inside", "masker_iou"} <= set(part) and "insertion_auc" in left_out
    with pytest.raises(ValueError, match="at most one"):
        evaluate(Small(), domain, localisation_only=True, controls=True)


def test_one_image_is_enough():
    result = evaluate(Small(), some_domain(1, empty=()), masker=Bright(), controls=True)
    assert result["explained"] == result["localised"] == 1


def test_the_result_is_plain_json():
    result = evaluate(Small(), some_domain(), masker=Bright(), controls=True)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    values = [value for value in result.values() if not isinstance(value, dict)]
    assert all(type(value) in (int, float) and math.isfinite(value) for value in values)


def test_models_domain_and_random_state_are_left_as_they_were():
    classifier, masker, domain = Small().train(), Bright().train(), some_domain()
    classifier.norm.eval()  # frozen on purpose inside a training model
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    digest, state = domain.fingerprint(), torch.get_rng_state()
    evaluate(classifier, domain, masker=masker, controls=True)
    assert classifier.training and masker.training and classifier.linear.training
    assert not classifier.norm.training
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())
    for parameter in (*classifier.parameters(), *masker.parameters()):
        assert parameter.grad is None and parameter.requires_grad
    assert domain.fingerprint() == digest and torch.equal(torch.get_rng_state(), state)


def test_a_module_with_an_attribute_called_classifier_is_a_classifier():
    module = Small()
    module.classifier = nn.Linear(1, 1)
    assert evaluate(module, some_domain(), max_explained=0)["count"] == 20


def test_a_given_masker_overrides_the_run_s():
    def nothing(images):
        return torch.zeros(len(images), 1, SIZE, SIZE)

    run = SimpleNamespace(classifier=Small(), masker=Bright())
    assert evaluate(run, some_domain(), masker=nothing)["masker_mean"] == 0


def test_a_saliency_with_gradients_works():
    def gradient(classifier, images, labels):
        images = images.clone().requires_grad_()
        chosen = classifier(images).gather(1, labels[:, None]).sum()
        return torch.autograd.grad(chosen, images)[0].abs().sum(1)

    result = evaluate(Small(), some_domain(), saliency=gradient)
    assert result["insertion_auc"] != evaluate(Small(), some_domain())["insertion_auc"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_on_the_gpu_gives_the_same_numbers():
    domain = some_domain()
    here = evaluate(Small(), domain, masker=Bright(), controls=True)
    there = evaluate(Small().cuda(), domain, masker=Bright().cuda(), controls=True)
    assert here.pop("accuracy_per_class") == there.pop("accuracy_per_class")
    assert here == pytest.approx(there, abs=1e-3)


def test_misfits_are_named():
    domain = some_domain()
    four = Domain("room", domain.images, domain.labels, (*CLASSES, "chair"))
    with pytest.raises(ValueError, match="3 outputs and domain 'room' has 4 classes"):
        evaluate(Small(), four)
    with pytest.raises(ValueError, match="'room' has no images"):
        evaluate(Small(), domain.subset(torch.tensor([], dtype=torch.int64)))
    with pytest.raises(ValueError, match="max_explained is -1"):
        evaluate(Small(), domain, max_explained=-1)
    with pytest.raises(ValueError, match="of type int, expected a function from images to logits"):
        evaluate(SimpleNamespace(classifier=3), domain)
    with pytest.raises(ValueError, match="NaN or infinite for 20 of 20"):
        evaluate(lambda x: x.mean((2, 3)) * torch.nan, domain)
    with pytest.raises(ValueError, match="NaN or infinite values in 20 of 20 maps"):
        evaluate(Small(), domain, saliency=lambda f, x, y: x.mean(1) * torch.nan)
    with pytest.raises(ValueError, match="drop a channel dimension"):
        evaluate(Small(), domain, saliency=lambda f, x, y: x[:, :1])
    with pytest.raises(ValueError, match="one soft mask an image"):
        evaluate(Small(), domain, masker=lambda x: x.mean(1))
    with pytest.raises(ValueError, match="lacks a sigmoid"):
        evaluate(Small(), domain, masker=lambda x: x[:, :1] * 9)
    with pytest.raises(ValueError, match="run from nan to nan"):
        evaluate(Small(), domain, masker=lambda x: x[:, :1] * torch.nan)
    with pytest.raises(ValueError, match="saliency="):
        evaluate(lambda x: x.mean((2, 3)), domain)
