"""Where a classifier looks: Grad-CAM from one forward pass, contrastive evidence, input gradients.

For a pooled linear head, logit `z_c = Σ_cells Σ_k W_ck A_k(cell) / (hw) + b_c`. Grad-CAM weights
channel k by the mean gradient `∂z_c/∂A_k = W_ck / (hw)`, so its map is one product of the head's
weights with the feature map that the forward pass made anyway: no second pass, no hook, and
gradients to every parameter.

Throughout, `features` are a feature map A, `(N, K, h, w)`, `weight` the weights W of a head,
`(C, K)`, and `labels` int64 `(N,)`, the class y of each map. Half precision is worked on in single.
What is not as described raises a ValueError.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from align.checks import check_classes, check_flag, check_floats, check_shares, check_size, checked
from align.networks.models import evaluation_mode, pooled_linear, suited


def _check_maps(features: Tensor, weight: Tensor, labels: Tensor) -> None:
    sizes = check_floats("weight", weight, "CK", check_floats("features", features, "NKhw"))
    check_classes("labels", labels, sizes)


def _check_graph(outputs: Tensor, images: Tensor, create_graph: bool = False) -> None:
    check_floats("images", images, "N3HW", {"3": 3})
    check_flag("create_graph", create_graph)
    if not isinstance(outputs, Tensor) or not outputs.requires_grad or not images.requires_grad:
        raise ValueError(
            "outputs or images carry no graph, expected images with requires_grad and outputs "
            "computed from them"
        )


def _check_finish(
    evidence: Tensor, *, normalize: str | None = "minmax", relu: bool = False, size: Any = None
) -> None:
    named = isinstance(normalize, str) and normalize in ("minmax", "max")
    if normalize is not None and not named:
        given = repr(normalize) if isinstance(normalize, str) else type(normalize).__name__
        raise ValueError(f"normalize is {given}, expected 'minmax', 'max' or None")
    check_floats("evidence", evidence, "Nhw")
    check_flag("relu", relu)
    if size is not None:
        check_size("size", size)


@checked(lambda maps: check_floats("maps", maps, "Nhw"))
def minmax(maps: Tensor) -> Tensor:
    """Shift and scale each map onto [0, 1]; a constant map becomes zeros.

    A map counts as constant where its range is within rounding of its values. This is the one rule
    of scale for saliency maps and masks; `(N, h, w)` keep their dtype.
    """
    precise = maps if maps.dtype == torch.float64 else maps.float()
    low, high = precise.amin((1, 2), keepdim=True), precise.amax((1, 2), keepdim=True)
    # A quarter first: the range of the largest numbers is still a number.
    span = high / 4 - low / 4
    noise = torch.finfo(precise.dtype).eps * torch.maximum(high.abs(), low.abs())
    flat = span <= noise
    scaled = (precise / 4 - low / 4) / torch.where(flat, torch.ones_like(span), span)
    return torch.where(flat, torch.zeros_like(scaled), scaled).to(maps.dtype)


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
        classifier: a module with `features` and `head`, such as `align.Classifier`. A head that
            computes average pooling and one linear layer takes the closed form, any other head the
            general path through `torch.autograd.grad`. Without `create_graph` it is read in
            evaluation mode; it is given back as it was.
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
        ValueError: if labels or options are out of range, or a gradient is needed and
            `torch.inference_mode` forbids it.

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
    reading = nullcontext() if create_graph else evaluation_mode(classifier)
    with reading, torch.set_grad_enabled(create_graph):
        features = classifier.features(suited(images, classifier))
        weight = pooled_linear(classifier, features)
        if weight is None:
            evidence = evidence_by_gradient(classifier.head, features, labels, create_graph)
        else:
            evidence = class_evidence(features, weight, labels)
        size = images.shape[2:] if upsample else None
        return finish(evidence, normalize=normalize, relu=relu, size=size)


@checked(_check_maps)
def class_evidence(features: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Grad-CAM before normalisation for a pooled linear head, `Σ_k W_yk A_k / (hw)`, `(N, h, w)`.

    Its sum over cells plus the bias is the logit `z_y`.

    Book: saliency, eq-saliency-closed.
    """
    features, weight = _precise(features), _precise(weight)
    cells = features.shape[2] * features.shape[3]
    return torch.einsum("nk,nkhw->nhw", weight[labels] / cells, features)


