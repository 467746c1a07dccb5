"""Training: the loop, what a run keeps, and what it knows of its data."""

from align.training.loop import start, train, train_epoch
from align.training.run import Run

__all__ = ["Run", "start", "train", "train_epoch"]
