"""Does the classifier use what the map points at? Pixels are kept or removed to find out.

All four metrics ask for the probability of one class on images of which the k most salient pixels
show one picture and the rest another; they differ in the two pictures and in the values of k:

| metric            | the top k pixels | the rest  | k                                   |
|-------------------|------------------|-----------|-------------------------------------|
| insertion         | image            | blurred   | 0 to all, in equal steps            |
| deletion          | mean colour      | image     | 0 to all, in equal steps            |
| sufficiency       | image            | fill      | a few fractions of the pixels       |
| comprehensiveness | fill             | image     | a few fractions of the pixels       |

Maps at cell resolution are brought to pixel resolution bilinearly first; pixels of equal saliency
are taken in a fixed random order (`align.metrics.inputs.tie_order` says why).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from align.checks import check_flag, check_floats, check_number
from align.metrics.accuracy import check_finite, forward
from align.metrics.inputs import (
    as_float,
    check_images,
    check_labels,
    check_saliency,
    images_at_once,
    pixel_ranks,
    upsample,
)
from align.models import Model, device_of, inference

STEPS = 28
"""Steps of the insertion and deletion curves: 1,792 pixels a step at 224 x 224."""

FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""The shares of pixels over which sufficiency and comprehensiveness are averaged."""

MIN_GAP = 0.05
"""The least drop in probability, from the image to the empty picture, that can be divided by."""

Fill = str | Tensor


def insertion_curve(
    classifier: Model,
    images: Tensor,
    saliency: Tensor,
    *,
    steps: int = STEPS,
    baseline: Fill = "blur",
    target: Tensor | None = None,
    batch_size: int | None = None,
) -> Tensor:
    """The probability of the target as the most salient pixels are restored first.

    Args:
        classifier: `(N, 3, H, W)` float in [0, 1] to logits `(N, C)`; run in evaluation mode and
            given back with every training flag as it was.
        images: `(N, 3, H, W)`, uint8 in 0-255 or floating point in [0, 1], on any device.
        saliency: `(N, h, w)` with h <= H and w <= W, any real values; larger is more salient.
        steps: number of equal steps from no pixel to all pixels.
        baseline: what the pixels not yet restored show: "blur", "zero" (see `filled`) or a tensor
            of the images' shape in [0, 1].
        target: int64 `(N,)`, the class whose probability is followed; by default the class the
            classifier predicts for the untouched image.
        batch_size: images in one forward pass; None takes 32 on a CPU and 256 on a GPU.

    Returns:
        `(N, steps + 1)` probabilities on the images' device: from the baseline at 0 to the
        untouched image at `steps`.

    Raises:
        ValueError: if the inputs do not fit together or a value is not finite.

    Source:
        Petsiuk, Das and Saenko 2018, "RISE", section 4.3.
    """
    series = _Series(True, baseline, _equal_steps(steps, images))
    return _measure(classifier, images, saliency, [series], target, batch_size)[1][0]


def deletion_curve(
    classifier: Model,
    images: Tensor,
    saliency: Tensor,
    *,
    steps: int = STEPS,
    baseline: Fill = "zero",
    target: Tensor | None = None,
    batch_size: int | None = None,
) -> Tensor:
    """The probability of the target as the most salient pixels are removed first.

    Args:
        classifier: as for `insertion_curve`.
        images: as for `insertion_curve`.
        saliency: as for `insertion_curve`.
        steps: number of equal steps from no pixel to all pixels.
        baseline: what a removed pixel shows: "zero", "blur" or a tensor of the images' shape.
        target: as for `insertion_curve`.
        batch_size: images in one forward pass; None takes 32 on a CPU and 256 on a GPU.

    Returns:
        `(N, steps + 1)` probabilities on the images' device: from the untouched image at 0 to the
        baseline at `steps`.

    Raises:
        ValueError: if the inputs do not fit together or a value is not finite.

    Source:
        Petsiuk, Das and Saenko 2018, "RISE", section 4.3.
    """
    series = _Series(False, baseline, _equal_steps(steps, images))
    return _measure(classifier, images, saliency, [series], target, batch_size)[1][0]


