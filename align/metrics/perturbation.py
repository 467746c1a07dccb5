"""Pictures with some pixels kept and the rest filled, and what a classifier says of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from align.checks import check_classes, check_floats, check_images, check_number, shown
from align.metrics.accuracy import check_finite, forward
from align.metrics.inputs import as_float, check_saliency, images_at_once, pixel_ranks, upsample
from align.networks.models import Model, device_of, inference

Fill = str | Tensor


@dataclass(frozen=True)
class Inputs:
    """What is measured, on what, checked; see `align.metrics`."""

    classifier: Model
    images: Tensor
    saliency: Tensor
    target: Tensor | None
    batch_size: int | None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_images(self.images, bytes_too=True)
        check_saliency(self.saliency, self.images)
        if self.target is not None:
            check_classes("targets", self.target, {"N": len(self.images)})

    @property
    def pixels(self) -> int:
        """How many pixels an image has."""
        return self.images.shape[-2] * self.images.shape[-1]


@dataclass(frozen=True)
class Series:
    """Pictures to show: for each count k, the k most salient pixels kept, or removed."""

    keep: bool
    fill: Fill
    counts: tuple[int, ...]


def blur(images: Tensor, kernel_size: int | None = None, sigma: float | None = None) -> Tensor:
    """Blur images `(N, 3, H, W)` with a Gaussian window, reflecting them at their edges.

    Kernel 11 and σ 5 are customary for images of 224 x 224; by default both shrink and grow with
    the smaller side, so that an image of any size loses the same amount of detail.

    `kernel_size` is an odd number of pixels, by default 11/224 of the smaller side, rounded to an
    odd number, at least 3; `sigma` is in pixels too, by default 5/224 of the smaller side.
    """
    side = min(check_floats("images", images, "N3HW", {"3": 3})[letter] for letter in "HW")
    if kernel_size is None:
        kernel_size = max(3, 2 * round((11 * side / 224 - 1) / 2) + 1)
    sigma = 5 * side / 224 if sigma is None else sigma
    check_number("kernel_size", kernel_size, 1, float("inf"), whole=True)
    check_number("sigma", sigma, 0, float("inf"))
    if kernel_size % 2 == 0 or kernel_size // 2 >= side or sigma <= 0:
        raise ValueError(
            f"blur with kernel size {kernel_size} and sigma {sigma:.3g} on images of side {side}, "
            f"expected an odd kernel size of at most {2 * side - 1} and a positive sigma"
        )
    return gaussian_blur(images, kernel_size, sigma)


def filled(classifier: Model, images: Tensor, fill: Fill) -> Tensor:
    """The picture `(N, 3, H, W)` that filled pixels are taken from.

    `fill` is "zero", zeros of the *normalised* image: the colour `classifier.mean`, or black where
    the classifier has none; "blur", the image after `blur`; or a tensor of the images' shape, taken
    as it is.
    """
    _check_fill(fill, images)
    if isinstance(fill, Tensor):
        return as_float(fill.to(images.device)).to(images.dtype)
    if fill == "blur":
        return blur(images)
    mean = getattr(classifier, "mean", None)
    if not isinstance(mean, Tensor):
        return torch.zeros_like(images)
    return mean.to(images).reshape(1, 3, 1, 1).expand_as(images)


def measure(inputs: Inputs, *series: Series) -> tuple[Tensor, list[Tensor]]:
    """Probabilities of the target: `(N,)` on the whole image, `(N, len(counts))` per series.

    Images are taken a batch at a time, so that their ranks and fills, like the perturbed pictures,
    never hold more memory than a few batches.
    """
    classifier, images, target = inputs.classifier, inputs.images, inputs.target
    at_once = images_at_once(inputs.batch_size, device_of(classifier, images.device))
    for one in series:
        _check_fill(one.fill, images)
    count, (height, width) = len(images), images.shape[-2:]
    wholes: list[Tensor] = []
    parts: list[list[Tensor]] = [[] for _ in series]
    with inference(classifier, images.device) as device:
        for start in range(0, count, at_once):
            rows = slice(start, start + at_once)
            batch = as_float(images[rows].to(device))
            logits = forward(classifier, batch)
            goal = _goal(logits, None if target is None else target[rows])
            whole = _probability(logits, goal)
            ranks = pixel_ranks(upsample(inputs.saliency[rows].to(device), height, width))
            wholes.append(whole)
            for part, one in zip(parts, series, strict=True):
                fill = one.fill[rows] if isinstance(one.fill, Tensor) else one.fill
                two = batch, filled(classifier, batch, fill)
                part.append(_probabilities(classifier, two, ranks, one, goal, whole, at_once))
    results = [torch.cat(part).to(images.device) for part in (wholes, *parts)]
    for result in results:
        check_finite(result.view(count, -1))
    return results[0], results[1:]


def _goal(logits: Tensor, target: Tensor | None) -> Tensor:
    """The class to follow, int64 `(n,)`: the target given, else the predicted class."""
    if target is None:
        return logits.argmax(1)
    low, high = int(target.min()), int(target.max())
    if not 0 <= low <= high < logits.shape[1]:
        raise ValueError(
            f"targets run from {low} to {high}, expected 0 to {logits.shape[1] - 1} for the "
            f"classifier's {logits.shape[1]} classes"
        )
    return target.to(logits.device)


def _probabilities(
    classifier: Model,
    two: tuple[Tensor, Tensor],
    ranks: Tensor,
    series: Series,
    goal: Tensor,
    whole: Tensor,
    at_once: int,
) -> Tensor:
    """`(n, len(counts))` of `two`, images and fill; the untouched image has a known probability."""
    images = two[0]
    top, rest = two if series.keep else two[::-1]
    untouched = ranks[0].numel() if series.keep else 0
    result = whole[:, None].repeat(1, len(series.counts))
    shown = [column for column, k in enumerate(series.counts) if k != untouched]
    for first in range(0, len(shown), at_once):
        columns = torch.tensor(shown[first : first + at_once], device=images.device)
        counts = torch.tensor(series.counts, dtype=torch.int32, device=images.device)[columns]
        together = max(1, at_once // len(columns))
        for start in range(0, len(images), together):
            rows = slice(start, start + together)
            chosen = ranks[rows, None, None] < counts[:, None, None, None]
            # At weights 0 and 1 exactly one of the two, in a third of the time of torch.where.
            pictures = torch.lerp(rest[rows, None], top[rows, None], chosen.to(images.dtype))
            logits = forward(classifier, pictures.flatten(0, 1))
            goals = goal[rows].repeat_interleave(len(columns))
            values = _probability(logits, goals).view(-1, len(columns))
            result[rows, columns] = values
    return result


def _probability(logits: Tensor, goal: Tensor) -> Tensor:
    """Softmax probability of one class per row, in single precision at least."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits.softmax(1).gather(1, goal[:, None])[:, 0]


def _check_fill(fill: Fill, images: Tensor) -> None:
    if isinstance(fill, Tensor):
        if fill.shape != images.shape:
            raise ValueError(
                f"the fill has shape {tuple(fill.shape)}, expected {tuple(images.shape)}, the "
                "images' shape"
            )
        check_images(fill, bytes_too=True)
    elif not isinstance(fill, str) or fill not in ("zero", "blur"):
        raise ValueError(
            f"the fill is {shown(fill)}, expected 'zero', 'blur' or a tensor of images"
        )