@checked(_check_maps)
def minmax_maps(features: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Grad-CAM on [0, 1], `(N, h, w)`: `minmax` of `class_evidence`, whose arguments it has."""
    return minmax.unchecked(class_evidence.unchecked(features, weight, labels))


@checked(_check_maps)
def contrastive_evidence(features: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """What each cell adds to the margin of the true class over each class, `(N, C, h, w)`.

    `e_c = (W_y − W_c) · A / (hw)`; its sum over cells is `z_y − z_c` up to the biases, and
    `e_y` is 0.

    Book: saliency, eq-saliency-contrast.
    """
    features, weight = _precise(features), _precise(weight)
    cells = features.shape[2] * features.shape[3]
    maps = conv2d(features, (weight / cells)[:, :, None, None])
    return maps.gather(1, labels[:, None, None, None].expand_as(maps[:, :1])) - maps


def evidence_by_gradient(
    head: nn.Module, features: Tensor, labels: Tensor, create_graph: bool = False
) -> Tensor:
    """Grad-CAM before normalisation for any head, through the gradient at the feature map.

    `Σ_k (mean over cells of ∂z_y/∂A_k) A_k`, `(N, h, w)`. The `head` takes features to logits
    `(N, C)`; the features need not require gradients. `create_graph` keeps the graph of the
    gradient itself (second order).

    Book: saliency, eq-saliency-gradcam.
    Book: beyond/other_maps_and_networks, eq-attr-contrast.
    """
    sizes = check_floats("features", features, "NKhw")
    check_flag("create_graph", create_graph)
    if not callable(head):
        raise ValueError(
            f"the head is of type {type(head).__name__}, expected a function from features to "
            "logits"
        )
    if torch.is_inference_mode_enabled():
        raise ValueError(
            "this head needs a gradient and torch.inference_mode allows none; call grad_cam "
            "outside of it, under torch.no_grad() at most"
        )
    with torch.enable_grad():
        leaf = features if features.requires_grad else features.detach().clone().requires_grad_()
        logits = head(leaf.clone())  # a head may work in place
        sizes = check_floats("the head's output", logits, "NC", sizes)
        check_classes("labels", labels, sizes)
        chosen = logits.gather(1, labels[:, None]).sum()
        # In half precision a gradient by a cell can be too small for a number: scaled by the cells.
        scale = 1 if leaf.dtype in (torch.float32, torch.float64) else leaf[0, 0].numel()
        (gradient,) = torch.autograd.grad(
            chosen * scale, leaf, create_graph=create_graph, retain_graph=True
        )
        weights = _precise(gradient).mean((2, 3)) / scale
        evidence = torch.einsum("nk,nkhw->nhw", weights, _precise(leaf))
    return evidence if create_graph else evidence.detach()


@checked(_check_graph)
def input_gradient(outputs: Tensor, images: Tensor, create_graph: bool = False) -> Tensor:
    """The gradient of the sum of some outputs by the image, from their own forward pass.

    The outputs are computed from the images `(N, 3, H, W)`, which require gradients; the outputs'
    graph stays for use. `create_graph` keeps that of the gradient itself too (second order).
    """
    (gradient,) = torch.autograd.grad(
        outputs.sum(), images, create_graph=create_graph, retain_graph=True
    )
    return gradient


@checked(_check_finish)
def finish(
    evidence: Tensor,
    *,
    normalize: str | None = "minmax",
    relu: bool = False,
    size: tuple[int, int] | torch.Size | None = None,
) -> Tensor:
    """Rectify, resize and normalise evidence maps `(N, h, w)`, as `grad_cam` does.

    `size`, where given, is the `(H, W)` to resize to before normalising.
    """
    if relu:
        evidence = evidence.clamp_min(0)
    if size is not None:
        evidence = interpolate(
            evidence[:, None], tuple(size), mode="bilinear", align_corners=False
        )[:, 0]
    if normalize == "minmax":
        return minmax.unchecked(evidence)
    if normalize == "max":
        top = evidence.amax((1, 2), keepdim=True)
        return torch.where(top > 0, evidence / torch.where(top > 0, top, 1), evidence.clamp_max(0))
    return evidence


def _precise(values: Tensor) -> Tensor:
    """Half precision as single: shares of cells and sums over them need its digits."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
