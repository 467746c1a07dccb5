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
        width: channels of the first layer, a multiple of 4; the deeper ones have 2 and 4 times as
            many.
        start: the mask's mean value before training, in (0, 1).
        stride: image pixels per cell of the mask before it is enlarged to the image, at least 2,
            the masker's own; a larger one averages the mask's logits over larger cells.

    Raises:
        ValueError: if one of them is out of range.

    Source: Hong et al. (AAAI 2026) call it a light convolutional network and say no more; the
    architecture is ours.
    """

    def __init__(self, width: int = 8, start: float = 0.5, stride: int = 2) -> None:
        super().__init__()
        if not is_whole(width) or width < 4 or width % 4:
            raise ValueError(f"width is {shown(width)}, expected a multiple of 4")
        if not isinstance(start, int | float) or not 0 < start < 1:
            raise ValueError(f"start is {shown(start)}, expected a mean mask value between 0 and 1")
        if not is_whole(stride) or stride < 2:
            raise ValueError(
                f"stride is {shown(stride)}, expected a whole number of pixels, at least 2"
            )
        self.stride = stride
        self.encoder = nn.ModuleList(
            [_block(3, width, 2), _block(width, 2 * width, 2), _block(2 * width, 4 * width, 2)]
        )
        self.bottom = _block(4 * width, 4 * width, 1)
        self.decoder = nn.ModuleList([_block(6 * width, 2 * width, 1), _block(3 * width, width, 1)])
        self.paint = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.paint.bias, torch.logit(torch.tensor(start)).item())

    def forward(self, images: Tensor) -> Tensor:
        """Masks of images.

        Args:
            images: float32 `(N, 3, H, W)` in [0, 1], H and W at least 8.

        Returns:
            float32 `(N, 1, H, W)` in (0, 1), 1 where the image matters for the task.

        Raises:
            ValueError: if the images have another shape or dtype.
        """
        # In full precision: masks blend images, and half of it would show in them.
        return torch.sigmoid(self.logits(images).float())

    def logits(self, images: Tensor) -> Tensor:
        """The mask before the sigmoid, `(N, 1, H, W)`."""
        check_images(images)
        x, skips = images * 2 - 1, []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        x = self.bottom(x)
        for block, skip in zip(self.decoder, reversed(skips[:-1]), strict=True):
            x = block(torch.cat([_resize(x, skip.shape[2:]), skip], 1))
        painted = self.paint(x)
        if self.stride > 2:
            painted = adaptive_avg_pool2d(painted, [-(-s // self.stride) for s in images.shape[2:]])
        return _resize(painted, images.shape[2:])


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    # GroupNorm: the masker sees the same statistics in training and in use.
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.GroupNorm(4, outputs),
        nn.ReLU(),
    )


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return interpolate(x, tuple(size), mode="bilinear", align_corners=False)
