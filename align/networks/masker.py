"""The masker `M`: a light encoder-decoder that paints a soft mask of what matters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from align.checks import check_images, is_whole, shown


class Masker(nn.Module):
    """Soft task-relevant masks, `M(x) ∈ (0, 1)` per pixel.

    Three strided convolutions look at the image, three resized ones paint the mask, each joined
    by the encoder's map of the same size, so that edges stay where the image has them.

    Args:
        width: channels of the first layer, a multiple of 4; deeper ones have 2 and 4 times as many.
        start: the mask's mean value before training, in (0, 1).
        stride: image pixels per cell over which the mask's logits are averaged, at least 2.

    Raises:
        ValueError: if one of them is out of range.

    Source: ours; Hong et al. (AAAI 2026) say only that it is a light convolutional network.
    """

    def __init__(self, width: int = 8, start: float = 0.5, stride: int = 2) -> None:
        super().__init__()
        if not is_whole(width) or width < 4 or width % 4:
            raise ValueError(f"width is {shown(width)}, expected a multiple of 4")
        if not isinstance(start, int | float) or not 0 < start < 1:
            raise ValueError(f"start is {shown(start)}, expected a mean mask value between 0 and 1")
        if not is_whole(stride) or stride < 2:
            raise ValueError(f"stride is {shown(stride)}, expected a whole number, at least 2")
        self.stride = stride
        self.encoder = nn.ModuleList(
            [block(3, width, 2), block(width, 2 * width, 2), block(2 * width, 4 * width, 2)]
        )
        self.bottom = block(4 * width, 4 * width)
        self.decoder = nn.ModuleList([block(6 * width, 2 * width), block(3 * width, width)])
        self.paint = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.paint.bias, torch.logit(torch.tensor(start)).item())

    def forward(self, images: Tensor) -> Tensor:
        """Masks, float32 `(N, 1, H, W)` in (0, 1), 1 where an image matters for the task.

        Args:
            images: float32 `(N, 3, H, W)` in [0, 1], H and W at least 8.

        Raises:
            ValueError: if the images have another shape or dtype.
        """
        # In full precision: masks blend images, and half of it would show in them.
        return torch.sigmoid(self.logits(images).float())

    def logits(self, images: Tensor) -> Tensor:
        """The mask before the sigmoid, `(N, 1, H, W)`."""
        check_images(images)
        x, skips = images * 2 - 1, []
        for layer in self.encoder:
            x = layer(x)
            skips.append(x)
        x = self.bottom(x)
        for layer, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            x = layer(torch.cat([resize(x, skip.shape[2:]), skip], 1))
        painted = self.paint(x)
        if self.stride > 2:
            painted = adaptive_avg_pool2d(painted, [-(-s // self.stride) for s in images.shape[2:]])
        return resize(painted, images.shape[2:])


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Convolution, norm, ReLU."""
    # GroupNorm: the masker sees the same statistics in training and in use.
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(4, outputs), nn.ReLU())


def resize(x: Tensor, size: torch.Size) -> Tensor:
    """Maps `(N, K, h, w)` brought to another height and width, bilinearly."""
    return interpolate(x, tuple(size), mode="bilinear", align_corners=False)
