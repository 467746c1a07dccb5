"""The theory of supervision by masks: each statement as a function that computes both its sides.

`gap`: from background sensitivity to the generalisation gap. `information`: what a mask costs in
information. `gaussian`: a world in closed form. `masker`: when learning the mask helps.
`alignment`: from the alignment loss to the gap. Nothing here knows of training.
"""

from align.theory import alignment, gap, gaussian, information, masker
from align.theory._common import Bound, Identity

__all__ = ["Bound", "Identity", "alignment", "gap", "gaussian", "information", "masker"]
