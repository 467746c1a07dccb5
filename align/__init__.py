"""ALIGN: classifiers that look where they should, trained jointly with the masks that say where."""

from align import losses, metrics
from align.classifier import Classifier
from align.config import Config
from align.data import Benchmark, Domain, load
from align.evaluation import evaluate
from align.explanation import explain
from align.export import export
from align.masker import Masker
from align.saliency import grad_cam
from align.training import Run, train

__all__ = [
    "Benchmark",
    "Classifier",
    "Config",
    "Domain",
    "Masker",
    "Run",
    "evaluate",
    "explain",
    "export",
    "grad_cam",
    "load",
    "losses",
    "metrics",
    "train",
]
