"""One flat record of every choice in a training run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields

METHODS = ("erm", "guided", "align")
ALIGNMENTS = ("energy", "bce", "l1")
FILLS = ("shuffle", "zero")
DISTINCTIONS = ("margin", "probability")
TARGETS = ("hard", "stretch", "soft")

GUIDANCE = frozenset({"alignment", "warmup", "lambda3"})
"""Values that only guided training reads."""

LEARNING = frozenset("head_start masker_lr distinction fill target lambda1 lambda2 lambda4".split())
"""Values that only training with a masker reads."""


@dataclass(frozen=True)
class Config:
    """Everything that determines a run besides its data.

    Args:
        method: "erm", "guided" (given masks) or "align" (learned masks).
        backbone: see `align.Classifier`.
        weights: see `align.Classifier`.
        output_stride: see `align.Classifier`.
        epochs: passes over the training images, all phases together.
        batch_size: images per step.
        lr: the classifier's learning rate at the start; it falls to zero along a cosine.
        weight_decay: AdamW's, for classifier and masker.
        augment: mirror and shift the training images.
        seed: fixes initial weights, order and augmentation.
        alignment: "energy" (contrastive evidence outside the mask; ours), "bce" (the paper's, on
            the min-max Grad-CAM) or "l1" (GRADIA's).
        warmup: epochs of plain training before any guidance.
        head_start: epochs after the warm-up in which the masker learns and the classifier does not
            follow it yet.
        masker_lr: the masker's learning rate.
        distinction: "margin" (ours) or "probability" (the paper's).
        fill: what stands in for hidden pixels, "shuffle" (another image of the batch) or "zero"
            (the paper's: zeros of the normalised image).
        target: what the classifier is aligned with, the learned mask cut at ½ ("hard"; ours),
            min-max normalised per image ("stretch") or as it is ("soft"; the paper's).
        lambda1: weight of the mask's sparsity.
        lambda2: weight of the mask's smoothness.
        lambda3: weight of the alignment.
        lambda4: weight of ALIGN's same-class mixup regulariser L_reg; 0 leaves it out.

    Raises:
        ValueError: if a value is out of range.
    """

    method: str = "align"
    backbone: str = "small-cnn"
    weights: str | None = None
    output_stride: int | None = None
    epochs: int = 12
    batch_size: int = 32
    lr: float = 3e-3
    weight_decay: float = 1e-2
    augment: bool = True
    seed: int = 0
    alignment: str = "energy"
    warmup: int = 5
    head_start: int = 1
    masker_lr: float = 6e-3
    distinction: str = "margin"
    fill: str = "shuffle"
    target: str = "hard"
    lambda1: float = 6.0
    lambda2: float = 0.2
    lambda3: float = 2.0
    lambda4: float = 0.0

    def __post_init__(self) -> None:
        for name, allowed in (
            ("method", METHODS),
            ("alignment", ALIGNMENTS),
            ("fill", FILLS),
            ("distinction", DISTINCTIONS),
            ("target", TARGETS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, expected one of {', '.join(allowed)}"
                )
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not value >= 0:
                raise ValueError(f"{field.name} is {value}, expected a number that is not negative")

    @property
    def joint_from(self) -> int:
        """The first epoch in which the classifier is guided."""
        return self.warmup + (self.head_start if self.method == "align" else 0)

    def read(self) -> dict[str, object]:
        """The values that this method reads: two runs that agree on them are the same run."""
        unread = GUIDANCE | LEARNING if self.method == "erm" else LEARNING
        values = asdict(self)
        if self.method == "align":
            return values
        return {name: value for name, value in values.items() if name not in unread}

    def hash(self) -> str:
        """The first 12 hexadecimal digits of a SHA-256 over the values that are read."""
        text = json.dumps(self.read(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