def insertion_auc(
    classifier: Model,
    images: Tensor,
    saliency: Tensor,
    *,
    steps: int = STEPS,
    baseline: Fill = "blur",
    target: Tensor | None = None,
    batch_size: int | None = None,
    normalized: bool = False,
) -> Tensor:
    """Area under `insertion_curve` over the share of restored pixels; higher is better.

    The plain area grows with the classifier's confidence, so two classifiers compare only by the
    normalised one: `rescale` of the curve between its own two ends.

    Args:
        classifier: as for `insertion_curve`.
        images: as for `insertion_curve`.
        saliency: as for `insertion_curve`.
        steps: as for `insertion_curve`.
        baseline: as for `insertion_curve`.
        target: as for `insertion_curve`.
        batch_size: images in one forward pass; None takes 32 on a CPU and 256 on a GPU.
        normalized: whether to rescale each curve to run from 0 (baseline) to 1 (image).

    Returns:
        `(N,)`, in [0, 1], on the images' device; NaN where `normalized` and blurring everything
        costs the target less than `MIN_GAP`.

    Raises:
        ValueError: if the inputs do not fit together or a value is not finite.

    Source:
        Petsiuk, Das and Saenko 2018, "RISE", section 4.3 (trapezoidal rule).

    Book: faithfulness, eq-faith-four.
    """
    check_flag("normalized", normalized)
    curve = insertion_curve(
        classifier,
        images,
        saliency,
        steps=steps,
        baseline=baseline,
        target=target,
        batch_size=batch_size,
    )
    return area(rescale(curve, curve[:, 0], curve[:, -1]) if normalized else curve)


def deletion_auc(
    classifier: Model,
    images: Tensor,
    saliency: Tensor,
    *,
    steps: int = STEPS,
    baseline: Fill = "zero",
    target: Tensor | None = None,
    batch_size: int | None = None,
    normalized: bool = False,
) -> Tensor:
    """Area under `deletion_curve` over the share of removed pixels; lower is better.

    Args:
        classifier: as for `insertion_curve`.
        images: as for `insertion_curve`.
        saliency: as for `insertion_curve`.
        steps: as for `insertion_curve`.
        baseline: as for `deletion_curve`.
        target: as for `insertion_curve`.
        batch_size: images in one forward pass; None takes 32 on a CPU and 256 on a GPU.
        normalized: whether to rescale each curve to run from 1 (image) to 0 (baseline).

    Returns:
        `(N,)`, in [0, 1], on the images' device; NaN where `normalized` and removing everything
        costs the target less than `MIN_GAP`.

    Raises:
        ValueError: if the inputs do not fit together or a value is not finite.

    Source:
        Petsiuk, Das and Saenko 2018, "RISE", section 4.3 (trapezoidal rule).

    Book: faithfulness, eq-faith-four.
    """
    check_flag("normalized", normalized)
    curve = deletion_curve(
        classifier,
        images,
        saliency,
        steps=steps,
        baseline=baseline,
        target=target,
        batch_size=batch_size,
    )
    return area(rescale(curve, curve[:, -1], curve[:, 0]) if normalized else curve)


def sufficiency(
    classifier: Model,
    images: Tensor,
    saliency: Tensor,
    *,
    fractions: Sequence[float] = FRACTIONS,
    fill: Fill = "zero",
    target: Tensor | None = None,
    batch_size: int | None = None,
    normalized: bool = False,
) -> Tensor:
    """How much probability is lost when only the most salient pixels are kept; lower is better.

    The mean over the fractions of `p_j(x) - p_j(r)`, where j is the predicted class and r the
    image with every pixel but the top fraction filled.

    Args:
        classifier: as for `insertion_curve`.
        images: as for `insertion_curve`.
        saliency: as for `insertion_curve`.
        fractions: shares of the pixels kept, each above 0 and at most 1 (at least one pixel).
        fill: what the other pixels show: "zero", "blur" (see `filled`) or a tensor of the images'
            shape in [0, 1].
        target: as for `insertion_curve`.
        batch_size: images in one forward pass; None takes 32 on a CPU and 256 on a GPU.
        normalized: whether to divide each loss by the loss when everything is filled,
            `p_j(x) - p_j(empty)`, and clip it to [0, 1]: 0 says that the kept pixels are enough,
            1 that they do no better than none.

    Returns:
        `(N,)` on the images' device, in [-1, 1], or in [0, 1] when normalised; NaN where
        `normalized` and filling everything costs the target less than `MIN_GAP`.

    Raises:
        ValueError: if the inputs do not fit together or a value is not finite.

    Source:
        DeYoung et al. 2020, "ERASER", section 4 (the metric and its averaging); Carton, Rathore
        and Tan 2020, arXiv 2010.04736 (division by the null difference; theirs is one minus
        ours). Normalized AOPC, arXiv 2408.08137, divides by the best and worst of all orderings
        instead, which takes a search that is not made here.

    Book: faithfulness, eq-faith-four.
    Book: benchmark/explanation_quality, eq-quality-suff.
    """
    check_flag("normalized", normalized)
    empty = (0,) if normalized else ()  # shown only where it is divided by
    series = _Series(True, fill, _pixel_counts(fractions, images) + empty)
    whole, (kept,) = _measure(classifier, images, saliency, [series], target, batch_size)
    return _mean_loss(whole, kept[:, : len(fractions)], kept[:, -1] if normalized else None)


