"""Mixup: between two images the prediction should change in proportion.

    x̂ = m x + (1 − m) x′,  x′ any image of the batch,  m ~ Beta(.2, .2)
    L = mean  m CE(f(x̂), y) + (1 − m) CE(f(x̂), y′)

Source: Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018. DomainBed pairs images
of different domains, so on a single domain it does nothing; here the batch is permuted. Each image
has a share of its own, where the public codes draw one a batch.
"""

from __future__ import annotations

import torch
from torch import Generator
from torch.nn.functional import cross_entropy

from align.data.batches import Batch
from align.methods.base import Losses, Method
from align.methods.mixing import mix, shares
from align.transfer import upload


class Mixup(Method):
    """Training on mixtures of images and of labels."""

    reads = ("mixup_concentration",)
    pairs_images = ({},)

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """Cross-entropy of mixtures with both labels, in the mixture's shares."""
        count, images = len(batch.labels), batch.images
        partner = upload(torch.randperm(count, generator=generator), images.device)
        share = shares(count, generator, self.config.mixup_concentration)
        share = upload(share, images.device, images.dtype)
        logits = self.classifier(mix(batch.images, partner, share))
        own = cross_entropy(logits, batch.labels, reduction="none")
        other = cross_entropy(logits, batch.labels[partner], reduction="none")
        return {"loss": (share * own + (1 - share) * other).mean()}
