"""Learn a start for ALIGN's masker: `python -m alignbook.starts objectness ROOT OUT [WEIGHTS]`.

The two starts that the library carries were learned so, `objectness` from horses and people and
`birds` from birds. A start holds the weights of a decoder and no picture, and a profile of the
network whose feature maps it reads: it is of use with that one alone. With other weights,
a file or a name that `align.Classifier` takes, learn one of your own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

import align
from align.data import join
from align.data.benchmark import Domain
from align.data.masks import load_pennfudan, load_weizmann
from align.networks.classifier import Classifier
from align.networks.feature_masker import FeatureMasker
from align.networks.weights import profile, write_tensors
from align.training.objectness import learn_objectness
from alignbook.campaign.recipes import PHOTOS

PICTURES, SIZE = 1600, 96


def masked(domain: Domain, count: int) -> Domain:
    """The first pictures of a domain whose mask marks something and not everything."""
    area = domain.masks.mean((1, 2))
    return domain.subset(torch.nonzero((area > 0) & (area < 1))[:count, 0])


def horses_and_people(root: Path) -> Domain:
    """The Weizmann horses and the Penn-Fudan pedestrians, with masks drawn by people."""
    parts = [read(root, size=SIZE, progress=False) for read in (load_weizmann, load_pennfudan)]
    return join([replace(part, classes=("object",)) for part in parts])


def birds(root: Path) -> Domain:
    """Training pictures of Waterbirds, with a segmenter's masks."""
    masks = str(root / "pseudo_masks/waterbirds")
    return masked(align.load("waterbirds", root, size=SIZE, masks=masks)["train"], PICTURES)


KINDS: dict[str, tuple[Callable[[Path], Domain], int]] = {
    "objectness": (horses_and_people, 25),
    "birds": (birds, 6),
}
"""For each start what it is learned from, and for how many epochs."""


def learn(kind: str, root: Path, weights: str = "") -> FeatureMasker:
    """A masker that learned what objects look like.

    Args:
        kind: one of `KINDS`.
        root: the folder that holds `masks`, or `waterbirds` and `pseudo_masks`.
        weights: of the network whose feature maps are read; "" takes those of the book's runs,
            in `root`.
    """
    torch.manual_seed(0)
    weights = weights or str(root / PHOTOS.weights)
    trunk = Classifier(PHOTOS.backbone, 2, weights, output_stride=PHOTOS.output_stride)
    masker = FeatureMasker(trunk)
    source, epochs = KINDS[kind]
    learn_objectness(masker, source(root), epochs=epochs)
    return masker


def main() -> None:
    """Learn a start and write it; refuse what cannot be, before anything is learned."""
    parser = argparse.ArgumentParser(prog="python -m alignbook.starts", description=__doc__)
    parser.add_argument("kind", choices=KINDS, help="what it is learned from")
    parser.add_argument("root", type=Path, help="folder that holds masks, or waterbirds")
    parser.add_argument("out", type=Path, help="the .safetensors file that is written")
    parser.add_argument("weights", nargs="?", default="", help="default: those of the book's runs")
    given = parser.parse_args()
    if given.out.suffix != ".safetensors" or not given.out.parent.is_dir():
        parser.error(f"'{given.out}' is no .safetensors file in a folder that is there")
    try:
        learned = learn(given.kind, given.root, given.weights)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    read = {"profile": json.dumps(profile(learned.trunk))}
    write_tensors(given.out, learned.decoder.state_dict(), read)


if __name__ == "__main__":
    main()
