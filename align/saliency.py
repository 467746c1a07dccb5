"""Where a classifier looks: Grad-CAM from one forward pass, contrastive evidence, input gradients.

For a pooled linear head, logit `z_c = Σ_cells Σ_k W_ck A_k(cell) / (hw) + b_c`. Grad-CAM weights
channel k by the mean gradient `∂z_c/∂A_k = W_ck / (hw)`, so its map is one product of the head's
weights with the feature map that the forward pass made anyway: no second pass, no hook, and
gradients to every parameter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from align.checks import check_classes, check_flag, check_floats, check_shares, check_size

EPSILON = 1e-8
"""Added to a map's range before dividing, so that a constant map becomes zeros, never NaN."""


def grad_cam(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    normalize: str | None = "minmax",
    relu: bool = False,
    upsample: bool = False,
    create_graph: bool = False,
) -> Tensor:
    """Grad-CAM maps of some images for some classes.

    Args:
        classifier: a module with `features` and `head`, such as `align.Classifier`. A head that is
            average pooling and one linear layer (`classifier.linear`) takes the closed form, any
            other head the general path through `torch.autograd.grad`.
        images: float32 `(N, 3, H, W)` in [0, 1].
        labels: int64 `(N,)`, the class each map explains.
        normalize: "minmax" maps each map onto [0, 1], "max" divides by its maximum, None leaves
            the evidence as it is.
        relu: keep positive evidence only, before normalising (the original Grad-CAM).
        upsample: resize bilinearly to `(N, H, W)`.
        create_graph: keep the graph, so that a loss on the map trains the classifier.

    Returns:
        float32 `(N, h, w)`, or `(N, H, W)` when upsampled; detached unless `create_graph`.

    Raises:
        ValueError: if labels or options are out of range.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2.
    """
    if not hasattr(classifier, "features"):
        raise ValueError(
            f"the classifier is of type {type(classifier).__name__}, expected a module with "
            "`features` and `head`, such as align.Classifier"
        )
    sizes = check_floats("images", images, "N3HW", {"3": 3})
    if sizes["N"] == 0:
        raise ValueError("there are 0 images, expected at least 1")
    for name, flag in (("relu", relu), ("upsample", upsample), ("create_graph", create_graph)):
        check_flag(name, flag)
    check_shares("image values", images)
    if images.is_cpu and not images.isfinite().all():
        raise ValueError("images hold values that are not finite, expected all in [0, 1]")
    check_classes("labels", labels, sizes)
    with torch.set_grad_enabled(create_graph):
        features = classifier.features(images)
        if isinstance(getattr(classifier, "linear", None), nn.Linear):
            evidence = class_evidence(features, classifier.linear.weight, labels)
        else:
            evidence = evidence_by_gradient(classifier.head, features, labels, create_graph)
        size = images.shape[2:] if upsample else None
        return finish(evidence, normalize=normalize, relu=relu, size=size)


