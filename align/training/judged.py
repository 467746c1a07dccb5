"""A start for the masker: what a judge needs to see, that never saw which scene has which label."""

from __future__ import annotations

import torch
from torch import Tensor

from align import losses
from align.config import Config
from align.data.batches import Batch, Batches
from align.data.benchmark import Domain
from align.data.mask_sources import mask_source
from align.methods.align import keep_and_remove, priced
from align.networks.feature_masker import FeatureMasker
from align.networks.judge import Judge
from align.networks.masker import Masker
from align.training.objectness import teach

LOOKS = 640
"""The most training images that the judge is asked about."""
MIDDLE = 0.15
"""Area of the disc in the middle where their object is likely to be; chosen by reading the names of
the classes that it makes common on Waterbirds' training pictures: birds."""
RATE, SLOWLY = 1e-3, 3e-4  # the masker's learning rates: from nothing, and from a start


def learn_from_judge(masker: Masker | FeatureMasker, domain: Domain, config: Config) -> list[float]:
    """Teach a masker what a frozen pretrained network must see, for `config.judge_epochs` epochs.

    The masker's own objective with another judge in place of the classifier: what a mask keeps,
    before the mean colour, must look like what the training images have in common, and what it
    removes must leave nothing of that. Neither labels nor masks of the training images are used.

    Args:
        masker: learns in place, from the weights that it has.
        domain: the training images.
        config: the run's choices, `weights` among them.

    Returns:
        The mean loss of each epoch.

    Raises:
        ValueError: if the configuration has no pretrained weights, or they lack their own classes.

    Book: masker, eq-masker-objective.
    """
    device = next(masker.parameters()).device
    order = torch.randperm(len(domain), generator=torch.Generator().manual_seed(config.seed))
    seen = mask_source("centre", domain.subset(order[:LOOKS]), area=MIDDLE)
    images = seen.images.to(device).float().div(255)
    judge = Judge(config.backbone, config.weights, images, seen.masks.to(device))
    batches = Batches(domain, config.batch_size, config.seed, config.augment, device)

    def loss(batch: Batch) -> Tensor:
        masks = masker(batch.images)
        # Another picture in place of the mean colour would bring its own object into sight.
        kept, removed = judge(torch.cat(keep_and_remove(batch.images, masks, judge.mean))).chunk(2)
        common = torch.ones_like(batch.labels)
        distinction = losses.distinction_margin.unchecked(kept, removed, common)
        return priced(distinction, masks, config)["mask"]

    begun = config.masker_start is not None or config.looked_at_masks > 0
    rate, decay = SLOWLY if begun else RATE, config.weight_decay
    return teach(masker, batches, loss, epochs=config.judge_epochs, lr=rate, weight_decay=decay)
