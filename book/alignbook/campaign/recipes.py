"""Configurations that grids share, and which methods they compare."""

from __future__ import annotations

from dataclasses import replace

from align.config import Config
from align.methods import METHODS

TOY = Config(alignment="energy", rounds=1)
"""The defaults on drawn worlds, less what came out of these runs: the swap, a second round."""

PHOTOS = replace(
    TOY,
    backbone="mobilenet_v2",
    weights="weights/mobilenet_v2_imagenet.safetensors",
    output_stride=16,
    epochs=6,
    batch_size=32,
    lr=2e-4,
    warmup=2,
    head_start=1,
)
"""Fine-tuning of an ImageNet network at 96 px, sized for two CPU cores."""

COMPOSITE = replace(PHOTOS, epochs=16, warmup=5, head_start=2)
"""About as many steps as on PACS, on a quarter of its images."""

WATERBIRDS = replace(PHOTOS, epochs=4, lr=3e-4, warmup=1, head_start=0, balanced=True)
"""Short, for two CPU cores; classes are drawn alike."""

EXPLAINED = 32
"""Images a domain on which a toy run's explanations and their controls are measured."""

RESNET = replace(
    TOY,
    backbone="resnet50",
    weights="IMAGENET1K_V2",
    epochs=20,
    batch_size=32,
    lr=5e-5,
    warmup=8,
    head_start=2,
)
"""Fine-tuning of ResNet-50 at 224 px; needs a GPU. The paper's own length and rate are unknown."""

DEFAULT = {"alignment": "swap", "rounds": 2}
"""What the library's defaults change in these recipes: swap in place of energy, and two rounds."""

PAPER = {"alignment": "bce", "distinction": "probability", "fill": "zero", "target": "soft"}
"""ALIGN in the paper's own terms, as far as they are known, less the regulariser: of that the terms
are known and the weight is not."""

RRR = 0.002
"""A weight for the penalty on input gradients, a sum over pixels that with the default drowns the
cross-entropy; with this one the two terms are of a size, as its authors ask (Ross et al.)."""

COMPARED = tuple(METHODS)
"""Every method, in the order of the tables."""

UNMASKED = tuple(method for method in COMPARED if not METHODS[method].needs_masks)
"""Methods that need no masks with the data."""


def one_at_a_time(factors: dict[str, dict[str, dict]]) -> dict[tuple[str, str], dict]:
    """The default, named by two empty texts, and each level of each factor alone.

    Args:
        factors: for each factor its levels, and what each changes.
    """
    levels = {
        (factor, level): change
        for factor, changes in factors.items()
        for level, change in changes.items()
    }
    return {("", ""): {}} | levels
