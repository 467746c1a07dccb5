"""Everything that is measured of a trained model on one domain, as one flat dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from align.checks import check_flag, check_function, check_kind, check_number, check_seed, shown
from align.data.benchmark import Domain
from align.localised import localisation, masker_quality
from align.metrics.accuracy import accuracy_per_class, group_accuracies, predict
from align.metrics.faithfulness import faithfulness
from align.metrics.inputs import as_float, images_at_once
from align.metrics.localisation import control_maps, energy_inside
from align.metrics.reliance import reliance
from align.networks.models import (
    Model,
    device_of,
    evaluation_mode,
    inference,
    pooled_linear,
    suited,
)
from align.saliency import contrastive_evidence, grad_cam

Explainer = Callable[[Any, Tensor, Tensor], Tensor]


def evaluate(
    run_or_classifier: Any,
    domain: Domain,
    *,
    masker: Model | None = None,
    saliency: Explainer | None = None,
    max_explained: int = 512,
    batch_size: int | None = None,
    seed: int = 0,
    controls: bool = False,
    localisation_only: bool = False,
    details: bool = False,
    seen: str = "leave out",
) -> dict[str, Any]:
    """Measure accuracy on all images of a domain, and explanations on a random part of them.

    Images are never augmented, and a uint8 domain is converted one batch at a time. The model is
    used on the device it is on and given back as it was.

    Args:
        run_or_classifier: a `Run`, of which the classifier and the masker are taken, or a bare
            classifier: `(N, 3, H, W)` float in [0, 1] to logits `(N, C)`.
        domain: the images, labels and, where known, true masks.
        masker: `(N, 3, H, W)` to `(N, 1, H, W)` in [0, 1]; overrides the run's.
        saliency: `(classifier, images, labels)` to maps `(N, h, w)`, larger where more salient;
            by default Grad-CAM with its sign. The labels given are the predicted classes.
        max_explained: at most so many images, drawn at random without replacement, are used for
            the metrics of explanations, which take 77 forward passes an image; 0 leaves these
            metrics out.
        batch_size: images in one forward pass; None takes what suits the device, see
            `align.metrics.inputs.images_at_once`.
        seed: the same seed explains the same images and gives the same control maps.
        controls: whether to measure control explanations as well (each as costly as the first).
        localisation_only: leave out faithfulness, which takes nearly all of the time, and measure
            only where explanations lie and what the answers rely on; not together with controls.
        details: whether to return, besides numbers, what they are the means of: `correct`, bool
            `(N,)`, for each image of the domain whether it is classified rightly, and the mean
            `insertion_curve` and `deletion_curve` as lists.
        seen: what happens to images that the run was trained on: "leave out", or "keep".

    Returns:
        Numbers ready for JSON; a key is absent where its metric is not defined.

        - `seen_left_out` or, where they are kept, `seen`: how many of the images the run was
          trained on, where there are any;
        - `count`, `accuracy`, `balanced_accuracy` (the mean over the classes present) and
          `accuracy_per_class` (a dictionary by class name), over all images;
        - where the domain's groups have names, `accuracy_per_group` (a dictionary by group name),
          `worst_group` (the least of them), `mean_group` (their mean) and, where it is known how
          often each was trained on, `accuracy_adjusted` (their mean weighed by that);
        - `explained`, the number of images of all that follows, and means over them:
          `confidence`, `insertion_auc`, `deletion_auc`, `sufficiency_zero`, `sufficiency_blur`,
          `comprehensiveness_zero`, `comprehensiveness_blur`, each of the last six also with
          `_normalized` appended (the mean over the `normalized_zero_count` or
          `normalized_blur_count` images where it is defined; see
          `align.metrics.rescale`);
        - with true masks, over the `localised` images that show an object: `iou` (scaled to
          [0, 1], cut at 0.5), `iou_matched` (cut at the true mask's area), `pointing_game`,
          `energy_inside`, `object_area` (the share a constant map would have inside) and, for a
          pooled linear head, `evidence_inside`: the share inside of the size of the contrastive
          evidence, what separates the predicted class from the others;
        - over the same images, if there are two: `reliance_logits`, `reliance_probability`,
          `reliance_decisions`, how far the answers move when the background is replaced and the
          object kept; the same after `object_` for the object replaced and the background kept,
          and after `control_` for a region of the mask's shape kept elsewhere; see
          `align.metrics.reliance`;
        - with a masker `masker_area` (marked pixels) and `masker_mean` (of the soft mask); with
          true masks too, `masker_iou` (cut at 0.5), `masker_iou_matched`,
          `masker_pointing_game`, `masker_energy_inside`, and the IoU of what has the same area
          as the masker's marked pixels: `random_iou` (random pixels), `shifted_iou` (the marked
          pixels themselves, anywhere), `centre_iou` (a disc in the middle);
        - with `controls`, all faithfulness and localisation keys again after
          `control_random_`, `control_random_coarse_`, `control_centre_`, `control_constant_`
          and, with true masks and over the localised images, `control_true_mask_`.

    Raises:
        ValueError: if classifier, masker, saliency and domain do not fit together, an output
            is not finite, or controls are asked for with localisation only.
    """
    check_kind("domain", domain, Domain, "a Domain: of a benchmark, benchmark[name]")
    classifier, masker = _parts(run_or_classifier, masker)
    check_function("masker", masker)
    check_function("saliency", saliency)
    if len(domain) == 0:
        raise ValueError(f"domain '{domain.name}' has no images, expected at least one")
    check_number("max_explained", max_explained, 0, 10**9, whole=True)
    check_seed(seed)
    flags = {"controls": controls, "localisation_only": localisation_only, "details": details}
    for name, flag in flags.items():
        check_flag(name, flag)
    if controls and localisation_only:
        raise ValueError(
            "controls and localisation_only are both True, expected at most one: controls are "
            "scored on faithfulness; set one of them to False"
        )
    domain, result = _unseen(run_or_classifier, domain, seen)
    batch_size = images_at_once(batch_size, device_of(classifier, domain.images.device))
    logits = _logits(classifier, domain, batch_size)
    predicted = logits.argmax(1)
    result |= _accuracies(predicted == domain.labels, domain)
    if details:
        result["correct"] = predicted == domain.labels
    if max_explained == 0:
        return result

    chosen = _draw(len(domain), max_explained, seed)
    part, predicted = domain.subset(chosen), predicted[chosen]
    result["explained"] = len(part)
    maps = _explain(classifier, part, predicted, saliency, batch_size)
    if not localisation_only:
        result |= _faithfulness(classifier, part, maps, predicted, batch_size, details)

    shown = _objects(part)
    if len(shown):
        result["localised"] = len(shown)
        result["object_area"] = (part.masks[shown] >= 0.5).double().mean().item()
        result |= localisation(part, maps, shown, batch_size, scale=True)
        if _is_pooled_linear(classifier, part):
            evidence = _explain(classifier, part, predicted, _evidence_size, batch_size)
            inside = energy_inside(evidence[shown], part.masks[shown])
            result["evidence_inside"] = inside.double().mean().item()
    if len(shown) > 1:
        result |= reliance(
            classifier,
            part.images[shown],
            part.masks[shown],
            logits=logits[chosen][shown],
            seed=seed,
            batch_size=batch_size,
        )
    if masker is not None:
        result |= masker_quality(masker, part, shown, batch_size)
    if controls:
        result |= _controls(classifier, part, predicted, shown, batch_size, seed, details)
    return result


def _unseen(run: Any, domain: Domain, seen: str) -> tuple[Domain, dict[str, int]]:
    """The images that a run was not trained on, or all, and how many it was."""
    if not isinstance(seen, str) or seen not in ("leave out", "keep"):
        raise ValueError(f"seen is {shown(seen)}, expected 'leave out' or 'keep'")
    contract = getattr(run, "contract", None)
    if contract is None:
        return domain, {}
    contract.check_classes(domain)
    known = contract.seen(domain)
    count = int(known.sum())
    if seen == "keep" or not count:
        return domain, {"seen": count} if count else {}
    if count == len(domain):
        raise ValueError(
            f"every image of domain '{domain.name}' was trained on: evaluate on others, or pass "
            "seen='keep' to measure what was remembered"
        )
    return domain.subset((~known).nonzero()[:, 0]), {"seen_left_out": count}


def _parts(run_or_classifier: Any, masker: Model | None) -> tuple[Model, Model | None]:
    # A module first: torchvision's models have an attribute `classifier` of their own.
    if isinstance(run_or_classifier, nn.Module) or not hasattr(run_or_classifier, "classifier"):
        classifier = run_or_classifier
    else:
        classifier = run_or_classifier.classifier
        masker = getattr(run_or_classifier, "masker", None) if masker is None else masker
    if not callable(classifier):
        raise ValueError(
            f"got {type(run_or_classifier).__name__} to evaluate, expected a run or a classifier "
            "that turns images into logits"
        )
    return classifier, masker


def _logits(classifier: Model, domain: Domain, batch_size: int) -> Tensor:
    logits = predict(classifier, domain.images, batch_size=batch_size)
    if logits.shape[1] != len(domain.classes):
        raise ValueError(
            f"the classifier has {logits.shape[1]} outputs and domain '{domain.name}' has "
            f"{len(domain.classes)} classes, expected the same number; evaluate on the benchmark "
            "it was trained on"
        )
    return logits


def _accuracies(correct: Tensor, domain: Domain) -> dict[str, Any]:
    each = accuracy_per_class(correct, domain.labels, domain.classes)
    result = {
        "count": len(domain),
        "accuracy": correct.double().mean().item(),
        "balanced_accuracy": sum(each.values()) / len(each),
        "accuracy_per_class": each,
    }
    if domain.group_names is not None:
        result |= group_accuracies(correct, domain.groups, domain.group_names, domain.group_shares)
    return result


def _draw(count: int, most: int, seed: int) -> Tensor:
    """At most `most` of `count` positions, int64, in increasing order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[:most].sort().values


