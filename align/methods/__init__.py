"""Ways of training, one a file, behind one interface: the diff between two is a lesson."""

from __future__ import annotations

from align.classifier import Classifier
from align.config import Config
from align.masker import Masker
from align.methods.align import Align
from align.methods.base import Method
from align.methods.cgc import CGC
from align.methods.dre import DRE
from align.methods.erm import ERM
from align.methods.groupdro import GroupDRO
from align.methods.guided import Guided
from align.methods.irm import IRM
from align.methods.mixup import Mixup
from align.methods.sgt import SGT

__all__ = [
    "CGC",
    "DRE",
    "ERM",
    "IRM",
    "SGT",
    "Align",
    "GroupDRO",
    "Guided",
    "Method",
    "Mixup",
    "build",
]

CLASSES: dict[str, type[Method]] = {
    "erm": ERM,
    "mixup": Mixup,
    "irm": IRM,
    "groupdro": GroupDRO,
    "sgt": SGT,
    "dre": DRE,
    "cgc": CGC,
    "guided": Guided,
}


def build(
    classifier: Classifier, masker: Masker | None, config: Config, environments: int = 1
) -> Method:
    """The method that a configuration names.

    Args:
        classifier: the network f.
        masker: the network M; needed for "align" only.
        config: the run's choices.
        environments: how many domains the training images were joined from.
    """
    if config.method == "align":
        return Align(classifier, config, masker)
    return CLASSES[config.method](classifier, config, environments)
