"""Predictions in batches, and how many of them are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from align.checks import check_classes, check_images, check_kind, check_number, check_shape
from align.metrics.inputs import as_float, images_at_once
from align.networks.models import Model, device_of, inference, suited


def predict(classifier: Model, images: Tensor, *, batch_size: int | None = None) -> Tensor:
    """The classifier's logits for any number of images, `(N, C)`, all of them finite."""
    check_images(images, bytes_too=True)
    at_once = images_at_once(batch_size, device_of(classifier, images.device))
    with inference(classifier, images.device) as device:
        batches = [
            forward(classifier, as_float(batch.to(device))).to(images.device)
            for batch in images.split(at_once)
        ]
    logits = torch.cat(batches)  # outside inference mode: an ordinary tensor
    check_finite(logits)
    return logits


def forward(classifier: Model, images: Tensor) -> Tensor:
    """One forward pass on the classifier's own device, checked to give a row of logits an image."""
    if not callable(classifier):
        raise ValueError(
            f"the classifier is of type {type(classifier).__name__}, expected a function from "
            "images to logits"
        )
    logits = classifier(suited(images, classifier))
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        what = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(
            f"the classifier returned {what} for {len(images)} images, "
            f"expected logits of shape ({len(images)}, C)"
        )
    return logits


def check_finite(values: Tensor) -> None:
    """Refuse a classifier's outputs, `(N, ...)`, with NaN or infinity among them."""
    bad = int((~torch.isfinite(values)).flatten(1).any(1).sum())
    if bad:
        raise ValueError(
            f"the classifier's output is NaN or infinite for {bad} of {len(values)} images, "
            "expected finite logits; the model has most likely diverged in training"
        )


def correct(
    classifier: Model, images: Tensor, labels: Tensor, *, batch_size: int | None = None
) -> Tensor:
    """Whether the class of the largest logit is the label, bool `(N,)`."""
    check_images(images, bytes_too=True)
    check_classes("labels", labels, {"N": len(images)})
    return predict(classifier, images, batch_size=batch_size).argmax(1) == labels.to(images.device)


def accuracy(
    classifier: Model, images: Tensor, labels: Tensor, *, batch_size: int | None = None
) -> float:
    """The share of images whose predicted class is their label: the mean of `correct`."""
    return correct(classifier, images, labels, batch_size=batch_size).double().mean().item()


def accuracy_per_class(correct: Tensor, labels: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """The accuracy among the images of each class, by class name.

    `correct` is that of the function `correct`, and `classes` are named in label order. A class
    without images has no entry.
    """
    sizes = check_shape("correct", correct, "N", dtype=torch.bool)
    check_shape("labels", labels, "N", sizes, torch.int64)
    if not isinstance(classes, list | tuple) or not all(isinstance(n, str) for n in classes):
        raise ValueError(f"classes are of type {type(classes).__name__}, expected a list of names")
    check_classes("labels", labels.cpu(), sizes | {"C": len(classes)})
    return {
        name: correct[labels == label].double().mean().item()
        for label, name in enumerate(classes)
        if bool((labels == label).any())
    }


def group_accuracies(
    correct: Tensor, groups: Tensor, names: Sequence[str], shares: Sequence[float] | None = None
) -> dict[str, Any]:
    """How right predictions are in each of several groups, and where they are worst.

    `groups` are int64 `(N,)`, 0 to `len(names) - 1`; `shares` are each group's share of the images
    trained on, in the order of the names, where that is known.

    Returns:
        `accuracy_per_group` (a dictionary; a group without images has no entry), `worst_group`,
        `mean_group` and, with shares of all groups that have images, `accuracy_adjusted`: the
        groups' accuracies weighed by these shares, which is what a test set that is made up as the
        training set would give.

    Source: Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020.
    """
    each = accuracy_per_class(correct, groups, names)
    if not each:
        raise ValueError("there are no images, expected at least one to measure groups on")
    result: dict[str, Any] = {
        "accuracy_per_group": each,
        "worst_group": min(each.values()),
        "mean_group": sum(each.values()) / len(each),
    }
    weights = {} if shares is None else _by_name(names, shares)
    if weights and all(name in each for name, weight in weights.items() if weight > 0):
        result["accuracy_adjusted"] = sum(weights[name] * each[name] for name in each)
    return result


def _by_name(names: Sequence[str], shares: Sequence[float]) -> dict[str, float]:
    check_kind("shares", shares, (list, tuple), "a list with one share a group, or None")
    for share in shares:
        check_number("a group's share", share, 0, 1)
    if len(shares) != len(names):
        raise ValueError(f"{len(shares)} shares for {len(names)} groups, expected one each")
    return dict(zip(names, shares, strict=True))
