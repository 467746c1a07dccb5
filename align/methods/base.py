"""The one interface of all methods: how a batch becomes a step."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from align.classifier import Classifier
from align.config import Config
from align.data.batches import Batch

Losses = dict[str, Tensor]


class Method:
    """A way of training a classifier; a subclass says what its loss is.

    Args:
        classifier: the network f, already on its device.
        config: the run's choices.
        environments: how many domains the training images were joined from.
    """

    def __init__(self, classifier: Classifier, config: Config, environments: int = 1) -> None:
        self.classifier = classifier
        self.config = config
        self.environments = environments
        self.optimizer = adamw(classifier, config.lr, config.weight_decay)

    def begin(self, epoch: int) -> None:
        """Prepare for an epoch, before its first step; most methods have nothing to do."""

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """The terms of the classifier's loss; `"loss"` is what is minimised.

        Args:
            batch: images, labels, masks and environments.
            epoch: the current epoch, from 0.
            generator: CPU random numbers for this epoch.
        """
        raise TypeError(f"{type(self).__name__} does not define its loss")

    def update(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """One training step; returns the detached terms of the loss."""
        terms = self.loss(batch, epoch, generator)
        descend(self.optimizer, terms["loss"])
        return {name: value.detach() for name, value in terms.items()}

    def set_progress(self, progress: float) -> None:
        """Set the learning rate for a share `progress` in [0, 1] of the run (half a cosine)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * 0.5 * (1 + math.cos(math.pi * progress))

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Everything that training changes, under the names it has in a checkpoint."""
        return {"classifier": self.classifier, "optimizer": self.optimizer}


def adamw(module: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over what learns of a module, in one fused kernel a step."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=True)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient of a loss."""
    optimizer.zero_grad(set_to_none=True)
    # To the parameters only: methods that look at input gradients leave images that require one.
    loss.backward(inputs=[p for group in optimizer.param_groups for p in group["params"]])
    optimizer.step()
