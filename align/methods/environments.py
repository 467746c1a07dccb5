"""Which images of a batch belong to which environment, for methods that tell them apart."""

from __future__ import annotations

import torch
from torch import Tensor

from align.data.batches import Batch


def membership(batch: Batch, count: int) -> Tensor:
    """Which images are from which of E environments, bool `(E, N)`; else from the first."""
    numbers = batch.environments
    if numbers is None:
        numbers = torch.zeros_like(batch.labels)
    return numbers == torch.arange(count, device=numbers.device)[:, None]


def means(values: Tensor, members: Tensor) -> Tensor:
    """Means `(E,)` of values `(N,)` over the sets `(E, N)` of members; 0 for an empty set."""
    return torch.where(members, values, 0).sum(1) / members.sum(1).clamp_min(1)
