"""Metrics of predictions and explanations; they take any classifier and know no training."""

from align.metrics.accuracy import (
    accuracy,
    accuracy_per_class,
    correct,
    group_accuracies,
    predict,
)
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