def _objects(domain: Domain) -> Tensor:
    """Positions of the images whose true mask is known and not empty, int64."""
    if domain.masks is None:
        return torch.empty(0, dtype=torch.int64)
    return (domain.masks.amax((1, 2)) >= 0.5).nonzero()[:, 0]


def _signed_grad_cam(classifier: Model, images: Tensor, labels: Tensor) -> Tensor:
    """Grad-CAM before any scaling: ranks need none, and energy needs the zero where it is."""
    return grad_cam(classifier, images, labels, normalize=None, relu=False)


def _evidence_size(classifier: Any, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        features = classifier.features(images)
        return contrastive_evidence(features, classifier.linear.weight, labels).abs().sum(1)


def _is_pooled_linear(classifier: Model, domain: Domain) -> bool:
    """Whether the head is average pooling and a linear layer, as a few images show."""
    if not hasattr(classifier, "features"):
        return False
    with inference(classifier, domain.images.device) as device:
        images = suited(as_float(domain.images[:4].to(device)), classifier)
        return pooled_linear(classifier, classifier.features(images)) is not None


def _explain(
    classifier: Model,
    domain: Domain,
    labels: Tensor,
    saliency: Explainer | None,
    batch_size: int,
) -> Tensor:
    """The classifier's maps, `(N, h, w)`, computed in batches; gradients stay allowed."""
    if saliency is None and not hasattr(classifier, "features"):
        raise ValueError(
            f"{type(classifier).__name__} has no `features` for Grad-CAM to look at; give the "
            "maps with saliency=, a function of (classifier, images, labels)"
        )
    explain = _signed_grad_cam if saliency is None else saliency
    device = device_of(classifier, domain.images.device)
    maps = []
    with evaluation_mode(classifier):
        for images, goal in zip(
            domain.images.split(batch_size), labels.split(batch_size), strict=True
        ):
            batch = explain(
                classifier, suited(as_float(images.to(device)), classifier), goal.to(device)
            ).detach()
            maps.append(batch.to(domain.images.device))
    return torch.cat(maps)


def _faithfulness(
    classifier: Model,
    domain: Domain,
    maps: Tensor,
    predicted: Tensor,
    batch_size: int,
    curves: bool,
) -> dict[str, Any]:
    """Means of the faithfulness metrics; normalised ones over the images that have one."""
    values = faithfulness(
        classifier, domain.images, maps, target=predicted, batch_size=batch_size, curves=curves
    )
    result: dict[str, Any] = {
        f"normalized_{fill}_count": int((~values[f"sufficiency_{fill}_normalized"].isnan()).sum())
        for fill in ("zero", "blur")
    }
    for name, value in values.items():
        if name.endswith("_curve"):
            result[name] = value.double().mean(0).tolist()
            continue
        mean = value.double().nanmean().item()
        if mean == mean:  # NaN where the metric is defined for no image
            result[name] = mean
    return result


def _controls(
    classifier: Model,
    domain: Domain,
    predicted: Tensor,
    shown: Tensor,
    batch_size: int,
    seed: int,
    curves: bool,
) -> dict[str, Any]:
    """The same metrics for explanations that know nothing, and for the one that knows the truth."""
    result: dict[str, Any] = {}
    everything = torch.arange(len(domain))
    cases = {
        name: (maps, everything)
        for name, maps in control_maps(len(domain), *domain.images.shape[2:], seed=seed).items()
    }
    if len(shown):
        cases["true_mask"] = (domain.masks, shown)
    for name, (maps, rows) in cases.items():
        measured = _faithfulness(
            classifier, domain.subset(rows), maps[rows], predicted[rows], batch_size, curves
        )
        if len(shown):
            measured |= localisation(domain, maps, shown, batch_size, scale=True)
        result |= {f"control_{name}_{key}": value for key, value in measured.items()}
    return result
