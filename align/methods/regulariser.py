"""The regulariser L_reg: maps of same-class mixtures should be mixtures of maps, and small.

    x̂ = m x + (1 − m) x′,  x′ of the class of x,  m ~ Beta(.2, .2)
    L_reg = mean |Φ(x̂) − (m Φ(x) + (1 − m) Φ(x′))| + ½ mean size of Φ(x), Φ(x̂)

Source: Li et al. (DRE), CVPR 2023, with its weights 1 and ½; Hong et al. 2026 take it over.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from align import losses
from align.classifier import Classifier
from align.data.batches import Batch
from align.saliency import class_evidence, finish

CONCENTRATION = 0.2


def same_class_partners(labels: Tensor, generator: Generator) -> Tensor:
    """For each image another of its class, in a random cycle through the class.

    Args:
        labels: int64 `(N,)`.
        generator: CPU random numbers.

    Returns:
        int64 `(N,)`, a permutation; an image alone in its class is its own partner.
    """
    order = torch.randperm(len(labels), generator=generator).to(labels.device)
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


def regulariser(
    classifier: Classifier, batch: Batch, features: Tensor, generator: Generator
) -> Tensor:
    """The regulariser L_reg of a batch, a scalar.

    Args:
        classifier: the network f.
        batch: images and labels.
        features: `(N, K, h, w)`, the feature map of the batch's images.
        generator: CPU random numbers.
    """
    partner = same_class_partners(batch.labels, generator)
    seed = int(torch.randint(2**31, (), generator=generator))
    draws = np.random.default_rng(seed).beta(CONCENTRATION, CONCENTRATION, len(partner))
    share = torch.from_numpy(draws).to(batch.images)
    mixed = torch.lerp(batch.images[partner], batch.images, share[:, None, None, None])
    weight, labels = classifier.linear.weight, batch.labels
    own = finish(class_evidence(features, weight, labels))
    blended = finish(class_evidence(classifier.features(mixed), weight, labels))
    consistency = losses.attribution_consistency(blended, own, own[partner], share)
    size = losses.attribution_sparsity(own) + losses.attribution_sparsity(blended)
    return consistency + 0.5 * size / 2
