"""The picture with another background: what the swap trains on and reliance is measured with.

`images` are `(N, 3, H, W)` in [0, 1], `masks` `(N, H, W)` in [0, 1], 1 on what is kept. Pictures
come back in the images' shape.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from align.transfer import upload

BLUR = 8
"""Cells a side of the blur."""


def swap(images: Tensor, masks: Tensor, backgrounds: Tensor) -> Tensor:
    """Each picture with what lies outside its mask taken from a background, `M⊙x + (1−M)⊙b`.

    Book: align, eq-align-swap.
    """
    return torch.lerp(backgrounds, images, masks[:, None].to(images.dtype))


def backgrounds(
    kind: str, images: Tensor, masks: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """A background for each picture of a batch, drawn without a look at the labels.

    Args:
        kind: "picture" (another one of the batch), "emptied" (the same, its own object painted
            over from its surroundings) or "blur" (the picture itself, blurred).
        images: pictures, at least 2 but for "blur".
        masks: 1 on the object.
        generator: CPU random numbers; they choose who stands behind whom.
    """
    if kind == "blur":
        return blurred(images)
    source = emptied(images, masks) if kind == "emptied" else images
    return source[upload(derangement(len(images), generator), images.device)]


def derangement(count: int, generator: torch.Generator | None = None) -> Tensor:
    """A random permutation, int64 `(count,)`, in which nobody keeps their place: one cycle."""
    order = torch.randperm(count, generator=generator)
    partners = torch.empty_like(order)
    partners[order] = order.roll(1)
    return partners


def emptied(images: Tensor, masks: Tensor) -> Tensor:
    """Pictures without their object: it is painted over with a blur of what surrounds it.

    Where the mask covers everything, that is the picture's mean colour.
    """
    rest = (1 - masks[:, None]).to(images.dtype)
    # The surroundings' mean colour, with next to no weight, stands where their blur does not reach.
    around = (images * rest).mean((2, 3), keepdim=True) + 1e-6 * images.mean((2, 3), keepdim=True)
    mean = around / (rest.mean((2, 3), keepdim=True) + 1e-6)
    paint = (blurred(images * rest) + 1e-4 * mean) / (blurred(rest) + 1e-4)
    return torch.lerp(paint, images, rest)


def blurred(images: Tensor) -> Tensor:
    """Pictures averaged over 8 x 8 cells and enlarged again: their colours without their things."""
    cells = adaptive_avg_pool2d(images, BLUR)
    return interpolate(cells, tuple(images.shape[2:]), mode="bilinear", align_corners=False)
