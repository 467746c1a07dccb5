"""Where a map or a masker's mask lies, against true masks: means over a domain's images."""

from __future__ import annotations

import torch
from torch import Tensor

from align import metrics
from align.data.benchmark import Domain
from align.metrics.inputs import as_float, upsample
from align.networks.models import Model, inference, suited
from align.saliency import minmax

MASK_THRESHOLD = 0.5
"""Where a soft mask, or a map scaled to [0, 1], is cut to mark pixels."""


def localisation(
    domain: Domain, maps: Tensor, shown: Tensor, batch_size: int, *, scale: bool
) -> dict[str, float]:
    """How well maps mark the object: numbers by name, see `align.evaluate`.

    Args:
        domain: images with true masks.
        maps: `(N, h, w)`, larger where more salient.
        shown: int64, positions of the images that show an object; means are over these.
        batch_size: images handled at once.
        scale: whether maps have no scale of their own and are brought to [0, 1] for the cut.
    """
    values: dict[str, list[Tensor]] = {}
    for rows in shown.split(batch_size):
        masks = domain.masks[rows]
        fine = upsample(maps[rows], *masks.shape[1:])
        marking = minmax(fine) if scale else fine
        for name, value in {
            "iou": metrics.iou(marking, masks, threshold=MASK_THRESHOLD),
            "iou_matched": metrics.iou(fine, masks),
            "pointing_game": metrics.pointing_game(fine, masks),
            "energy_inside": metrics.energy_inside(fine, masks),
        }.items():
            values.setdefault(name, []).append(value)
    return _means(values)


def masker_quality(
    masker: Model, domain: Domain, shown: Tensor, batch_size: int
) -> dict[str, float]:
    """How large a masker's masks are and, where truth is known, how well they mark the object.

    Arguments are those of `localisation`. Numbers are named `masker_...`; beside them stands the
    IoU of sets of the same area that know nothing of the image, see `align.evaluate`.
    """
    masks = _soft_masks(masker, domain.images, batch_size)
    result = {
        "masker_area": (masks >= MASK_THRESHOLD).double().mean().item(),
        "masker_mean": masks.double().mean().item(),
    }
    if len(shown):
        own = localisation(domain, masks, shown, batch_size, scale=False)
        result |= {f"masker_{name}": value for name, value in own.items()}
        result |= _same_area(domain, masks, shown, batch_size)
    return result


def _soft_masks(masker: Model, images: Tensor, batch_size: int) -> Tensor:
    """The masker's output for all images, `(N, H, W)` in [0, 1]."""
    with inference(masker, images.device) as device:
        batches = [
            masker(suited(as_float(batch.to(device)), masker)).to(images.device)
            for batch in images.split(batch_size)
        ]
    masks = torch.cat(batches)
    expected = (len(images), 1, *images.shape[2:])
    if masks.shape != expected:
        raise ValueError(
            f"the masker returned shape {tuple(masks.shape)}, expected {expected}: one soft mask "
            "an image, of the image's size"
        )
    low, high = (value.item() for value in masks.aminmax())
    if not (low >= 0 and high <= 1):  # written so that NaN fails too
        raise ValueError(
            f"the masker's values run from {low:.3g} to {high:.3g}, expected [0, 1]; it lacks a "
            "sigmoid, or diverged in training"
        )
    return masks[:, 0].float()


def _same_area(domain: Domain, masks: Tensor, shown: Tensor, batch_size: int) -> dict[str, float]:
    """The IoU of sets that have the masker's area and know nothing of the image."""
    values: dict[str, list[Tensor]] = {}
    for rows in shown.split(batch_size):
        truth = domain.masks[rows]
        marked = metrics.binarize(masks[rows], truth, MASK_THRESHOLD)
        centre = metrics.control_maps(*truth.shape)["centre"].to(truth.device)
        disc = metrics.top_pixels(centre, marked.sum((1, 2)))
        for name, value in {
            "random_iou": metrics.expected_random_iou(marked, truth),
            "shifted_iou": metrics.expected_shifted_iou(marked, truth),
            "centre_iou": metrics.iou(disc, truth, threshold=MASK_THRESHOLD),
        }.items():
            values.setdefault(name, []).append(value)
    return _means(values)


def _means(values: dict[str, list[Tensor]]) -> dict[str, float]:
    return {name: torch.cat(batches).double().mean().item() for name, batches in values.items()}
