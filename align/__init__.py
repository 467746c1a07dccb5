"""ALIGN: classifiers that look where they should, trained jointly with the masks that say where."""

from align import losses, metrics
from align.config import Config
from align.data import Benchmark, Domain, load
from align.evaluation import evaluate
from align.explanation import explain
from align.networks.classifier import Classifier
from align.networks.masker import Masker
from align.saliency import grad_cam
from align.training import Run, train
from align.training.export import export

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
