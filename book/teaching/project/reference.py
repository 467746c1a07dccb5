"""One full answer to the project; for instructors."""

import numpy as np
import torch
from scipy import stats
from torch.nn.functional import avg_pool2d, cross_entropy

from align.methods import Method


def tolerable_leak(world, kept_object):
    """Bisect: with beta_target <= 0 < beta_source the accuracy falls with every leaked feature."""
    unguided = world.accuracy(world.p, world.q)
    if world.accuracy(kept_object, 0) < unguided:
        return 0.0
    low, high = 0.0, float(world.q)
    if world.accuracy(kept_object, high) >= unguided:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        if world.accuracy(kept_object, middle) >= unguided:
            low = middle
        else:
            high = middle
    return low


def outside_loss(features, weight, labels, masks):
    """The margin's weights, one class at a time; the label's own contrast is zero."""
    contrast = weight[labels][:, None] - weight[None]
    evidence = torch.einsum("nck,nkhw->nchw", contrast, features).abs()
    step = masks.shape[1] // features.shape[2], masks.shape[2] // features.shape[3]
    cells = avg_pool2d(masks[:, None], step)
    total = evidence.sum((1, 2, 3))
    outside = (evidence * (1 - cells)).sum((1, 2, 3))
    return torch.where(total > 0, outside / total.clamp_min(1e-12), 0.0).mean()


class Mine(Method):
    """Train on each object before the scene of another image of the batch."""

    needs_masks = True

    def loss(self, batch, epoch, generator):
        """Cross-entropy on swapped backgrounds."""
        order = torch.randperm(len(batch.labels), generator=generator).to(batch.labels.device)
        masks = batch.masks[:, None].to(batch.images)
        swapped = masks * batch.images + (1 - masks) * batch.images[order]
        return {"loss": cross_entropy(self.classifier(swapped), batch.labels)}


def verdict(first, second):
    """The paired interval, and where zero lies."""
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    if gaps.mean() - half > 0:
        return "better"
    return "worse" if gaps.mean() + half < 0 else "cannot tell"
