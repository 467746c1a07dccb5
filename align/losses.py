"""Every term of ALIGN's two objectives as a pure function.

    L_mask = L_dist + λ1 · sparsity + λ2 · smoothness                       (masker, f fixed)
    L_clf  = CE(f(x), y) + λ3 · alignment + λ4 · regulariser                (classifier, M fixed)

Throughout, `labels` are int64 `(N,)`, the true classes y; `kept` and `removed` are the logits
`(N, C)` of `x⊙M` and `x⊙(1−M)`, what a mask keeps and what it removes; `masks` are in [0, 1], a
constant for the classifier, `(N, H, W)` or, for the masker's own terms, also `(N, 1, H, W)`;
`saliency` is a map Φ, `(N, h, w)`, and masks beside it are of its size.

All return a scalar of at least 0 unless they say otherwise, and all raise a ValueError for another
shape or dtype than they name (on a CPU also for values out of range). Source of the objectives:
Hong et al., "From Attribution to Action: Jointly ALIGNing Predictions and Explanations", AAAI 2026.
Each docstring says where a form is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, softplus

from align.checks import check_classes, check_floats, check_shares, check_size, checked

EPSILON = 1e-6


def _logits(logits: Tensor, name: str) -> dict[str, int]:
    sizes = check_floats(name, logits, "NC")
    if sizes["C"] < 2:
        raise ValueError(f"{name} have {sizes['C']} class, expected at least 2 to tell apart")
    return sizes


def _masks(masks: Tensor) -> dict[str, int]:
    """Masks `(N, 1, H, W)` or `(N, H, W)` in [0, 1]."""
    shape = "N1HW" if isinstance(masks, Tensor) and masks.ndim == 4 else "NHW"
    sizes = check_floats("masks", masks, shape, {"1": 1})
    check_shares("mask values", masks)
    return sizes


def _pair(kept: Tensor, removed: Tensor, labels: Tensor) -> None:
    check_classes("labels", labels, check_floats("removed", removed, "NC", _logits(kept, "kept")))


def _one(logits: Tensor, labels: Tensor) -> None:
    check_classes("labels", labels, _logits(logits, "logits"))


def _neighbours(masks: Tensor) -> None:
    if not isinstance(masks, Tensor) or not masks.is_floating_point() or masks.ndim < 2:
        check_floats("masks", masks, "NHW")
    if min(masks.shape[-2:]) < 2:
        raise ValueError(
            f"masks have shape {tuple(masks.shape)}, expected at least 2 x 2 pixels: smoothness "
            "compares neighbours"
        )


def _map_and_mask(saliency: Tensor, masks: Tensor) -> None:
    check_floats("masks", masks, "Nhw", check_floats("saliency", saliency, "Nhw"))
    check_shares("saliency values", saliency)
    check_shares("mask values", masks)


def _evidence_and_mask(evidence: Tensor, masks: Tensor) -> None:
    check_floats("masks", masks, "Nhw", check_floats("evidence", evidence, "NChw"))
    check_shares("mask values", masks)


def _gradients_and_mask(gradients: Tensor, masks: Tensor) -> None:
    check_floats("gradients", gradients, "N3HW", _masks(masks) | {"3": 3})


def _mixed_maps(mixed: Tensor, first: Tensor, second: Tensor, share: Tensor) -> None:
    sizes = check_floats("mixed", mixed, "Nhw")
    check_floats("first", first, "Nhw", sizes)
    check_floats("second", second, "Nhw", sizes)
    check_floats("share", share, "N", sizes)
    check_shares("shares", share)


def _mask_and_cells(masks: Tensor, cells: tuple[int, int] | torch.Size) -> None:
    _masks(masks)
    check_size("cells", cells)


@checked(_pair)
def distinction(kept: Tensor, removed: Tensor, labels: Tensor) -> Tensor:
    """Distance of the evidence gap from 1, `mean (f_y(kept) − f_y(removed) − 1)²`.

    In [0, 4]; 0 when the kept part is certain of y and the rest rules y out.

    Source: Hong et al. 2026, L_dist with dist(x) = f_y(x⊙M) − f_y(x⊙(1−M)); that f_y is the
    softmax probability is our reading, since only then is 1 its maximum.
    Book: masker, eq-masker-dist.
    """
    chosen = labels[:, None]
    gap = (kept.softmax(1) - removed.softmax(1)).gather(1, chosen)
    return (gap - 1).square().mean()


@checked(_pair)
def distinction_margin(kept: Tensor, removed: Tensor, labels: Tensor) -> Tensor:
    """Distinction on margins, `mean softplus(−m(kept)) + softplus(m(removed))`.

    The margin is `m = z_y − log Σ_{c≠y} exp z_c`. Unlike a probability it never saturates, so the
    masker keeps a gradient once the classifier is sure.

    Source: ours; the first summand is the cross-entropy of the kept part.
    Book: masker, eq-masker-margin.
    """
    lead, left = margin.unchecked(kept, labels), margin.unchecked(removed, labels)
    return (softplus(-lead) + softplus(left)).mean()


@checked(_one)
def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """How far the true class leads in logits `(N, C)`, `z_y − log Σ_{c≠y} exp z_c`, `(N,)`.

    It is positive where the true class has more than half of the probability.
    """
    chosen = labels[:, None]
    others = logits.scatter(1, chosen, float("-inf"))
    return logits.gather(1, chosen)[:, 0] - others.logsumexp(1)


@checked(_masks)
def sparsity(masks: Tensor) -> Tensor:
    """Mean mask value, `‖M‖₁` divided by the number of pixels.

    Source: Hong et al. 2026, the λ1 term; the mean instead of the sum makes λ1 independent of the
    image's size (ours).
    Book: masker, eq-masker-costs.
    """
    return masks.abs().mean()


@checked(_neighbours)
def smoothness(masks: Tensor) -> Tensor:
    """Mean absolute difference between neighbouring pixels (total variation) of `(..., H, W)`.

    Source: Hong et al. 2026, the λ2 term L_smooth; absolute differences are our choice.
    Book: masker, eq-masker-costs.
    """
    down = (masks[..., 1:, :] - masks[..., :-1, :]).abs().mean()
    right = (masks[..., :, 1:] - masks[..., :, :-1]).abs().mean()
    return down + right


@checked(_map_and_mask)
def alignment_bce(saliency: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy between the classifier's map Φ and the mask M, the paper's alignment.

    The map is the min-max normalised Grad-CAM of the true class, in [0, 1].

    Source: Hong et al. 2026, the λ3 term BCE(Φ_y(x), M(x)); also HAICS (Shen et al. 2021).
    Book: align, eq-align-bce.
    """
    return binary_cross_entropy(saliency.clamp(EPSILON, 1 - EPSILON), masks)


