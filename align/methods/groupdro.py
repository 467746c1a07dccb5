"""Group distributionally robust optimisation: the environment with the largest loss counts most.

    q_e ← q_e exp(η ℓ_e), normalised to sum 1;   L = Σ_e q_e ℓ_e
    ℓ_e = mean CE(f(x), y) over the images of environment e

On a single environment q is 1 and the method is ERM.

Source: Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020,
algorithm 1.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from align.config import Config
from align.data.batches import Batch
from align.methods.base import Losses, Method
from align.methods.environments import means, membership
from align.networks.classifier import Classifier
from align.networks.masker import Masker


class GroupDRO(Method):
    """Training for the environment that fares worst.

    Args:
        classifier: the network f, on its device.
        config: the run's choices.
        masker: None.
        environments: number E of environments.

    Attributes:
        groups: a module whose buffer `q`, float32 `(E,)`, holds the environments' weights.
    """

    reads = ("groupdro_eta",)
    reads_environments = True

    def __init__(
        self,
        classifier: Classifier,
        config: Config,
        masker: Masker | None = None,
        environments: int = 1,
    ) -> None:
        super().__init__(classifier, config, masker, environments)
        # A module, so that the weights are kept in checkpoints as networks are.
        self.groups = nn.Module()
        start = torch.full((environments,), 1 / environments, device=classifier.mean.device)
        self.groups.register_buffer("q", start)

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """The weighted cross-entropy, after the weights have followed this batch's losses."""
        values = cross_entropy(self.classifier(batch.images), batch.labels, reduction="none")
        risks = means(values, membership(batch, self.environments))
        self.reweight(risks.detach())
        return {"loss": (self.groups.q * risks).sum()}

    def reweight(self, risks: Tensor) -> None:
        """Raise the weight of each environment with its loss.

        Args:
            risks: `(E,)`, each environment's mean loss; 0 where it has no image in the batch.
        """
        raised = self.groups.q * torch.exp(self.config.groupdro_eta * risks)
        self.groups.q = raised / raised.sum()

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Everything that training changes, under the names it has in a checkpoint."""
        return super().parts() | {"groups": self.groups}
