"""A judge that learned other things: a frozen pretrained network, with its own classes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from align.checks import check_floats, check_images
from align.networks.classifier import BACKBONES, IMAGENET_MEAN, IMAGENET_STD, published

SHARE = 0.5
"""How much the common classes hold of the answers that fall to those that may be common."""

PART = 32
"""Images that are shown at a time."""


class Judge(nn.Module):
    """Says whether in a picture there is what a set of pictures has in common.

    A pretrained network answers each picture of the set in its own classes. Of those that get more
    probability where a likely place alone is seen than where that is hidden, the fewest that hold
    `SHARE` of what these get in all are the *common* ones. Without that condition there would be
    some among them that a hole makes likely, such as a screen. The network has never seen which
    scene goes with which label, and so cannot have learned it.

    Args:
        backbone: one of `align.networks.classifier.BACKBONES` but the small CNN.
        weights: see `align.Classifier`; a file must have the layer of the network's own classes.
        images: float32 `(N, 3, H, W)` in [0, 1], the set of pictures.
        likely: float32 `(N, H, W)` in [0, 1], where what they have in common is likely to be, a
            disc in the middle if nothing better is known.

    Attributes:
        common: buffer bool `(K,)`, the common ones of the network's K classes.

    Raises:
        ValueError: if there are no weights, they are not the backbone's, or the network names no
            class more often where the likely place alone is seen.
        FileNotFoundError: if `weights` looks like a path and no file is there.
    """

    mean: Tensor
    std: Tensor
    common: Tensor

    def __init__(
        self, backbone: str, weights: str | Path | None, images: Tensor, likely: Tensor
    ) -> None:
        super().__init__()
        if weights is None or backbone == "small-cnn":
            known = ", ".join(name for name in BACKBONES if name != "small-cnn")
            raise ValueError(
                f"backbone is '{backbone}' and weights is {weights!r}; expected pretrained weights "
                f"of {known}: the judge is that network, with its own classes"
            )
        check_images(images)
        height, width = images.shape[2:]
        check_floats("likely", likely, "NHW", {"N": len(images), "H": height, "W": width})
        self.network = published(backbone, weights, head=True).requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))
        self.to(images.device, memory_format=torch.channels_last).eval()
        self.register_buffer("common", self._common(images, likely[:, None]))

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
    def _common(self, images: Tensor, likely: Tensor) -> Tensor:
        views = torch.ones_like(likely), likely, 1 - likely
        shares, alone, without = (self._shares(images, seen) for seen in views)
        if not (alone > without).any():
            raise ValueError(
                "the judge names no class more often where the likely place alone is seen than "
                "where it is hidden, expected some: it does not know what these pictures show; use "
                "other weights, or no judge"
            )
        shares = torch.where(alone > without, shares, torch.zeros_like(shares))
        order = shares.argsort(descending=True)
        held = (shares[order] / shares.sum()).cumsum(0)
        common = torch.zeros(len(shares), dtype=torch.bool, device=images.device)
        common[order[: int((held < SHARE).sum()) + 1]] = True
        return common

    def _shares(self, images: Tensor, seen: Tensor) -> Tensor:
        """How much of its answers each class holds, `(K,)`, what is unseen in the mean colour."""
        parts = zip(images.split(PART), seen.split(PART), strict=True)
        views = (torch.lerp(self.mean, part, mask) for part, mask in parts)
        return sum(self.answers(view).softmax(1).sum(0) for view in views) / len(images)