@checked(_map_and_mask)
def alignment_l1(saliency: Tensor, masks: Tensor) -> Tensor:
    """Mean absolute difference between map, in [0, 1], and mask, `mean |Φ − M|`.

    Source: Gao et al., "GRADIA", CSCW 2022.
    """
    return (saliency - masks).abs().mean()


@checked(_evidence_and_mask)
def alignment_energy(evidence: Tensor, masks: Tensor) -> Tensor:
    """Share of the contrastive evidence outside the mask, `ΣΣ|e_c|(1−M) / ΣΣ|e_c|`.

    It asks only that what separates the classes comes from inside the mask. The mean over images is
    in [0, 1]; an image without any evidence counts as 0.

    Args:
        evidence: `(N, C, h, w)`, contrastive evidence e_c (`align.saliency.contrastive_evidence`).
        masks: `(N, h, w)`.

    Source: ours; the energy of Wang et al. (Score-CAM, 2020) turned into a loss on margins.
    Book: align, eq-align-energy.
    Book: theory/what_to_align, eq-share.
    """
    size = evidence.abs().sum(1)
    outside = (size * (1 - masks)).sum((1, 2))
    return (outside / (size.sum((1, 2)) + EPSILON)).mean()


@checked(_gradients_and_mask)
def alignment_rrr(gradients: Tensor, masks: Tensor) -> Tensor:
    """Input gradients outside the mask, `Σ ((1−M) ∂/∂x Σ_c log p_c)²`, the mean over images.

    It grows with the number of pixels.

    Args:
        gradients: `(N, 3, H, W)`, of the sum of all log-probabilities by the image.
        masks: `(N, H, W)` or `(N, 1, H, W)`.

    Source: Ross et al., "Right for the right reasons", IJCAI 2017, the second term of equation 1.
    """
    outside = 1 - (masks if masks.ndim == 4 else masks[:, None])
    return (gradients * outside).square().sum((1, 2, 3)).mean()


@checked(_mixed_maps)
def attribution_consistency(mixed: Tensor, first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Same-class mixup consistency, `mean |Φ(m x + (1−m) x′) − (m Φ(x) + (1−m) Φ(x′))|`.

    Args:
        mixed: `(N, h, w)`, maps of the mixed images.
        first: `(N, h, w)`, maps of x.
        second: `(N, h, w)`, maps of x′, of the same class as x.
        share: `(N,)` in [0, 1], the share m of x.

    Source: Li et al., "Are Data-driven Explanations Robust against Out-of-distribution Data?"
    (DRE), CVPR 2023, its consistency term.
    """
    m = share[:, None, None]
    return (mixed - (m * first + (1 - m) * second)).abs().mean()


@checked(lambda saliency: check_floats("saliency", saliency, "Nhw"))
def attribution_sparsity(saliency: Tensor) -> Tensor:
    """Mean size of a map, `mean |Φ|`.

    Source: Li et al. (DRE), CVPR 2023, its sparsity term.
    """
    return saliency.abs().mean()


@checked(_mask_and_cells)
def mask_to_cells(masks: Tensor, cells: tuple[int, int] | torch.Size) -> Tensor:
    """Average masks over the cells of a feature map of the size `cells`, (h, w): `(N, h, w)`."""
    flat = masks if masks.ndim == 4 else masks[:, None]
    return torch.nn.functional.adaptive_avg_pool2d(flat, tuple(cells))[:, 0]
