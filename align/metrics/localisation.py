"""Does the map point at the object? Maps against true masks, and maps that a good one must beat.

A true mask is soft at the object's edge; where a set of pixels is needed it is those of value 0.5
or more. An image without such a pixel shows no object and has no right answer, so each function
here refuses it: leave such images out. Arguments are those of `align.metrics`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from align.checks import check_classes, check_number, check_seed, check_tensor
from align.metrics.inputs import check_saliency, pixel_ranks, tie_order, upsample


def binarize(saliency: Tensor, masks: Tensor, threshold: float | None) -> Tensor:
    """The set of pixels that a map marks, bool `(N, H, W)`; `iou` says what `threshold` is."""
    check_masks(saliency, masks)
    fine = upsample(saliency, *masks.shape[1:])
    if threshold is not None:
        check_number("threshold", threshold, float("-inf"), float("inf"))
        return fine >= threshold
    return top_pixels(fine, (masks >= 0.5).sum((1, 2)))


def top_pixels(saliency: Tensor, counts: Tensor) -> Tensor:
    """The most salient pixels of maps `(N, H, W)`: bool, exactly `counts`, int64 `(N,)`, of each.

    Ties are broken by `align.metrics.inputs.tie_order`.
    """
    check_tensor("saliency", saliency)
    if saliency.ndim != 3:
        raise ValueError(f"saliency has shape {tuple(saliency.shape)}, expected (N, h, w)")
    check_saliency(saliency, saliency)
    check_classes("counts", counts, {"N": len(saliency)})
    pixels = saliency[0].numel()
    if not 0 <= int(counts.min()) <= int(counts.max()) <= pixels:
        raise ValueError(
            f"counts run from {int(counts.min())} to {int(counts.max())}, expected 0 to {pixels}, "
            "the number of pixels"
        )
    return pixel_ranks(saliency) < counts[:, None, None]


def iou(saliency: Tensor, masks: Tensor, *, threshold: float | None = None) -> Tensor:
    """Intersection over union of the pixels that a map marks and the true mask, `(N,)`.

    `threshold` is the least value of a marked pixel, on the map's own scale: 0.5 suits a soft mask
    in (0, 1); for a map without a scale of its own give `minmax(saliency)`. None marks as many of
    the most salient pixels as the true mask has, which leaves no threshold to choose and ignores
    the scale of the map.
    """
    marked, truth = binarize(saliency, masks, threshold), masks >= 0.5
    return (marked & truth).sum((1, 2)) / (marked | truth).sum((1, 2))


def pointing_game(saliency: Tensor, masks: Tensor) -> Tensor:
    """Whether the most salient pixel lies on the object, bool `(N,)`.

    Of several most salient pixels the first in `align.metrics.inputs.tie_order` counts, so that a
    constant map hits by chance and not because the first pixel is a corner.

    Source: Zhang et al. 2016, "Top-down neural attention by excitation backprop", section 4.1,
    without the margin of 15 pixels around the object.
    """
    check_masks(saliency, masks)
    values = upsample(saliency, *masks.shape[1:]).flatten(1)
    order = tie_order(values.shape[1]).to(values.device)
    peak = order[values[:, order].argmax(1)]
    return (masks >= 0.5).flatten(1).gather(1, peak[:, None])[:, 0]


def energy_inside(saliency: Tensor, masks: Tensor) -> Tensor:
    """The share of a map's positive part that lies on the object, `(N,)`.

    The map's zero matters: give the signed map, since after `minmax` the least salient pixel is 0
    and all else positive. Masks count as soft weights. A map without a positive value says nothing
    of where the evidence is, and gets a constant one's score: the object's share of the area.

    Source: Wang et al. 2020, "Score-CAM", section 4.3 (the energy-based pointing game).
    """
    check_masks(saliency, masks)
    positive = upsample(saliency, *masks.shape[1:]).clamp(min=0)
    # Dividing by the peak first keeps the sums in range, however small the gradients were.
    peak = positive.amax((1, 2), keepdim=True)
    weights = torch.where(peak > 0, positive / peak, torch.ones_like(positive))
    return (weights * masks).sum((1, 2)) / weights.sum((1, 2))


def expected_random_iou(marked: Tensor, masks: Tensor) -> Tensor:
    """The IoU `(N,)` to expect of randomly chosen pixels, as many as `binarize` marked.

    Of `a` random pixels among n, a·t/n fall on a true mask of t pixels on average; the IoU at
    that average stands for the mean IoU, from which it differs by less than 2/n.
    """
    _check_marked(marked, masks)
    size, true = marked.double().mean((1, 2)), (masks >= 0.5).double().mean((1, 2))
    return (size * true / (size + true - size * true)).float()


def expected_shifted_iou(marked: Tensor, masks: Tensor) -> Tensor:
    """The mean IoU `(N,)` of the pixels that `binarize` marked, moved to every place of the image.

    This control has the area *and the shape* of what was marked, and differs in its place alone.
    Pixels that leave the image on one side come in on the other, and every one of the H·W
    displacements counts: all intersections are one correlation, taken by Fourier transforms.
    """
    _check_marked(marked, masks)
    shape, truth = marked.double(), (masks >= 0.5).double()
    spectrum = torch.fft.rfft2(shape).conj() * torch.fft.rfft2(truth)
    intersection = torch.fft.irfft2(spectrum, s=truth.shape[1:]).round()
    total = (shape.sum((1, 2)) + truth.sum((1, 2)))[:, None, None]
    return (intersection / (total - intersection)).mean((1, 2)).float()


def control_maps(count: int, height: int, width: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Explanations of `count` images that know nothing of them: what a useful one must beat.

    Returns:
        float32 `(N, H, W)` in [0, 1] by name: `random`, each pixel on its own; `random_coarse`,
        7 x 7 random cells brought to pixels bilinearly, as smooth as a Grad-CAM map; `centre`,
        falling with the distance from the middle; `constant`, 0.5 everywhere.
    """
    sizes = (count, height, width)
    if not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise ValueError(
            f"control maps of {' x '.join(map(str, sizes))} were asked for, expected sizes of at "
            "least 1, in whole numbers"
        )
    check_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, height, width, generator=generator)
    cells = torch.rand(count, min(7, height), min(7, width), generator=generator)
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    centre = 1 - (x**2 + y**2).sqrt() / 2**0.5
    return {
        "random": pixels,
        "random_coarse": upsample(cells, height, width),
        "centre": centre.clamp(min=0).expand(count, height, width),
        "constant": torch.full((count, height, width), 0.5),
    }