def class_evidence(features: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Grad-CAM before normalisation for a pooled linear head, `Σ_k W_yk A_k / (hw)`.

    Args:
        features: `(N, K, h, w)`, the feature map A.
        weight: `(C, K)`, the head's weights W.
        labels: int64 `(N,)`, the class y of each map.

    Returns:
        `(N, h, w)`; its sum over cells plus the bias is the logit `z_y`.

    Book: saliency, eq-saliency-closed.
    """
    _check_maps(features, weight, labels)
    cells = features.shape[2] * features.shape[3]
    return torch.einsum("nk,nkhw->nhw", weight[labels] / cells, features)


def contrastive_evidence(features: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """What each cell adds to the margin of the true class over each class, `e_c`.

    Args:
        features: `(N, K, h, w)`, the feature map A.
        weight: `(C, K)`, the head's weights W.
        labels: int64 `(N,)`, the true class y of each image.

    Returns:
        `(N, C, h, w)`: `e_c = (W_y − W_c) · A / (hw)`; its sum over cells is `z_y − z_c` up to
        the biases, and `e_y` is 0.

    Book: saliency, eq-saliency-contrast.
    """
    _check_maps(features, weight, labels)
    cells = features.shape[2] * features.shape[3]
    maps = conv2d(features, (weight / cells)[:, :, None, None])
    return maps.gather(1, labels[:, None, None, None].expand_as(maps[:, :1])) - maps


def evidence_by_gradient(
    head: nn.Module, features: Tensor, labels: Tensor, create_graph: bool = False
) -> Tensor:
    """Grad-CAM before normalisation for any head, through the gradient at the feature map.

    Args:
        head: callable from `(N, K, h, w)` to logits `(N, C)`.
        features: `(N, K, h, w)`; need not require gradients.
        labels: int64 `(N,)`.
        create_graph: keep the graph of the gradient itself (second order).

    Returns:
        `(N, h, w)`: `Σ_k (mean over cells of ∂z_y/∂A_k) A_k`.

    Book: saliency, eq-saliency-gradcam.
    Book: beyond/other_attributions, eq-attr-contrast.
    """
    sizes = check_floats("features", features, "NKhw")
    check_flag("create_graph", create_graph)
    if not callable(head):
        raise ValueError(
            f"the head is of type {type(head).__name__}, expected a function from features to "
            "logits"
        )
    with torch.enable_grad():
        leaf = features if features.requires_grad else features.detach().requires_grad_()
        logits = head(leaf)
        sizes = check_floats("the head's output", logits, "NC", sizes)
        check_classes("labels", labels, sizes)
        chosen = logits.gather(1, labels[:, None]).sum()
        (gradient,) = torch.autograd.grad(
            chosen, leaf, create_graph=create_graph, retain_graph=True
        )
        evidence = torch.einsum("nk,nkhw->nhw", gradient.mean((2, 3)), leaf)
    return evidence if create_graph else evidence.detach()


def input_gradient(outputs: Tensor, images: Tensor, create_graph: bool = False) -> Tensor:
    """The gradient of the sum of some outputs by the image, from their own forward pass.

    Args:
        outputs: of any shape, computed from the images.
        images: `(N, 3, H, W)`, requiring gradients.
        create_graph: keep the graph of the gradient itself (second order).

    Returns:
        `(N, 3, H, W)`; detached unless `create_graph`. The outputs' own graph stays for use.

    Raises:
        ValueError: if the images have another shape, or there is no graph between the two.
    """
    check_floats("images", images, "N3HW", {"3": 3})
    check_flag("create_graph", create_graph)
    if not isinstance(outputs, Tensor) or not outputs.requires_grad or not images.requires_grad:
        raise ValueError(
            "outputs or images carry no graph, expected images with requires_grad and outputs "
            "computed from them"
        )
    (gradient,) = torch.autograd.grad(
        outputs.sum(), images, create_graph=create_graph, retain_graph=True
    )
    return gradient


def finish(
    evidence: Tensor,
    *,
    normalize: str | None = "minmax",
    relu: bool = False,
    size: tuple[int, int] | torch.Size | None = None,
) -> Tensor:
    """Rectify, resize and normalise evidence maps.

    Args:
        evidence: `(N, h, w)`.
        normalize: "minmax", "max" or None, as in `grad_cam`.
        relu: keep positive evidence only.
        size: `(H, W)` to resize to before normalising, or None.

    Returns:
        `(N, h, w)` or `(N, H, W)`.

    Raises:
        ValueError: if `normalize` is none of the three.
    """
    if normalize is not None and (
        not isinstance(normalize, str) or normalize not in ("minmax", "max")
    ):
        given = repr(normalize) if isinstance(normalize, str) else type(normalize).__name__
        raise ValueError(f"normalize is {given}, expected 'minmax', 'max' or None")
    check_floats("evidence", evidence, "Nhw")
    check_flag("relu", relu)
    if relu:
        evidence = evidence.clamp_min(0)
    if size is not None:
        check_size("size", size)
        evidence = interpolate(
            evidence[:, None], tuple(size), mode="bilinear", align_corners=False
        )[:, 0]
    if normalize == "minmax":
        low, high = evidence.amin((1, 2), keepdim=True), evidence.amax((1, 2), keepdim=True)
        return (evidence - low) / (high - low + EPSILON)
    if normalize == "max":
        return evidence / (evidence.amax((1, 2), keepdim=True).clamp_min(0) + EPSILON)
    return evidence


def _check_maps(features: Tensor, weight: Tensor, labels: Tensor) -> None:
    sizes = check_floats("weight", weight, "CK", check_floats("features", features, "NKhw"))
    check_classes("labels", labels, sizes)
