"""The one interface of all methods: how a batch becomes a step."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import ClassVar, NamedTuple

import torch
from torch import Generator, Tensor, nn

from align.config import Config, name_of
from align.data.batches import Batch
from align.networks.classifier import Classifier

Losses = dict[str, Tensor]


class Passes(NamedTuple):
    """What a step asks of the classifier, in images as multiples of the batch.

    Args:
        forward: images that are shown to it.
        to_weights: of these, images whose loss goes back to its weights.
        to_pixels: of these, images whose loss goes back to the images alone.
    """

    forward: float = 1
    to_weights: float = 1
    to_pixels: float = 0

    @property
    def cost(self) -> float:
        """What a step costs in forward passes; back to weights counts two, to pixels one."""
        return self.forward + 2 * self.to_weights + self.to_pixels


class Method:
    """A way of training a classifier; a subclass says what its loss is.

    Args:
        classifier: the network f, already on its device.
        config: the run's choices.
        masker: the network M, on the same device, for a method that learns masks.
        environments: how many domains the training images were joined from.

    Attributes:
        label: its name in tables and legends; that of the class where it is not given.
        reads: names of the values of `align.Config` that it reads besides those that all read.
        needs_masks: whether the training images must have masks.
        learns_masks: whether a masker is trained beside the classifier.
        reads_environments: whether it tells the domains apart that images were joined from.
        pairs_images: cases in which a step sets each image against another of its batch; a case
            names choices with the values that make it, none where it is always so.
        passes: what a step asks of the classifier, for `align speed`.

    Raises:
        ValueError: where a subclass is defined that reads what `align.Config` has not.
    """

    label: ClassVar[str] = ""
    reads: ClassVar[tuple[str, ...]] = ()
    needs_masks: ClassVar[bool] = False
    learns_masks: ClassVar[bool] = False
    reads_environments: ClassVar[bool] = False
    pairs_images: ClassVar[tuple[dict[str, tuple[str, ...]], ...]] = ()
    passes: ClassVar[Passes] = Passes()

    def __init_subclass__(cls) -> None:
        if "label" not in vars(cls):  # a variant is not called what its parent is called
            cls.label = cls.__name__
        known = {field.name for field in fields(Config)}
        if not isinstance(cls.reads, tuple) or not known.issuperset(cls.reads):
            raise ValueError(
                f"{cls.__name__}.reads is {cls.reads!r}, expected a tuple of names of values of "
                "align.Config"
            )

    def __init__(
        self,
        classifier: Classifier,
        config: Config,
        masker: nn.Module | None = None,
        environments: int = 1,
    ) -> None:
        self.classifier = classifier
        self.config = config
        self.masker = masker
        self.environments = environments
        self.optimizer = adamw(classifier, config.lr, config.weight_decay)

    @classmethod
    def check_masks(cls, masks: Tensor | None) -> None:
        """Refuse images without masks, if the method needs masks.

        Raises:
            ValueError: if there are none.
        """
        if cls.needs_masks and masks is None:
            raise ValueError(
                f"method '{name_of(cls)}' needs masks and the training domain has none; load the "
                "data with masks=..., or use method 'align', which learns them"
            )

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
        """One training step; returns the detached terms of the loss.

        Raises:
            ValueError: if the method needs masks and the batch has none.
        """
        self.check_masks(batch.masks)
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
    """AdamW over a module's parameters, in one fused kernel a step."""
    return torch.optim.AdamW(module.parameters(), lr=lr, weight_decay=weight_decay, fused=True)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient of a loss."""
    optimizer.zero_grad(set_to_none=True)
    # To the parameters only: methods that look at input gradients leave images that require one.
    loss.backward(inputs=[p for group in optimizer.param_groups for p in group["params"]])
    optimizer.step()