def comprehensiveness(
    classifier: Model,
    images: Tensor,
    saliency: Tensor,
    *,
    fractions: Sequence[float] = FRACTIONS,
    fill: Fill = "zero",
    target: Tensor | None = None,
    batch_size: int | None = None,
    normalized: bool = False,
) -> Tensor:
    """How much probability is lost when the most salient pixels are removed; higher is better.

    The mean over the fractions of `p_j(x) - p_j(x without r)`, where j is the predicted class and
    r the top fraction of the pixels, which are filled.

    Args:
        classifier: as for `insertion_curve`.
        images: as for `insertion_curve`.
        saliency: as for `insertion_curve`.
        fractions: shares of the pixels removed, each above 0 and at most 1 (at least one pixel).
        fill: what a removed pixel shows: "zero", "blur" (see `filled`) or a tensor of the images'
            shape in [0, 1].
        target: as for `insertion_curve`.
        batch_size: images in one forward pass; None takes 32 on a CPU and 256 on a GPU.
        normalized: whether to divide each loss by the loss when everything is filled,
            `p_j(x) - p_j(empty)`, and clip it to [0, 1]: 1 says that removing these pixels is as
            bad as removing everything.

    Returns:
        `(N,)` on the images' device, in [-1, 1], or in [0, 1] when normalised; NaN where
        `normalized` and filling everything costs the target less than `MIN_GAP`.

    Raises:
        ValueError: if the inputs do not fit together or a value is not finite.

    Source:
        DeYoung et al. 2020, "ERASER", section 4; for the normalised form see `sufficiency`.

    Book: faithfulness, eq-faith-four.
    Book: benchmark/explanation_quality, eq-quality-suff.
    """
    check_flag("normalized", normalized)
    check_images(images)
    empty = (images.shape[-2] * images.shape[-1],) if normalized else ()
    series = _Series(False, fill, _pixel_counts(fractions, images) + empty)
    whole, (left,) = _measure(classifier, images, saliency, [series], target, batch_size)
    return _mean_loss(whole, left[:, : len(fractions)], left[:, -1] if normalized else None)


