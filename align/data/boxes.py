"""Boxes around objects as masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from align.checks import check_kind, check_number

# Left, top, width, height, as shares of the picture.
Box = tuple[float, float, float, float]


def box_masks(boxes: Tensor, size: int) -> Tensor:
    """One box a picture as masks.

    Args:
        boxes: floating point `(N, 4)`: left, top, width, height, as shares of the picture.
        size: the side of the square masks, in pixels.

    Returns:
        `(N, size, size)` in [0, 1]: the share of each pixel that the box covers.
    """
    edges = torch.arange(size, dtype=boxes.dtype)
    start, end = boxes[:, :2, None] * size, (boxes[:, :2] + boxes[:, 2:])[..., None] * size
    covered = (end.minimum(edges + 1) - start.maximum(edges)).clamp_(0, 1)
    return covered[:, 1, :, None] * covered[:, 0, None, :]


def box_mask(boxes: Sequence[Box], size: int) -> Tensor:
    """Several boxes as one mask.

    Args:
        boxes: `(left, top, width, height)` each, as shares of the picture.
        size: the side of the square mask, in pixels.

    Returns:
        float32 `(size, size)` in [0, 1]: the share of each pixel that the largest part of any one
        box covers.

    Raises:
        ValueError: if a box is not four numbers, or the size no positive whole number.
    """
    check_number("size", size, 1, 10**5, whole=True)
    _check_boxes(boxes)
    if not boxes:
        return torch.zeros(size, size)
    return box_masks(torch.tensor(boxes, dtype=torch.float32), size).amax(0)


def _check_boxes(boxes: Any) -> None:
    check_kind("boxes", boxes, (list, tuple), "a list of boxes (left, top, width, height)")
    for box in boxes:
        check_kind("a box", box, (list, tuple), "four numbers (left, top, width, height)")
        if len(box) != 4:
            raise ValueError(f"a box has {len(box)} numbers, expected (left, top, width, height)")
        for number in box:
            check_number("a box's number", number, -1e9, 1e9)
