"""Does the classifier use what the map points at? Pixels are kept or removed to find out.

All four metrics ask for the probability of one class on images of which the k most salient pixels
show one picture and the rest another; they differ in the two pictures and in the values of k:

| metric            | the top k pixels | the rest  | k                                   |
|-------------------|------------------|-----------|-------------------------------------|
| insertion         | image            | blurred   | 0 to all, in equal steps            |
| deletion          | mean colour      | image     | 0 to all, in equal steps            |
| sufficiency       | image            | fill      | a few fractions of the pixels       |
| comprehensiveness | fill             | image     | a few fractions of the pixels       |

Pixels of equal saliency are taken in a fixed random order (`align.metrics.inputs.tie_order` says
why). Shared arguments are those of `align.metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from align.checks import check_flag, check_floats, check_number
from align.metrics.perturbation import Fill, Inputs, Series, measure
from align.metrics.perturbation import filled as filled
from align.networks.models import Model

STEPS = 28
"""Steps of the insertion and deletion curves: 1,792 pixels a step at 224 x 224."""

FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5)
"""The shares of pixels over which sufficiency and comprehensiveness are averaged."""

MIN_GAP = 0.05
"""The least drop in probability, from the image to the empty picture, that can be divided by."""


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

    `(N, steps + 1)`: from the baseline at 0 to the untouched image after `steps` equal steps. The
    `baseline` is what the pixels not yet restored show: "blur" (`blur` of the image), "zero" (the
    colour `classifier.mean`, or black where there is none) or a tensor of the images' shape.

    Source: Petsiuk, Das and Saenko 2018, "RISE", section 4.3.
    """
    inputs = Inputs(classifier, images, saliency, target, batch_size)
    return measure(inputs, Series(True, baseline, _equal_steps(steps, inputs.pixels)))[1][0]


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

    The mirror image of `insertion_curve`, whose arguments and source it has, from the untouched
    image at 0 to the baseline, which a removed pixel shows, at `steps`.
    """
    inputs = Inputs(classifier, images, saliency, target, batch_size)
    return measure(inputs, Series(False, baseline, _equal_steps(steps, inputs.pixels)))[1][0]


def insertion_auc(
    classifier: Model, images: Tensor, saliency: Tensor, *, normalized: bool = False, **options: Any
) -> Tensor:
    """Area `(N,)` in [0, 1] under `insertion_curve`; higher is better.

    Options are those of the curve: `steps`, `baseline`, `target` and `batch_size`. The plain area,
    over the share of restored pixels, grows with the classifier's confidence, so two classifiers
    compare only by the `normalized` one: `rescale` of the curve from 0 at the baseline to 1 at the
    image, NaN where the two differ by less than `MIN_GAP`.

    Book: faithfulness, eq-faith-four.
    """
    check_flag("normalized", normalized)
    curve = insertion_curve(classifier, images, saliency, **options)
    return area(rescale(curve, curve[:, 0], curve[:, -1]) if normalized else curve)


def deletion_auc(
    classifier: Model, images: Tensor, saliency: Tensor, *, normalized: bool = False, **options: Any
) -> Tensor:
    """Area `(N,)` in [0, 1] under `deletion_curve`, over the removed share; lower is better.

    Options and `normalized` are as for `insertion_auc`.

    Book: faithfulness, eq-faith-four.
    """
    check_flag("normalized", normalized)
    curve = deletion_curve(classifier, images, saliency, **options)
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

    The mean `(N,)` over the fractions of `p_j(x) - p_j(r)`, where j is the target and r the image
    with every pixel but the top fraction filled, in [-1, 1]. `fractions` are shares of the pixels,
    each above 0 and at most 1 (at least one pixel); `fill` is what the other pixels show, like
    `baseline` of `insertion_curve`. `normalized` divides each loss by the loss when everything is
    filled, and clips it to [0, 1]: 0 says that the kept pixels are enough, 1 that they do no better
    than none; NaN where filling everything costs less than `MIN_GAP`.

    Source: DeYoung et al. 2020, "ERASER", section 4 (the metric and its averaging); Carton, Rathore
    and Tan 2020, arXiv 2010.04736 (division by the null difference; theirs is one minus
    ours). Normalized AOPC, arXiv 2408.08137, divides by the best and worst of all orderings.
    Book: faithfulness, eq-faith-four.
    Book: benchmark/explanation_quality, eq-quality-suff.
    """
    inputs = Inputs(classifier, images, saliency, target, batch_size)
    return _loss(True, inputs, fractions, fill, normalized)


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

    The mean over the fractions of `p_j(x) - p_j(x without r)`, where r is the top fraction of the
    pixels, which are filled; all else as in `sufficiency`. When normalised, 1 says that removing
    these pixels is as bad as removing everything.

    Book: faithfulness, eq-faith-four.
    Book: benchmark/explanation_quality, eq-quality-suff.
    """
    inputs = Inputs(classifier, images, saliency, target, batch_size)
    return _loss(False, inputs, fractions, fill, normalized)


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

    Returns:
        `(N,)` tensors under the keys `confidence` (of the target on the untouched image),
        `insertion_auc`, `deletion_auc`, `sufficiency_zero`, `sufficiency_blur`,
        `comprehensiveness_zero`, `comprehensiveness_blur`, and for each of the last six the same
        with `_normalized` appended; with `curves` also `insertion_curve` and `deletion_curve`.
    """
    check_flag("curves", curves)
    inputs = Inputs(classifier, images, saliency, target, batch_size)
    curve, counts = _equal_steps(steps, inputs.pixels), _pixel_counts(fractions, inputs.pixels)
    series = [
        Series(True, "blur", curve + counts),
        Series(False, "zero", curve + counts),
        Series(True, "zero", counts),
        Series(False, "blur", counts),
    ]
    whole, values = measure(inputs, *series)
    insertion, kept_blur = values[0].split([len(curve), len(counts)], dim=1)
    deletion, left_zero = values[1].split([len(curve), len(counts)], dim=1)
    blurred, zeroed = insertion[:, 0], deletion[:, -1]
    areas = {
        "insertion_auc": (insertion, blurred, insertion[:, -1]),
        "deletion_auc": (deletion, zeroed, deletion[:, 0]),
    }
    losses = {
        "sufficiency_zero": (values[2], zeroed),
        "sufficiency_blur": (kept_blur, blurred),
        "comprehensiveness_zero": (left_zero, zeroed),
        "comprehensiveness_blur": (values[3], blurred),
    }
    result = {"confidence": whole}
    for name, (line, empty, full) in areas.items():
        result |= {name: area(line), f"{name}_normalized": area(rescale(line, empty, full))}
    for name, (changed, empty) in losses.items():
        result[name] = _mean_loss(whole, changed)
        result[f"{name}_normalized"] = _mean_loss(whole, changed, empty)
    return result | ({"insertion_curve": insertion, "deletion_curve": deletion} if curves else {})


