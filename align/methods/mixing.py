"""Mixtures of two images of a batch: who is mixed with whom, and in which shares.

    x̂ = m x + (1 − m) x′,  m ~ Beta(a, a)

Source: Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from align.transfer import upload

CONCENTRATION = 0.2
"""Li et al.'s (DRE) a: most mixtures are nearly one of their two images."""


def shares(count: int, generator: Generator, concentration: float = CONCENTRATION) -> Tensor:
    """Shares m of the first image in mixtures, float64 `(count,)` on the CPU; a is above 0."""
    seed = int(torch.randint(2**31, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(concentration, concentration, count))


def mix(images: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Each of the images `(N, 3, H, W)` mixed with its partner, `m x + (1 − m) x′`.

    Args:
        images: x.
        partner: int64 `(N,)`, positions of x′ in the batch.
        share: m, `(N,)` in [0, 1], of the images' dtype.
    """
    return torch.lerp(images[partner], images, share[:, None, None, None])


def same_class_partners(labels: Tensor, generator: Generator) -> Tensor:
    """For each image another of its class, in a random cycle through the class.

    Labels and partners are int64 `(N,)`; an image alone in its class is its own partner.
    """
    order = upload(torch.randperm(len(labels), generator=generator), labels.device)
    order = order[labels[order].argsort(stable=True)]
    classes = labels[order].contiguous()
    following = torch.arange(1, len(labels) + 1, device=labels.device)
    last = torch.ones_like(classes, dtype=torch.bool)
    last[:-1] = classes[1:] != classes[:-1]
    # The last of a class is followed by its first.
    following = torch.where(last, torch.searchsorted(classes, classes), following)
    partners = torch.empty_like(order)
    partners[order] = order[following]
    return partners
