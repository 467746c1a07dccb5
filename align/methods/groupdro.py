"""Group distributionally robust optimisation: the environment with the largest loss counts most.

    q_e ← q_e exp(η ℓ_e), normalised to sum 1;   L = Σ_e q_e ℓ_e
    ℓ_e = mean CE(f(x), y) over the images of environment e

On a single environment q is 1 and the method is ERM.

Source: Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020,
algorithm 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from align.data.batches import Batch
from align.methods.base import Losses, Method
from align.methods.environments import means, membership


class GroupDRO(Method):
    """Training for the environment that fares worst; `groups.q`, `(E,)`, are the weights."""

    reads = ("groupdro_eta",)
    reads_environments = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A module, so that the weights are kept in checkpoints as networks are.
        self.groups = nn.Module()
        count, device = self.environments, self.classifier.mean.device
        start = torch.full((count,), 1 / count, device=device)
        self.groups.register_buffer("q", start)

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """The weighted cross-entropy, after the weights have followed this batch's losses."""
        values = cross_entropy(self.classifier(batch.images), batch.labels, reduction="none")
        risks = means(values, membership(batch, self.environments))
        self.reweight(risks.detach())
        return {"loss": (self.groups.q * risks).sum()}

    def reweight(self, risks: Tensor) -> None:
        """Raise each environment's weight with its risk `(E,)`, 0 where it has no image."""
        raised = self.groups.q * torch.exp(self.config.groupdro_eta * risks)
        self.groups.q = raised / raised.sum()

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Everything that training changes, under the names it has in a checkpoint."""
        return super().parts() | {"groups": self.groups}