def faithfulness(
    classifier: Model,
    images: Tensor,
    saliency: Tensor,
    *,
    steps: int = STEPS,
    fractions: Sequence[float] = FRACTIONS,
    target: Tensor | None = None,
    batch_size: int | None = None,
    curves: bool = False,
) -> dict[str, Tensor]:
    """Every faithfulness metric in one pass over the images.

    The pixels are ranked once, and the untouched and the empty pictures are shown once, so this
    takes fewer forward passes than the single functions one after another: for each image
    2 steps + 4 fractions + 1.

    Args:
        classifier: as for `insertion_curve`.
        images: as for `insertion_curve`.
        saliency: as for `insertion_curve`.
        steps: as for `insertion_curve`.
        fractions: as for `sufficiency`.
        target: as for `insertion_curve`.
        batch_size: images in one forward pass; None takes 32 on a CPU and 256 on a GPU.
        curves: also return `insertion_curve` and `deletion_curve`, `(N, steps + 1)`.

    Returns:
        `(N,)` tensors on the images' device under the keys `confidence` (of the target on the
        untouched image), `insertion_auc`, `deletion_auc`, `sufficiency_zero`, `sufficiency_blur`,
        `comprehensiveness_zero`, `comprehensiveness_blur`, and for each of the last six the same
        with `_normalized` appended.

    Raises:
        ValueError: if the inputs do not fit together or a value is not finite.
    """
    check_flag("curves", curves)
    curve, counts = _equal_steps(steps, images), _pixel_counts(fractions, images)
    series = [
        _Series(True, "blur", curve + counts),
        _Series(False, "zero", curve + counts),
        _Series(True, "zero", counts),
        _Series(False, "blur", counts),
    ]
    whole, values = _measure(classifier, images, saliency, series, target, batch_size)
    insertion, kept_blur = values[0].split([len(curve), len(counts)], dim=1)
    deletion, left_zero = values[1].split([len(curve), len(counts)], dim=1)
    blurred, zeroed = insertion[:, 0], deletion[:, -1]
    whole_curves = {"insertion_curve": insertion, "deletion_curve": deletion} if curves else {}
    return {
        "confidence": whole,
        "insertion_auc": area(insertion),
        "insertion_auc_normalized": area(rescale(insertion, blurred, insertion[:, -1])),
        "deletion_auc": area(deletion),
        "deletion_auc_normalized": area(rescale(deletion, zeroed, deletion[:, 0])),
        "sufficiency_zero": _mean_loss(whole, values[2]),
        "sufficiency_zero_normalized": _mean_loss(whole, values[2], zeroed),
        "sufficiency_blur": _mean_loss(whole, kept_blur),
        "sufficiency_blur_normalized": _mean_loss(whole, kept_blur, blurred),
        "comprehensiveness_zero": _mean_loss(whole, left_zero),
        "comprehensiveness_zero_normalized": _mean_loss(whole, left_zero, zeroed),
        "comprehensiveness_blur": _mean_loss(whole, values[3]),
        "comprehensiveness_blur_normalized": _mean_loss(whole, values[3], blurred),
        **whole_curves,
    }


def area(curve: Tensor) -> Tensor:
    """Area under a curve of equally spaced points, by the trapezoidal rule, over a width of 1.

    Args:
        curve: `(N, steps + 1)`.

    Returns:
        `(N,)`.
    """
    if check_floats("curve", curve, "NK")["K"] < 2:
        raise ValueError("the curve has one point, expected at least 2")
    return torch.trapezoid(curve, dx=1 / (curve.shape[1] - 1), dim=1)


def rescale(curve: Tensor, empty: Tensor, whole: Tensor) -> Tensor:
    """Express probabilities on the scale from an empty picture (0) to the whole image (1).

    Args:
        curve: `(N, K)`, probabilities.
        empty: `(N,)`, the probability when every pixel is filled.
        whole: `(N,)`, the probability on the untouched image.

    Returns:
        `(N, K)`, `(curve - empty) / (whole - empty)` clipped to [0, 1]; rows of NaN where
        `whole - empty` is below `MIN_GAP`: there the image adds too little to the fill for any
        map to explain, and a ratio would be noise.

    Book: faithfulness, eq-faith-normalised.
    """
    sizes = check_floats("curve", curve, "NK")
    check_floats("empty", empty, "N", sizes)
    check_floats("whole", whole, "N", sizes)
    gap = (whole - empty)[:, None]
    share = ((curve - empty[:, None]) / gap).clamp(0, 1)
    return share.masked_fill(gap < MIN_GAP, torch.nan)


def blur(images: Tensor, kernel_size: int | None = None, sigma: float | None = None) -> Tensor:
    """Blur images with a Gaussian window, reflecting them at their edges.

    Kernel 11 and σ 5 are customary for images of 224 x 224; by default both shrink and grow with
    the smaller side, so that an image of any size loses the same amount of detail.

    Args:
        images: `(N, 3, H, W)`, floating point.
        kernel_size: odd number of pixels; by default 11/224 of the smaller side, rounded to an
            odd number, at least 3.
        sigma: standard deviation in pixels; by default 5/224 of the smaller side.

    Returns:
        `(N, 3, H, W)`.

    Raises:
        ValueError: if the kernel is even, below 1, or too wide to be reflected in the image.
    """
    side = min(check_floats("images", images, "N3HW", {"3": 3})[letter] for letter in "HW")
    if kernel_size is not None:
        check_number("kernel_size", kernel_size, 1, float("inf"), whole=True)
    if sigma is not None:
        check_number("sigma", sigma, 0, float("inf"))
    if kernel_size is None:
        kernel_size = max(3, 2 * round((11 * side / 224 - 1) / 2) + 1)
    sigma = 5 * side / 224 if sigma is None else sigma
    if kernel_size < 1 or kernel_size % 2 == 0 or kernel_size // 2 >= side or sigma <= 0:
        raise ValueError(
            f"blur with kernel size {kernel_size} and sigma {sigma:.3g} on images of side {side}, "
            f"expected an odd kernel size of at most {2 * side - 1} and a positive sigma"
        )
    return gaussian_blur(images, kernel_size, sigma)


