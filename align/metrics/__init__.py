"""Metrics of predictions and explanations; they take any classifier and know no training.

Throughout,

- `classifier` takes `(N, 3, H, W)` float in [0, 1] to logits `(N, C)`; it is run in evaluation mode
  and given back with every training flag as it was;
- `images` are `(N, 3, H, W)`, N at least 1, uint8 in 0-255 or floating point in [0, 1], on any
  device: they go to the classifier's one batch at a time, and results come back to theirs;
- `labels` are int64 `(N,)`;
- `saliency` is `(N, h, w)`, finite real numbers, larger where more salient, with h <= H and w <= W:
  it is brought to H x W bilinearly;
- `masks` are the true ones, `(N, H, W)` floating point in [0, 1], on the maps' device; the object's
  pixels are those of 0.5 or more, and there is at least one in each;
- `target`, int64 `(N,)`, is the class whose probability is followed; by default the one that the
  classifier predicts for the untouched image;
- `batch_size` is the number of images in one forward pass; None takes 32 on a CPU and 256 on a GPU.

What is not as described raises a ValueError that says what was given and what was expected.
"""

from align.metrics.accuracy import accuracy, accuracy_per_class, correct, group_accuracies, predict
from align.metrics.faithfulness import (
    comprehensiveness,
    deletion_auc,
    deletion_curve,
    faithfulness,
    insertion_auc,
    insertion_curve,
    rescale,
    sufficiency,
)
from align.metrics.localisation import (
    binarize,
    control_maps,
    energy_inside,
    expected_random_iou,
    expected_shifted_iou,
    iou,
    pointing_game,
    top_pixels,
)
from align.metrics.perturbation import blur
from align.metrics.reliance import reliance
from align.saliency import minmax

__all__ = [
    "accuracy",
    "accuracy_per_class",
    "binarize",
    "blur",
    "comprehensiveness",
    "control_maps",
    "correct",
    "deletion_auc",
    "deletion_curve",
    "energy_inside",
    "expected_random_iou",
    "expected_shifted_iou",
    "faithfulness",
    "group_accuracies",
    "insertion_auc",
    "insertion_curve",
    "iou",
    "minmax",
    "pointing_game",
    "predict",
    "reliance",
    "rescale",
    "sufficiency",
    "top_pixels",
]
