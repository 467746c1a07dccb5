"""Ways of training, one a file, behind one interface: the diff between two is a lesson."""

from __future__ import annotations

from align.classifier import Classifier
from align.config import Config
from align.masker import Masker
from align.methods.align import Align
from align.methods.base import Method
from align.methods.erm import ERM
from align.methods.guided import Guided

__all__ = ["ERM", "Align", "Guided", "Method", "build"]


def build(classifier: Classifier, masker: Masker | None, config: Config) -> Method:
    """The method that a configuration names.

    Args:
        classifier: the network f.
        masker: the network M; needed for "align" only.
        config: the run's choices.
    """
    if config.method == "align":
        return Align(classifier, config, masker)
    return {"erm": ERM, "guided": Guided}[config.method](classifier, config)
