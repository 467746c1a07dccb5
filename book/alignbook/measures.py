"""What the metrics of a record are called in words, and which values they can have."""

from __future__ import annotations

import math
import re

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "confidence": "confidence",
    "insertion_auc": "insertion AUC",
    "insertion_auc_normalized": "insertion AUC, normalised",
    "deletion_auc": "deletion AUC (less is better)",
    "evidence_inside": "evidence inside the object",
    "energy_inside": "map inside the object",
    "object_area": "the object's share of the picture",
    "sufficiency_zero": "sufficiency (less is better)",
    "comprehensiveness_zero": "comprehensiveness (more is better)",
    "sufficiency_zero_normalized": "sufficiency, normalised (less is better)",
    "comprehensiveness_zero_normalized": "comprehensiveness, normalised (more is better)",
    "masker_iou": "learned mask's IoU",
    "centre_iou": "IoU of a disc in the middle",
    "shifted_iou": "IoU of the same mask elsewhere",
    "random_iou": "IoU of random pixels",
    "masker_area": "learned mask's area",
    "worst_group": "worst group",
    "mean_group": "mean of groups",
    "accuracy_adjusted": "accuracy in the training set's mix",
    "reliance_logits": "reliance on the background",
    "object_reliance_logits": "reliance on the object",
    "weizmann_horse": "horses",
    "pennfudan_person": "pedestrians",
    "photo": "photographs",
    "art_painting": "paintings",
    "cartoon": "cartoons",
    "sketch": "sketches",
}
"""Metrics, sets of photographs and domains, in the words of tables and figures."""


SHARES = re.compile(
    r"(accuracy|accuracy_adjusted|worst_group|mean_group|confidence|auc|normalized|inside|iou"
    r"|iou_matched|area|masker_mean|pointing_game)$"
)
"""Metrics that are shares or probabilities."""


def words(name: str) -> str:
    """What a metric is called in tables and figures.

    Args:
        name: a key of a record's metrics, such as "insertion_auc" or "control_random_iou".
    """
    if name.startswith("control_random_") and name not in NAMES:
        return f"{words(name.removeprefix('control_random_'))}, of random maps"
    return NAMES.get(name, name.replace("_", " "))


def bounds(metric: str) -> tuple[float, float]:
    """The least and the largest value that a metric can have.

    Args:
        metric: a key of a record's metrics.
    """
    if metric in ("explained", "localised", "seconds") or metric.endswith("count"):
        return 0.0, math.inf
    if re.search(r"(sufficiency|comprehensiveness)_(zero|blur)$", metric):
        return -1.0, 1.0
    return (0.0, 1.0) if SHARES.search(metric) else (-math.inf, math.inf)
