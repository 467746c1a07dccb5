"""Which images of a batch belong to which environment, for methods that tell them apart."""

from __future__ import annotations

import torch
from torch import Tensor

from align.data.batches import Batch


def membership(batch: Batch, count: int) -> Tensor:
    """Which images of a batch are from which environment.

    Args:
        batch: images, labels and, where several domains were joined, environments.
        count: number E of environments.

    Returns:
        bool `(E, N)`; without environments all images are from the first.
    """
    numbers = batch.environments
    if numbers is None:
        numbers = torch.zeros_like(batch.labels)
    return numbers == torch.arange(count, device=numbers.device)[:, None]


def means(values: Tensor, members: Tensor) -> Tensor:
    """The mean of one value an image over several sets of images.

    Args:
        values: `(N,)`.
        members: bool `(E, N)`, the images of each set.

    Returns:
        `(E,)`; 0 for a set without images.
    """
    return torch.where(members, values, 0).sum(1) / members.sum(1).clamp_min(1)
