"""Guidance by given masks: be right, and for reasons inside the mask.

    L = CE(f(x), y) + λ3 · alignment(f's evidence, M)          after a warm-up with CE alone
    L = CE(f(x), y) + w · CE(f(M⊙x + (1−M)⊙x'), y)             with alignment="swap"

With `alignment="bce"` this is HAICS (Shen et al. 2021), with "l1" GRADIA (Gao et al. 2022), with
"rrr" the right reasons of Ross et al. (2017), with "energy" our contrastive form. The map comes
from the forward pass that the cross-entropy makes anyway; "rrr" has no map and differentiates the
input gradient instead.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from align import losses
from align.config import Config
from align.data.batches import Batch
from align.interventions import backgrounds, swap
from align.methods.base import Losses, Method
from align.networks.classifier import Classifier
from align.saliency import contrastive_evidence, input_gradient, minmax_maps


class Guided(Method):
    """Training with masks that come with the data."""

    label = "Guided by given masks"
    reads = (
        *("alignment", "warmup", "lambda3", "second_order"),
        *("swap_weight", "swap_background", "swap_loss"),
    )
    needs_masks = True
    pairs_images = (
        {"alignment": ("swap", "swap+energy"), "swap_background": ("picture", "emptied")},
    )

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """Cross-entropy, and alignment with the batch's masks once the warm-up is over."""
        terms, _ = guided_terms(
            self.classifier, self.config, batch, epoch, lambda: batch.masks, generator
        )
        return terms


def guided_terms(
    classifier: Classifier,
    config: Config,
    batch: Batch,
    epoch: int,
    masks: Callable[[], Tensor],
    generator: Generator,
) -> tuple[Losses, Tensor]:
    """Cross-entropy, and alignment with masks once the warm-up is over.

    Args:
        classifier: the network f.
        config: the run's choices.
        batch: images and labels.
        epoch: the current epoch, from 0.
        masks: returns the masks `(N, H, W)`; asked only when guidance has begun.
        generator: CPU random numbers; drawn from for the swap only.

    Returns:
        `(terms, features)`: the terms with their sum under "loss", and the feature map
        `(N, K, h, w)` that they were read from.
    """
    guided = epoch >= config.joint_from
    by_pixel = guided and config.alignment == "rrr"
    swapping = guided and config.alignment in ("swap", "swap+energy")
    images = batch.images.detach().requires_grad_() if by_pixel else batch.images
    kept = masks() if guided else None
    if swapping:
        # An empty mask says that nothing was found, not that all is background: nothing is swapped.
        kept = torch.where(kept.amax((1, 2), keepdim=True) > 0, kept, torch.ones_like(kept))
        behind = backgrounds(config.swap_background, images, kept, generator)
        # Both in one pass: BatchNorm and the kernels see one batch.
        both = classifier.features(torch.cat([images, swap(images, kept, behind)]))
        features, swapped = both.chunk(2)
    else:
        features = classifier.features(images)
    logits = classifier.head(features)
    terms = {"ce": cross_entropy(logits, batch.labels)}
    terms["loss"] = terms["ce"]
    if swapping:
        terms["swap"] = swap_loss(config.swap_loss, logits, classifier.head(swapped), batch.labels)
        terms["loss"] = terms["loss"] + config.swap_weight * terms["swap"]
    if by_pixel:
        gradients = input_gradient.unchecked(logits.log_softmax(1), images, create_graph=True)
        terms["alignment"] = losses.alignment_rrr.unchecked(gradients, kept)
    elif guided and config.alignment != "swap":
        form, weight = config.alignment.removeprefix("swap+"), channel_weights(classifier, config)
        terms["alignment"] = alignment(form, features, weight, batch.labels, kept)
    if "alignment" in terms:
        terms["loss"] = terms["loss"] + config.lambda3 * terms["alignment"]
    return terms, features


def swap_loss(form: str, logits: Tensor, swapped: Tensor, labels: Tensor) -> Tensor:
    """What is asked of the answer to a swapped picture, a scalar.

    Args:
        form: "label" (the cross-entropy of the swapped picture) or "consistency" (the divergence
            `KL(f(x) ‖ f(x_M ← b))` from the answer to the picture itself).
        logits: `(N, C)`, of the pictures.
        swapped: `(N, C)`, of the swapped pictures.
        labels: int64 `(N,)`.
    """
    if form == "label":
        return cross_entropy(swapped, labels)
    target, log = logits.log_softmax(1), swapped.log_softmax(1)
    return (target.exp() * (target - log)).sum(1).mean()


def channel_weights(classifier: Classifier, config: Config) -> Tensor:
    """The head's weights `(C, K)` by which maps weigh channels; constants in first order.

    They are, up to a factor, the gradients of the logits by the pooled features. A gradient that
    flows through them is a second derivative, which the pooled linear head gives in closed form.
    """
    weight = classifier.linear.weight
    return weight if config.second_order else weight.detach()


def alignment(form: str, features: Tensor, weight: Tensor, labels: Tensor, masks: Tensor) -> Tensor:
    """Disagreement between a classifier's evidence and masks, a scalar.

    Args:
        form: "energy", "bce" or "l1"; see `align.losses`. "rrr" reads pixels, not features.
        features: `(N, K, h, w)`.
        weight: `(C, K)`, the pooled linear head's.
        labels: int64 `(N,)`.
        masks: `(N, H, W)` or `(N, 1, H, W)` in [0, 1]; averaged over the map's cells.
    """
    target = losses.mask_to_cells(masks, features.shape[2:])
    if form == "energy":
        evidence = contrastive_evidence.unchecked(features, weight, labels)
        return losses.alignment_energy.unchecked(evidence, target)
    distance = losses.alignment_bce if form == "bce" else losses.alignment_l1
    return distance.unchecked(minmax_maps.unchecked(features, weight, labels), target)
