"""What every metric does with its inputs: check, bring to one precision, rank the pixels."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from align.checks import check_number, check_tensor


def check_saliency(saliency: Tensor, images: Tensor) -> None:
    """Check that there is one finite map per image, at most as fine as the images."""
    check_tensor("saliency", saliency)
    if saliency.is_complex():
        raise ValueError(f"saliency is {saliency.dtype}, expected real numbers")
    count, (height, width) = len(images), images.shape[-2:]
    if saliency.ndim != 3 or len(saliency) != count:
        raise ValueError(
            f"saliency has shape {tuple(saliency.shape)}, expected ({count}, h, w), one map for "
            f"each of the {count} images; drop a channel dimension with saliency[:, 0]"
        )
    h, w = saliency.shape[1:]
    if not (1 <= h <= height and 1 <= w <= width):
        raise ValueError(
            f"saliency maps are {h} x {w} for images of {height} x {width}, expected maps of at "
            "least one cell and at most the images' size"
        )
    bad = int((~torch.isfinite(saliency)).flatten(1).any(1).sum())
    if bad:
        raise ValueError(
            f"saliency has NaN or infinite values in {bad} of {count} maps, expected finite "
            "numbers; look for a division by a map's own range in what computed them"
        )


def images_at_once(batch_size: int | None, device: torch.device) -> int:
    """How many images go through a model in one forward pass.

    It is `batch_size` where that is given; else 256 on a GPU, and 32 on a CPU, whose caches hold
    the feature maps of no more: MobileNetV2 at 96 px takes twice the time an image in batches of
    256.
    """
    if batch_size is None:
        return 32 if device.type == "cpu" else 256
    check_number("batch_size", batch_size, 1, 10**9, whole=True)
    return batch_size


def as_float(images: Tensor) -> Tensor:
    """Images in [0, 1], in single precision at least, whatever the model computes in."""
    if images.dtype == torch.uint8:
        return images.float() / 255
    return images if images.dtype == torch.float64 else images.float()


def upsample(saliency: Tensor, height: int, width: int) -> Tensor:
    """Bring maps at cell resolution to pixel resolution, bilinearly.

    Each map's minimum is set aside while interpolating: a constant map then stays exactly
    constant, where rounding would otherwise leave a pattern for a ranking to find. Maps
    `(N, h, w)` become `(N, H, W)`, in single precision at least.
    """
    saliency = saliency if saliency.dtype == torch.float64 else saliency.float()
    if saliency.shape[1:] == (height, width):
        return saliency
    low = saliency.amin((1, 2), keepdim=True)
    size = (height, width)
    finer = F.interpolate((saliency - low)[:, None], size, mode="bilinear", align_corners=False)
    return finer[:, 0] + low


@lru_cache(maxsize=8)
def tie_order(pixels: int) -> Tensor:
    """The fixed random order, int64 `(pixels,)`, in which pixels of equal saliency are taken.

    In order of their index, ties would be taken from the top-left corner on, and whether that
    corner shows the object would decide how a flat map scores. A random order has no such
    preference, and one that depends on nothing but the number of pixels makes every metric a
    function of its image alone: the same in any batch, in any order, on any device.
    """
    return torch.randperm(pixels, generator=torch.Generator().manual_seed(0))


def pixel_ranks(saliency: Tensor) -> Tensor:
    """The rank of each pixel of maps `(N, H, W)`, int32: 0 at the most salient one.

    Ties are broken by `tie_order`. The k most salient pixels are those of rank below k.
    """
    values = saliency.detach().flatten(1)
    order = tie_order(values.shape[1]).to(values.device)
    best = order[values[:, order].argsort(dim=1, descending=True, stable=True)]
    positions = torch.arange(values.shape[1], dtype=torch.int32, device=values.device)
    ranks = torch.empty_like(values, dtype=torch.int32)
    return ranks.scatter_(1, best, positions.expand_as(ranks)).view(saliency.shape)
