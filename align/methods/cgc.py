"""Contrastive Grad-CAM consistency: a view's map is the map's view, unlike other images' maps.

    t: a random crop and mirroring;  g(x) = max(0, Grad-CAM of the class predicted for x)
    L = CE(f(x), y) + CE(f(t x), y) + λ NCE
    NCE = mean −log  exp(⟨t g(x), g(t x)⟩ / T) / (same + Σ_{other x′} exp(⟨g(t x), g(t x′)⟩ / T))

with ⟨,⟩ the cosine between maps; "same" is the numerator.

Source: Pillai et al., "Consistent explanations by contrastive learning", CVPR 2022, with its public
code's λ and T for ImageNet. The map is compared cell by cell, not enlarged to the image first.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, normalize

from align.data.batches import Batch
from align.methods.base import Losses, Method, Passes
from align.saliency import class_evidence
from align.transfer import upload

AREA = (0.5, 1.0)
"""A crop's share of the image."""


class CGC(Method):
    """Training for maps that move with the image."""

    reads = ("cgc_weight", "cgc_temperature")
    pairs_images = ({},)
    passes = Passes(forward=2, to_weights=2)

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """Cross-entropy of two views, and the contrast between their maps."""
        config, count = self.config, len(batch.labels)
        crops = upload(random_crops(count, generator), batch.images.device, batch.images.dtype)
        views = torch.cat([batch.images, warp(batch.images, crops)])
        features = self.classifier.features(views)
        logits = self.classifier.head(features)
        predicted = logits[:count].argmax(1).repeat(2)
        maps = class_evidence.unchecked(
            features, self.classifier.linear.weight, predicted
        ).clamp_min(0)
        own, seen = maps.float().chunk(2)
        moved = warp(own[:, None], crops)[:, 0]
        terms = {
            "ce": cross_entropy(logits[:count], batch.labels)
            + cross_entropy(logits[count:], batch.labels),
            "contrast": contrast(moved, seen, config.cgc_temperature),
        }
        return terms | {"loss": terms["ce"] + config.cgc_weight * terms["contrast"]}


def contrast(moved: Tensor, seen: Tensor, temperature: float) -> Tensor:
    """The contrastive loss NCE, a scalar, at least 0.

    Args:
        moved: `(N, h, w)`, maps of images, moved as the images were.
        seen: `(N, h, w)`, maps of the moved images.
        temperature: T, above 0.
    """
    moved, seen = normalize(moved.flatten(1)), normalize(seen.flatten(1))
    same = torch.eye(len(seen), dtype=torch.bool, device=seen.device)
    likeness = torch.where(same, (moved * seen).sum(1), seen @ seen.T)
    return cross_entropy(likeness / temperature, torch.arange(len(seen), device=seen.device))


def random_crops(count: int, generator: Generator) -> Tensor:
    """Random crops, half of them mirrored, float32 `(count, 2, 3)`.

    They say where in the image, in [-1, 1], a point of the crop comes from.
    """
    draws = torch.rand((count, 4), generator=generator)
    side = (AREA[0] + (AREA[1] - AREA[0]) * draws[:, 0]).sqrt()
    crops = torch.zeros(count, 2, 3)
    crops[:, 0, 0] = torch.where(draws[:, 1] < 0.5, -side, side)
    crops[:, 1, 1] = side
    crops[:, :, 2] = (2 * draws[:, 2:] - 1) * (1 - side)[:, None]
    return crops


def warp(values: Tensor, crops: Tensor) -> Tensor:
    """Images or maps `(N, K, h, w)`, cropped as `random_crops` says, at the size before."""
    grid = affine_grid(crops, list(values.shape), align_corners=False)
    return grid_sample(values, grid, padding_mode="border", align_corners=False)
