"""Ways of training, one a file, behind one interface: the diff between two is a lesson."""

from __future__ import annotations

from align import config
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

__all__ = ["CGC", "DRE", "ERM", "IRM", "METHODS", "SGT"]
__all__ += ["Align", "GroupDRO", "Guided", "Method", "Mixup"]

METHODS: dict[str, type[Method]] = config.METHODS
"""Every method by the name it has in configurations, records and on the command line."""

METHODS |= {
    "erm": ERM,
    "mixup": Mixup,
    "irm": IRM,
    "groupdro": GroupDRO,
    "sgt": SGT,
    "dre": DRE,
    "cgc": CGC,
    "guided": Guided,
    "align": Align,
}
