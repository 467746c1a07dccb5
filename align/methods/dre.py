"""Distributionally robust explanations: maps of same-class mixtures are mixtures of maps.

    x̂ = m x + (1 − m) x′,  x′ of the class of x,  m ~ Beta(.2, .2)
    L = CE(f(x), y) + R_con + ½ R_spa + 1/10 CE(f(x̂), y)
    R_con = mean |Φ(x̂) − (m Φ(x) + (1 − m) Φ(x′))|,  R_spa = mean size of Φ(x), Φ(x̂)

Φ is the min-max Grad-CAM without ReLU, its channel weights constants (first order).

Source: Li et al., "Are data-driven explanations robust against out-of-distribution data?", CVPR
2023. Means are over images, where the public code takes them class by class; images and mixtures
go through the network in one pass.
"""

from __future__ import annotations

import torch
from torch import Generator
from torch.nn.functional import cross_entropy

from align.data.batches import Batch
from align.methods.base import Losses, Method, Passes
from align.methods.mixing import mix, same_class_partners, shares
from align.methods.regulariser import map_terms
from align.saliency import minmax_maps
from align.transfer import upload


class DRE(Method):
    """Training for maps that stay consistent between images of a class."""

    reads = ("dre_consistency", "dre_sparsity", "dre_mixed")
    pairs_images = ({},)
    passes = Passes(forward=2, to_weights=2)

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """Cross-entropy of images and of mixtures, consistency and size of their maps."""
        config, labels = self.config, batch.labels
        partner = same_class_partners(labels, generator)
        share = upload(shares(len(partner), generator), batch.images.device, batch.images.dtype)
        mixed = mix(batch.images, partner, share)
        features = self.classifier.features(torch.cat([batch.images, mixed]))
        logits, mixed_logits = self.classifier.head(features).chunk(2)
        weight = self.classifier.linear.weight.detach()
        own, blended = minmax_maps.unchecked(features, weight, labels.repeat(2)).chunk(2)
        consistency, size = map_terms(own, blended, partner, share)
        terms = {
            "ce": cross_entropy(logits, labels),
            "consistency": consistency,
            "size": size,
            "mixed": cross_entropy(mixed_logits, labels),
        }
        terms["loss"] = (
            terms["ce"]
            + config.dre_consistency * consistency
            + config.dre_sparsity * size
            + config.dre_mixed * terms["mixed"]
        )
        return terms