def area(curve: Tensor) -> Tensor:
    """Area `(N,)` under curves `(N, K)` of equally spaced points, by trapezoids, over [0, 1]."""
    if check_floats("curve", curve, "NK")["K"] < 2:
        raise ValueError("the curve has one point, expected at least 2")
    return torch.trapezoid(curve, dx=1 / (curve.shape[1] - 1), dim=1)


def rescale(curve: Tensor, empty: Tensor, whole: Tensor) -> Tensor:
    """Express probabilities on the scale from an empty picture (0) to the whole image (1).

    `(curve - empty) / (whole - empty)` clipped to [0, 1], of a curve `(N, K)` and the probabilities
    `(N,)` when every pixel is filled and on the untouched image. Rows are NaN where `whole - empty`
    is below `MIN_GAP`: there the image adds too little to the fill for any map to explain.

    Book: faithfulness, eq-faith-normalised.
    """
    sizes = check_floats("curve", curve, "NK")
    check_floats("empty", empty, "N", sizes)
    check_floats("whole", whole, "N", sizes)
    gap = (whole - empty)[:, None]
    share = ((curve - empty[:, None]) / gap).clamp(0, 1)
    return share.masked_fill(gap < MIN_GAP, torch.nan)


def _loss(
    keep: bool, inputs: Inputs, fractions: Sequence[float], fill: Fill, normalized: bool
) -> Tensor:
    """Sufficiency (`keep`) or comprehensiveness, `(N,)`."""
    check_flag("normalized", normalized)
    counts = _pixel_counts(fractions, inputs.pixels)
    # The empty picture is shown only where it is divided by.
    empty = (0 if keep else inputs.pixels,) if normalized else ()
    whole, (values,) = measure(inputs, Series(keep, fill, counts + empty))
    return _mean_loss(whole, values[:, : len(counts)], values[:, -1] if normalized else None)


def _equal_steps(steps: int, pixels: int) -> tuple[int, ...]:
    check_number("steps", steps, 1, pixels, whole=True)
    return tuple(round(i * pixels / steps) for i in range(steps + 1))


def _pixel_counts(fractions: Sequence[float], pixels: int) -> tuple[int, ...]:
    listed = isinstance(fractions, tuple | list)
    if not listed or not fractions or not all(_is_share(value) for value in fractions):
        raise ValueError(
            f"fractions are {fractions!r}, expected at least one in a list, each above 0 and at "
            "most 1"
        )
    return tuple(max(1, round(fraction * pixels)) for fraction in fractions)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value <= 1


def _mean_loss(whole: Tensor, changed: Tensor, empty: Tensor | None = None) -> Tensor:
    """Mean loss of probability, `(N,)`; where `empty` is given, as a share of the loss there."""
    if empty is None:
        return (whole[:, None] - changed).mean(1)
    return (1 - rescale(changed, empty, whole)).mean(1)