def filled(classifier: Model, images: Tensor, fill: Fill) -> Tensor:
    """The picture that filled pixels are taken from.

    Args:
        classifier: asked for its `mean`, the colour that its own normalisation turns into zeros.
        images: `(N, 3, H, W)`, floating point in [0, 1].
        fill: "zero", zeros of the *normalised* image: the colour `classifier.mean`, or black
            where the classifier has none; "blur", the image after `blur`; or a tensor of the
            images' shape, taken as it is.

    Returns:
        `(N, 3, H, W)` on the images' device.

    Raises:
        ValueError: if the fill has another name or shape.
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


@dataclass(frozen=True)
class _Series:
    """Pictures to show: for each count k, the k most salient pixels kept, or removed."""

    keep: bool
    fill: Fill
    counts: tuple[int, ...]


def _check_fill(fill: Fill, images: Tensor) -> None:
    if isinstance(fill, Tensor):
        if fill.shape != images.shape:
            raise ValueError(
                f"the fill has shape {tuple(fill.shape)}, expected {tuple(images.shape)}, the "
                "images' shape"
            )
        check_images(fill)
    elif not isinstance(fill, str) or fill not in ("zero", "blur"):
        what = repr(fill) if isinstance(fill, str) else f"of type {type(fill).__name__}"
        raise ValueError(f"the fill is {what}, expected 'zero', 'blur' or a tensor of images")


def _equal_steps(steps: int, images: Tensor) -> tuple[int, ...]:
    check_images(images)
    pixels = images.shape[-2] * images.shape[-1]
    check_number("steps", steps, 1, pixels, whole=True)
    return tuple(round(i * pixels / steps) for i in range(steps + 1))


def _pixel_counts(fractions: Sequence[float], images: Tensor) -> tuple[int, ...]:
    check_images(images)
    listed = isinstance(fractions, tuple | list)
    if not listed or not fractions or not all(_is_share(value) for value in fractions):
        raise ValueError(
            f"fractions are {fractions!r}, expected at least one in a list, each above 0 and at "
            "most 1"
        )
    pixels = images.shape[-2] * images.shape[-1]
    return tuple(max(1, round(fraction * pixels)) for fraction in fractions)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value <= 1


def _mean_loss(whole: Tensor, changed: Tensor, empty: Tensor | None = None) -> Tensor:
    """Mean loss of probability, `(N,)`; where `empty` is given, as a share of the loss there."""
    if empty is None:
        return (whole[:, None] - changed).mean(1)
    return (1 - rescale(changed, empty, whole)).mean(1)


def _measure(
    classifier: Model,
    images: Tensor,
    saliency: Tensor,
    series: Sequence[_Series],
    target: Tensor | None,
    batch_size: int | None,
) -> tuple[Tensor, list[Tensor]]:
    """Probabilities of the target: `(N,)` on the whole image, `(N, len(counts))` per series.

    Images are taken a batch at a time, so that their ranks and fills, like the perturbed
    pictures, never hold more memory than a few batches.
    """
    check_images(images)
    check_saliency(saliency, images)
    at_once = images_at_once(batch_size, device_of(classifier, images.device))
    for one in series:
        _check_fill(one.fill, images)
    if target is not None:
        check_labels(target, images, "targets")
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
            ranks = pixel_ranks(upsample(saliency[rows].to(device), height, width))
            wholes.append(whole)
            for part, one in zip(parts, series, strict=True):
                fill = one.fill[rows] if isinstance(one.fill, Tensor) else one.fill
                part.append(
                    _series_probabilities(
                        classifier,
                        batch,
                        filled(classifier, batch, fill),
                        ranks,
                        one,
                        goal,
                        whole,
                        at_once,
                    )
                )
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


def _series_probabilities(
    classifier: Model,
    images: Tensor,
    fill: Tensor,
    ranks: Tensor,
    series: _Series,
    goal: Tensor,
    whole: Tensor,
    at_once: int,
) -> Tensor:
    """`(n, len(counts))`; pictures that are the untouched image take its known probability."""
    top, rest = (images, fill) if series.keep else (fill, images)
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
