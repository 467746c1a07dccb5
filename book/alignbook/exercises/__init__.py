"""Checkers of the book's code exercises: each tries an answer on many cases and says why it fails.

A verdict begins with "Right" or with "Not yet". No checker raises on account of an answer.
"""

from alignbook.exercises.practice import (
    check_frame_share,
    check_leaked_share,
    check_margin_area,
    check_mask_to_cells,
    check_occlusion,
    check_original_grad_cam,
    check_paired_interval,
    check_schedule,
    check_smoothness,
    check_soft_label,
    check_spoilt_mask,
)
from alignbook.exercises.theory import (
    check_alignment_bound,
    check_best_penalty,
    check_leaked_information,
    check_outside_share,
    check_sparsity_window,
    check_squared_error_bound,
    check_swap_weights,
    check_target_accuracy,
)
from alignbook.exercises.verdict import is_right

__all__ = [
    "check_alignment_bound",
    "check_best_penalty",
    "check_frame_share",
    "check_leaked_information",
    "check_leaked_share",
    "check_margin_area",
    "check_mask_to_cells",
    "check_occlusion",
    "check_original_grad_cam",
    "check_outside_share",
    "check_paired_interval",
    "check_schedule",
    "check_smoothness",
    "check_soft_label",
    "check_sparsity_window",
    "check_spoilt_mask",
    "check_squared_error_bound",
    "check_swap_weights",
    "check_target_accuracy",
    "is_right",
]
