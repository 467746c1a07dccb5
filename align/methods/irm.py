"""Invariant risk minimisation: one head should be best in every environment at once.

    L = CE(f(x), y) + λ · mean over environments e of  g_e(even half) · g_e(odd half)
    g_e = d/ds mean CE(s · f(x), y)  at s = 1,  over a half of the environment's images

g_e is the slope of the loss along a dummy scale of the logits; it is 0 where the head is already at
its best. The product of two halves estimates its square without bias. λ is 1 at first, then
`irm_weight`; the optimiser starts anew there, because its step sizes were learned on another loss.

Source: Arjovsky et al., "Invariant risk minimization", 2019 (IRMv1), with DomainBed's schedule.
"""

from __future__ import annotations

from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from align.data.batches import Batch
from align.methods.base import Losses, Method, adamw
from align.methods.environments import means, membership


class IRM(Method):
    """Training for a head that suits every environment."""

    reads = ("irm_weight", "irm_anneal")
    reads_environments = True

    def begin(self, epoch: int) -> None:
        """Start the optimiser anew where the penalty's weight jumps."""
        if epoch == self.config.irm_anneal:
            self.optimizer = adamw(self.classifier, self.config.lr, self.config.weight_decay)

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """Cross-entropy and the penalty on the slope along the dummy scale."""
        logits = self.classifier(batch.images)
        terms = {
            "ce": cross_entropy(logits, batch.labels),
            "penalty": penalty(logits, batch.labels, membership(batch, self.environments)),
        }
        weight = self.config.irm_weight if epoch >= self.config.irm_anneal else 1.0
        return terms | {"loss": terms["ce"] + weight * terms["penalty"]}


def penalty(logits: Tensor, labels: Tensor, members: Tensor) -> Tensor:
    """The invariance penalty, a scalar that may be negative.

    The derivative is taken by hand, `d/ds CE(s z, y) = Σ_c softmax(s z)_c z_c − z_y`.

    Args:
        logits: `(N, C)`.
        labels: int64 `(N,)`.
        members: bool `(E, N)`, the images of each environment; one with fewer than two counts 0.

    Source: Arjovsky et al. 2019, appendix D.
    """
    scores = logits.float()
    slope = (scores.softmax(1) * scores).sum(1) - scores.gather(1, labels[:, None])[:, 0]
    odd = (members.cumsum(1) % 2).bool()
    return (means(slope, members & odd) * means(slope, members & ~odd)).mean()