def check_masks(saliency: Tensor, masks: Tensor) -> None:
    """Check that there is one finite map and one mask that shows something per image."""
    check_tensor("masks", masks)
    check_tensor("saliency", saliency)
    if masks.ndim != 3 or 0 in masks.shape:
        raise ValueError(
            f"masks have shape {tuple(masks.shape)}, expected (N, H, W) with at least one mask; "
            "drop a channel dimension with masks[:, 0]"
        )
    check_saliency(saliency, masks)
    if not masks.is_floating_point():
        raise ValueError(f"masks are {masks.dtype}, expected floating point in [0, 1]")
    low, high = (value.item() for value in masks.aminmax())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"mask values run from {low:.3g} to {high:.3g}, expected [0, 1]")
    empty = int((masks.amax((1, 2)) < 0.5).sum())
    if empty:
        raise ValueError(
            f"{empty} of {len(masks)} true masks are empty (no pixel of 0.5 or more), expected an "
            "object in each; leave these images out"
        )


def _check_marked(marked: Tensor, masks: Tensor) -> None:
    check_masks(marked, masks)
    if marked.shape != masks.shape or not ((marked == 0) | (marked == 1)).all():
        raise ValueError(
            f"the marked pixels are {marked.dtype} of shape {tuple(marked.shape)}, expected zeros "
            f"and ones of shape {tuple(masks.shape)}, as `binarize` gives"
        )
