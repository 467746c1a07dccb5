"""A start for the masker: what objects look like, learned on true masks before training begins."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from align.checks import check_kind, check_number
from align.config import Config
from align.data.batches import Batch, Batches
from align.data.benchmark import Domain
from align.methods.base import descend
from align.networks.feature_masker import FeatureMasker, learning_part
from align.networks.masker import Masker

STEPS = 100
"""Steps in which a masker learns from the masks that were looked at."""
PICTURES = 16
"""The most pictures in such a step."""


def learn_from_looked_at(
    masker: Masker | FeatureMasker, domain: Domain, config: Config
) -> list[float]:
    """Teach a masker from `config.looked_at_masks` of the training images, drawn by the seed.

    Args:
        masker: learns in place, from the weights that it has.
        domain: the training images, with masks.
        config: the run's choices.

    Returns:
        The mean loss of each pass over them.

    Raises:
        ValueError: if the domain has no masks, or fewer images than are to be looked at.
    """
    count = config.looked_at_masks
    if domain.masks is None or count > len(domain):
        has = "no masks" if domain.masks is None else f"{len(domain)} images"
        raise ValueError(
            f"looked_at_masks is {count} and domain '{domain.name}' has {has}; expected at least "
            "so many images with masks: load the data with masks=..., or ask for fewer"
        )
    order = torch.randperm(len(domain), generator=torch.Generator().manual_seed(config.seed))
    seen, size = domain.subset(order[:count]), min(PICTURES, count)
    epochs = math.ceil(STEPS / (count // size))
    choices = {"seed": config.seed, "augment": config.augment}
    return learn_objectness(masker, seen, epochs=epochs, batch_size=size, **choices)


def learn_objectness(
    masker: Masker | FeatureMasker,
    domain: Domain,
    *,
    epochs: int = 25,
    batch_size: int = 16,
    lr: float = 2e-3,
    weight_decay: float = 1e-2,
    augment: bool = True,
    seed: int = 0,
) -> list[float]:
    """Teach a masker to find objects, from pictures with true masks.

    Binary cross-entropy and the Dice loss; the feature maps that it reads stay as they are.

    Args:
        masker: learns in place; left in evaluation mode.
        domain: pictures with masks, best of many classes.
        epochs: passes over them.
        batch_size: pictures a step.
        lr: AdamW's learning rate at the start; it falls to zero along a line.
        weight_decay: AdamW's.
        augment: mirror and shift the pictures with their masks.
        seed: fixes order and augmentation.

    Returns:
        The mean loss of each epoch.

    Raises:
        ValueError: if the domain has no masks, or a value is out of range.
    """
    check_kind("masker", masker, (Masker, FeatureMasker), "a Masker or a FeatureMasker")
    check_number("epochs", epochs, 1, 10**6, whole=True)
    if domain.masks is None:
        raise ValueError(
            f"domain '{domain.name}' has no masks, expected true masks: objectness is learned from "
            "them"
        )
    device = next(masker.parameters()).device
    batches = Batches(domain, batch_size, seed, augment, device)

    def loss(batch: Batch) -> Tensor:
        masks = masker(batch.images)[:, 0]
        return binary_cross_entropy(masks, batch.masks) + dice(masks, batch.masks)

    return teach(masker, batches, loss, epochs=epochs, lr=lr, weight_decay=weight_decay)


def teach(
    masker: Masker | FeatureMasker,
    batches: Batches,
    loss: Callable[[Batch], Tensor],
    *,
    epochs: int,
    lr: float,
    weight_decay: float,
) -> list[float]:
    """Let a masker learn from a loss of each batch, before a classifier is there to learn with.

    Returns:
        The mean loss of each epoch; the masker is left in evaluation mode.
    """
    learning = learning_part(masker).parameters()
    optimizer = torch.optim.AdamW(learning, lr=lr, weight_decay=weight_decay)
    masker.train()
    history = []
    for epoch in range(epochs):
        total = 0.0
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - epoch / epochs)
        for batch in batches.epoch(epoch):
            value = loss(batch)
            descend(optimizer, value)
            total += value.item()
        history.append(total / len(batches))
    masker.eval()
    return history


def dice(masks: Tensor, truth: Tensor) -> Tensor:
    """The Dice loss of masks `(N, H, W)` in [0, 1], `1 − 2 Σ M T / (Σ M + Σ T)`, a scalar.

    Source: Milletari et al., "V-Net", 3DV 2016.
    """
    both = (masks * truth).sum((1, 2))
    return (1 - (2 * both + 1) / (masks.sum((1, 2)) + truth.sum((1, 2)) + 1)).mean()
