"""The theory of supervision by masks: each statement as a function that computes both its sides.

`gap`: from background sensitivity to the generalisation gap. `information`: what a mask costs in
information. `gaussian`: a world in closed form. `masker`: when learning the mask helps.
`alignment`: from the alignment loss to the gap. `carry`: why not from the map alone.
`intervention`: from a changed background to the gap, with any mask. `swap`: the same in the
closed-form world. Nothing here knows of training.
"""

from align.theory import alignment, carry, gap, gaussian, information, intervention, masker, swap
from align.theory._common import Bound, Identity

__all__ = [
    "Bound",
    "Identity",
    "alignment",
    "carry",
    "gap",
    "gaussian",
    "information",
    "intervention",
    "masker",
    "swap",
]
