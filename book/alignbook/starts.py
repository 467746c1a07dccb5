"""Learn a start for ALIGN's masker from birds: `python -m alignbook.starts ROOT OUT`.

The start `birds` that the library carries was made with it. A start holds the weights of a decoder
and no picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import align
from align.data.benchmark import Domain
from align.networks.classifier import Classifier
from align.networks.feature_masker import FeatureMasker
from align.networks.weights import write_tensors
from align.training.objectness import learn_objectness
from alignbook.campaign.recipes import PHOTOS

PICTURES, EPOCHS, SIZE = 1600, 6, 96


def masked(domain: Domain, count: int) -> Domain:
    """The first pictures of a domain whose mask marks something and not everything."""
    area = domain.masks.mean((1, 2))
    return domain.subset(torch.nonzero((area > 0) & (area < 1))[:count, 0])


def learn_birds(root: Path) -> FeatureMasker:
    """A masker that learned what objects look like from a segmenter's masks of Waterbirds.

    Args:
        root: the folder that holds `waterbirds`, `pseudo_masks` and `weights`.
    """
    birds = align.load("waterbirds", root, size=SIZE, masks=str(root / "pseudo_masks/waterbirds"))
    torch.manual_seed(0)
    masker = FeatureMasker(
        Classifier(
            PHOTOS.backbone,
            2,
            weights=str(root / PHOTOS.weights),
            output_stride=PHOTOS.output_stride,
        )
    )
    learn_objectness(masker, masked(birds["train"], PICTURES), epochs=EPOCHS)
    return masker


if __name__ == "__main__":
    write_tensors(Path(sys.argv[2]), learn_birds(Path(sys.argv[1])).decoder.state_dict())
