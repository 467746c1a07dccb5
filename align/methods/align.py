"""ALIGN: classifier and masker trained in turn, each the other's teacher.

    warm-up     f:  CE(f(x), y) + λ4 · L_reg                               evidence must exist
    head start  M:  L_dist + λ1 · sparsity + λ2 · smoothness, f fixed;  then f as before, M fixed
    joint       M as above;  then f:  CE(f(x), y) + λ3 · alignment + λ4 · L_reg, M fixed

A turn is a batch, on which each network makes a step; `masker_steps` gives the masker more or fewer
of them. With two rounds this is the first; in the second only f learns, anew, under M.

Source: Hong et al., "From Attribution to Action", AAAI 2026. The paper's terms are options
(`alignment="bce"`, `distinction="probability"`, `fill="zero"`, `target="soft"`, `rounds=1`); the
defaults are what worked.
"""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy

from align import losses
from align.config import Config
from align.data.batches import Batch
from align.methods.base import Losses, Method, Passes, adamw, descend
from align.methods.guided import Guided, channel_weights, guided_terms
from align.methods.regulariser import regulariser
from align.networks.feature_masker import FeatureMasker, learning_part
from align.saliency import minmax
from align.transfer import upload


class Align(Method):
    """Joint training of a classifier and a masker."""

    label = "ALIGN"
    reads = (
        *Guided.reads,
        *("head_start", "masker_lr", "distinction", "fill", "target"),
        *("lambda1", "lambda2", "lambda4", "masker_steps", "mask_stride"),
        *("masker_reads", "masker_start", "start_weight", "looked_at_masks", "judge_epochs"),
        *("hold", "rounds", "mask_level"),
    )
    learns_masks = True
    pairs_images = ({"fill": ("shuffle",)}, *Guided.pairs_images)
    # The batch forward and back; masked twice, forward and back to the pixels.
    passes = Passes(forward=3, to_weights=1, to_pixels=2)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config, learning = self.config, learning_part(self.masker)
        self.masker_optimizer = adamw(learning, config.masker_lr, config.weight_decay)
        self.start = copy.deepcopy(learning) if config.has_start else None
        self.turns, self.progress = 0, 0.0

    def set_progress(self, progress: float) -> None:
        """Set the learning rate, and how far the pull to the start has faded."""
        super().set_progress(progress)
        self.progress = progress

    def begin(self, epoch: int) -> None:
        """Count the turns of the two networks anew, so that a resumed run counts alike."""
        self.turns = 0

    def update(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """The masker's steps that are due, once it learns, and a classifier step."""
        terms: Losses = {}
        if self.config.masker_learns(epoch):
            for _ in range(self.masker_steps_due()):
                terms |= self.update_masker(batch, generator)
        return terms | super().update(batch, epoch, generator)

    def masker_steps_due(self) -> int:
        """The masker's steps in this turn: `masker_steps` on average, rounded up."""
        before, self.turns = self.turns, self.turns + 1
        ratio = self.config.masker_steps
        return math.ceil(self.turns * ratio) - math.ceil(before * ratio)

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """The classifier's terms.

        Book: align, eq-align-objectives.
        """
        masks = partial(self.target, batch.images, generator)
        terms, features = guided_terms(self.classifier, self.config, batch, epoch, masks, generator)
        if self.config.lambda4 > 0:
            weight = channel_weights(self.classifier, self.config)
            terms["mixup"] = regulariser(self.classifier, batch, features, weight, generator)
            terms["loss"] = terms["loss"] + self.config.lambda4 * terms["mixup"]
        return terms

    @torch.no_grad()
    def target(self, images: Tensor, generator: Generator | None = None) -> Tensor:
        """The masks that the classifier is aligned with, `(N, H, W)`, constants."""
        masks = self.masker(images)[:, 0]
        if self.config.target == "hard":
            return (masks > self.config.mask_level).to(masks.dtype)
        if self.config.target == "sampled":
            level = upload(torch.rand(len(masks), 1, 1, generator=generator), masks.device)
            return (masks > level).to(masks.dtype)
        return minmax.unchecked(masks) if self.config.target == "stretch" else masks

    def update_masker(self, batch: Batch, generator: Generator) -> Losses:
        """One step of the masker against the fixed classifier."""
        # Evaluation mode: half-hidden images must not enter BatchNorm's statistics.
        training = self.classifier.training
        self.classifier.eval().requires_grad_(False)
        terms = self.masker_loss(batch, generator)
        descend(self.masker_optimizer, terms["mask"])
        self.classifier.requires_grad_(True).train(training)
        return {name: value.detach() for name, value in terms.items()}

    def masker_loss(self, batch: Batch, generator: Generator) -> Losses:
        """The masker's terms; `"mask"` is what is minimised.

        Book: masker, eq-masker-objective.
        Book: align, eq-align-objectives.
        """
        config = self.config
        masks, pull = self.masks(batch.images)
        views = keep_and_remove(batch.images, masks, self.filling(batch.images, generator))
        kept, removed = self.classifier(torch.cat(views)).chunk(2)
        margin = config.distinction == "margin"
        distinction = losses.distinction_margin if margin else losses.distinction
        terms = priced(distinction.unchecked(kept, removed, batch.labels), masks, config)
        if pull is not None:
            terms["pull"] = pull
            terms["mask"] = terms["mask"] + config.start_weight * (1 - self.progress) * pull
        return terms

    def masks(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The masks `(N, 1, H, W)`, and how far they are from those of the start if it has one."""
        if self.start is None:
            return self.masker(images), None
        if isinstance(self.masker, FeatureMasker):  # both read the same maps
            maps, size = self.masker.maps(images), images.shape[2:]
            masks = self.masker.decoder.masks(maps, size)
            with torch.no_grad():
                first = self.start.masks(maps, size)
        else:
            masks = self.masker(images)
            with torch.no_grad():
                first = self.start(images)
        with torch.autocast(images.device.type, enabled=False):
            return masks, binary_cross_entropy(masks, first)

    def filling(self, images: Tensor, generator: Generator) -> Tensor:
        """What stands where pixels are hidden, broadcastable to the images."""
        if self.config.fill == "zero":
            return self.classifier.mean
        order = upload(torch.randperm(len(images), generator=generator), images.device)
        return images[order]

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Everything that training changes, under the names it has in a checkpoint."""
        own = {"masker": self.masker, "masker_optimizer": self.masker_optimizer}
        return super().parts() | own


def priced(distinction: Tensor, masks: Tensor, config: Config) -> Losses:
    """What masks `(N, 1, H, W)` cost beside how they tell apart; `"mask"` is the sum."""
    terms = {
        "distinction": distinction,
        "sparsity": losses.sparsity.unchecked(masks),
        "smoothness": losses.smoothness.unchecked(masks),
    }
    terms["mask"] = (
        terms["distinction"]
        + config.lambda1 * terms["sparsity"]
        + config.lambda2 * terms["smoothness"]
    )
    return terms


def keep_and_remove(images: Tensor, masks: Tensor, filling: Tensor) -> tuple[Tensor, Tensor]:
    """What a mask keeps of an image and what it removes, the rest filled in.

    Args:
        images: `(N, 3, H, W)` in [0, 1].
        masks: `(N, 1, H, W)` in [0, 1].
        filling: stands in for hidden pixels; broadcastable to the images.

    Returns:
        `(M⊙x + (1−M)⊙filling, (1−M)⊙x + M⊙filling)`, both `(N, 3, H, W)`.

    Book: masker, eq-masker-parts.
    """
    hidden = filling.expand_as(images)
    return torch.lerp(hidden, images, masks), torch.lerp(images, hidden, masks)
