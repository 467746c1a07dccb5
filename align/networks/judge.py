"""A judge that learned other things: a frozen pretrained network, with its own classes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from align.checks import check_images
from align.networks.classifier import BACKBONES, IMAGENET_MEAN, IMAGENET_STD, published

SHARE = 0.5
"""The common classes are the fewest that hold so much of the judge's answers."""


class Judge(nn.Module):
    """Says whether in a picture there is what a set of pictures has in common.

    A pretrained network answers each picture of the set in its own classes. Those it gives most
    often, `SHARE` of all its answers, are the *common* ones. It has never seen which scene goes
    with which label, and so cannot have learned it.

    Args:
        backbone: one of `align.networks.classifier.BACKBONES` but the small CNN.
        weights: see `align.Classifier`; a file must have the layer of the network's own classes.
        images: float32 `(N, 3, H, W)` in [0, 1], the set of pictures.

    Attributes:
        common: buffer bool `(K,)`, the common ones of the network's K classes.

    Raises:
        ValueError: if there are no weights, or they are not the backbone's.
        FileNotFoundError: if `weights` looks like a path and no file is there.
    """

    mean: Tensor
    std: Tensor
    common: Tensor

    def __init__(self, backbone: str, weights: str | Path | None, images: Tensor) -> None:
        super().__init__()
        if weights is None or backbone == "small-cnn":
            known = ", ".join(name for name in BACKBONES if name != "small-cnn")
            raise ValueError(
                f"backbone is '{backbone}' and weights is {weights!r}; expected pretrained weights "
                f"of {known}: the judge is that network, with its own classes"
            )
        check_images(images)
        self.network = published(backbone, weights, head=True).requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))
        self.to(images.device, memory_format=torch.channels_last).eval()
        self.register_buffer("common", self._common(images))

    def train(self, mode: bool = True) -> Judge:
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(N, 2)` of images `(N, 3, H, W)` in [0, 1]: something else, something common."""
        answers = self.answers(images)
        sides = (~self.common, self.common)
        return torch.stack([answers[:, side].logsumexp(1) for side in sides], 1)

    def answers(self, images: Tensor) -> Tensor:
        """Logits `(N, K)` in the network's own classes."""
        return self.network((images - self.mean) / self.std)

    @torch.no_grad()
    def _common(self, images: Tensor) -> Tensor:
        shares = sum(self.answers(part).softmax(1).sum(0) for part in images.split(32))
        order = shares.argsort(descending=True)
        held = (shares[order] / shares.sum()).cumsum(0)
        common = torch.zeros(len(shares), dtype=torch.bool, device=images.device)
        common[order[: int((held < SHARE).sum()) + 1]] = True
        return common
