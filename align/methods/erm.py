"""Empirical risk minimisation: cross-entropy on the labels, and nothing else.

    L = CE(f(x), y)

Source: Vapnik, "Principles of risk minimization for learning theory", NeurIPS 1991.
"""

from __future__ import annotations

from torch import Generator
from torch.nn.functional import cross_entropy

from align.data.batches import Batch
from align.methods.base import Losses, Method


class ERM(Method):
    """Plain training."""

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """Cross-entropy."""
        return {"loss": cross_entropy(self.classifier(batch.images), batch.labels)}
