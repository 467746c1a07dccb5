"""Saliency-guided training: noise in place of unimportant pixels should not change the prediction.

    x̃ = x with its k pixels of least |∂ f_y / ∂x| replaced by uniform noise in x's range
    L = CE(f(x), y) + λ KL(f(x) ‖ f(x̃))                              gradients through both sides

Source: Ismail et al., "Improving deep learning interpretability by saliency guided training",
NeurIPS 2021. Its public code orders pixels by the signed gradient unless told otherwise; here small
means small in size. The gradient comes from the forward pass that the cross-entropy makes anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from align.data.batches import Batch
from align.methods.base import Losses, Method, Passes
from align.saliency import input_gradient


class SGT(Method):
    """Training to rest on what the gradient calls important."""

    reads = ("sgt_weight", "sgt_share")
    # Images forward, back to the pixels and back to the weights; noisy images forward and back.
    passes = Passes(forward=2, to_weights=2, to_pixels=1)

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """Cross-entropy, and the divergence that noise in unimportant pixels causes."""
        images = batch.images.detach().requires_grad_()
        logits = self.classifier(images)
        chosen = logits.gather(1, batch.labels[:, None])[:, 0]
        size = input_gradient.unchecked(chosen, images).abs().mean(1)
        noisy = replace_least(batch.images, size, self.config.sgt_share, generator)
        with statistics_held(self.classifier):
            noisy_logits = self.classifier(noisy)
        terms = {
            "ce": cross_entropy(logits, batch.labels),
            "divergence": divergence(logits, noisy_logits),
        }
        return terms | {"loss": terms["ce"] + self.config.sgt_weight * terms["divergence"]}


@contextmanager
def statistics_held(network: nn.Module) -> Iterator[None]:
    """Keep images out of BatchNorm's running statistics, which stand for clean images in use."""
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def divergence(logits: Tensor, other: Tensor) -> Tensor:
    """Mean `KL(p ‖ p̃) = Σ_c p_c (log p_c − log p̃_c)` of logits of p and p̃, both `(N, C)`."""
    return kl_div(
        other.log_softmax(1), logits.log_softmax(1), reduction="batchmean", log_target=True
    )


def replace_least(images: Tensor, size: Tensor, share: float, generator: Generator) -> Tensor:
    """Images with uniform noise, in the range of their own values, for the least pixels.

    Args:
        images: `(N, 3, H, W)`.
        size: `(N, H, W)`, the importance of each pixel.
        share: how many pixels are replaced, in [0, 1].
        generator: CPU random numbers.
    """
    flat = images.detach().flatten(2)
    count = round(share * flat.shape[2])
    least = size.flatten(1).topk(count, largest=False, sorted=False).indices
    # Drawn where the images are: there are as many numbers as values in the batch.
    local = torch.Generator(images.device)
    local.manual_seed(int(torch.randint(2**62, (), generator=generator)))
    noise = torch.rand((len(flat), 3, count), generator=local, device=images.device)
    low, high = flat.amin((1, 2))[:, None, None], flat.amax((1, 2))[:, None, None]
    index = least[:, None].expand(-1, 3, -1)
    return flat.scatter(2, index, (low + (high - low) * noise).to(flat.dtype)).view_as(images)
