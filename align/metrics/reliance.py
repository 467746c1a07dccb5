"""What does the answer hang on? The object is kept and the background replaced, and the reverse.

A map says where a classifier's evidence lies; it does not say what the answer does when the rest of
the picture changes. Here the rest is changed. Every picture j has a partner π(j), drawn without a
look at any label, and

    s_j = object of x_j on the background of x_π(j)

shares its object with one picture and its background with another, so one forward pass answers two
questions: how far f(s_j) is from f(x_j), to the *background*, and how far it is from f(x_π(j)), to
the *object*. With three ways to measure how far,

    logits       sqrt( Σ_j |z(s_j) − z(·)|² / Σ_j |z(x_π(j)) − z(x_j)|² ),
                 z being the logits less their mean over the classes
    probability  mean_j ½ Σ_k |p_k(s_j) − p_k(·)|,  the total variation
    decisions    share of j with argmax z(s_j) ≠ argmax z(·)

a classifier that looks at the object alone has reliance 0 and object reliance 1 in logits, one that
looks at the background alone 1 and 0; scaling its logits changes neither, and by the triangle
inequality the two sum to 1 at least: no classifier relies on neither. Where object and background
add up in the logits and are independent, the squares are their shares of the variance, as in
Sobol's indices.

Source: the definitions are ours. Sobol, "Sensitivity estimates for nonlinear mathematical models",
1993; replaced backgrounds as a test: Xiao et al., "Noise or signal: the role of image backgrounds
in object recognition", ICLR 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from align.checks import (
    check_floats,
    check_images,
    check_number,
    check_seed,
    check_shape,
    check_shares,
)
from align.interventions import derangement
from align.metrics.accuracy import check_finite, forward
from align.metrics.inputs import as_float, images_at_once
from align.networks.models import Model, device_of, inference

CUT = 0.5
"""A pixel is the object's where the mask is this large or larger."""

CELLS = 8
"""Into so many cells a side a picture is averaged to fill the place of its object."""

FAINT = 1e-3
"""Weight of each coarser level of that average: it decides only where a finer one is empty."""


def reliance(
    classifier: Model,
    images: Tensor,
    masks: Tensor,
    *,
    truth: Tensor | None = None,
    logits: Tensor | None = None,
    seed: int = 0,
    batch_size: int | None = None,
) -> dict[str, float]:
    """How far the answers move when the background is replaced, and when the object is.

    There are 2 images at least. `masks`, drawn by people, boxes, or predicted, are cut at `CUT`. A
    mask that marks too much keeps some of the background: with boxes the reliance is that on what
    lies outside of the box. `truth`, the true masks where `masks` are not, says for one more
    forward pass how much the masks' own errors can matter; the classifier's `logits` `(N, C)` for
    these images, if they are there, save a pass. `seed` fixes partners and control masks.

    Returns:
        Numbers by name, each name followed by `_logits`, `_probability` and `_decisions`; those of
        the logits are left out for a classifier that gives all images the same.

        - `reliance`: object kept, background replaced;
        - `object_reliance`: background kept, object replaced;
        - `control_reliance`: as `reliance`, but what is kept is the mask mirrored and rolled to a
          random place: a region of the same area and shape that knows nothing of the object;
        - with `truth`, `mask_error`: how far the answers to pictures pasted along `masks` are from
          those along the true ones. `reliance` and `object_reliance` differ by no more than this
          from what the true masks would give.
    """
    check_images(images, bytes_too=True)
    sizes = dict(zip("NHW", (len(images), *images.shape[2:]), strict=True))
    for name, value in {"masks": masks, "truth": truth}.items():
        if value is not None or name == "masks":
            check_floats(name, value, "NHW", sizes)
            check_shares(name, value)
    if logits is not None:
        check_floats("logits", logits, "NC", sizes)
    pairs = _Pairs(images, masks, truth, seed)
    answers = _answers(classifier, pairs, logits, batch_size)
    own, pasted = answers["own"], answers["pasted"]
    partner = own[pairs.follow.to(own.device)]
    result = _moved("reliance", pasted, own, own, partner)
    result |= _moved("object_reliance", pasted, partner, own, partner)
    result |= _moved("control_reliance", answers["control"], own, own, partner)
    if truth is not None:
        result |= _moved("mask_error", pasted, answers["truth"], own, partner)
    return result


def partners(count: int, seed: int = 0) -> Tensor:
    """For each of 2 or more pictures another one, int64 `(count,)`: one random cycle of all."""
    check_number("the number of images", count, 2, 10**9, whole=True)
    check_seed(seed)
    # The way round in which the recorded runs went: each is followed by its partner.
    return derangement(count, torch.Generator().manual_seed(seed)).argsort()


def background(images: Tensor, objects: Tensor) -> Tensor:
    """Pictures without their objects: each object's place filled with what is around it.

    The filling is the average of the background over cells of an eighth of the picture, over
    larger ones where a cell shows no background, drawn smoothly over the object and one pixel more.

    Args:
        images: float `(N, 3, H, W)`.
        objects: bool `(N, H, W)`, True on the object.

    Returns:
        float `(N, 3, H, W)`, the images themselves off the object.
    """
    sizes = check_floats("images", images, "N3HW", {"3": 3})
    check_shape("objects", objects, "NHW", sizes, torch.bool)
    removed = _widened(objects)[:, None]
    shown = (~removed).to(images.dtype)
    down, across = (_averages(side).to(images) for side in images.shape[2:])
    cells = torch.cat([down @ part @ across.T for part in (images * shown, shown)], 1)
    total = cells
    for level, count in enumerate((4, 2, 1), start=1):
        coarser = F.adaptive_avg_pool2d(cells, count)
        total = total + FAINT**level * F.interpolate(coarser, cells.shape[2:])
    # A picture that is all object has no background; its own mean stands for it.
    mean = (down @ images @ across.T).mean((2, 3), keepdim=True)
    filling = torch.where(total[:, 3:] > 0, total[:, :3] / total[:, 3:], mean)
    below, right = (_drawn(side).to(images) for side in images.shape[2:])
    return torch.where(removed, below @ filling @ right.T, images)


@lru_cache(maxsize=8)
def _averages(side: int) -> Tensor:
    """The averages over `CELLS` cells of a side as a matrix, `(cells, side)`."""
    line = torch.eye(side)[None]
    return F.adaptive_avg_pool1d(line, min(CELLS, side))[0].T.contiguous()


@lru_cache(maxsize=8)
def _drawn(side: int) -> Tensor:
    """Linear interpolation from the cells back to the side as a matrix, `(side, cells)`."""
    line = torch.eye(min(CELLS, side))[None]
    return F.interpolate(line, side, mode="linear", align_corners=False)[0].T.contiguous()


def _widened(objects: Tensor) -> Tensor:
    """Each object and one pixel more, bool `(N, H, W)`."""
    wide = objects.clone()
    wide[:, 1:] |= objects[:, :-1]
    wide[:, :-1] |= objects[:, 1:]
    wider = wide.clone()
    wider[:, :, 1:] |= wide[:, :, :-1]
    wider[:, :, :-1] |= wide[:, :, 1:]
    return wider


def elsewhere(objects: Tensor, seed: int = 0) -> Tensor:
    """Each object, bool `(N, H, W)`, mirrored and rolled round the picture's edges at random.

    As many pixels and the same shape, in a place that knows nothing of what the picture shows.
    """
    check_shape("objects", objects, "NHW", dtype=torch.bool)
    check_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    height, width = objects.shape[1:]
    down = torch.randint(height, (len(objects),), generator=generator).tolist()
    right = torch.randint(width, (len(objects),), generator=generator).tolist()
    offsets = zip(down, right, strict=True)
    moved = [one.roll(by, (0, 1)) for one, by in zip(objects.flip(2), offsets, strict=True)]
    return torch.stack(moved) if moved else objects.clone()


class _Pairs:
    """Pictures with their partners, pasted together a batch at a time."""

    def __init__(self, images: Tensor, masks: Tensor, truth: Tensor | None, seed: int) -> None:
        self.images, self.follow = images, partners(len(images), seed).to(images.device)
        self.objects = (masks >= CUT).to(images.device)
        self.truth = None if truth is None else (truth >= CUT).to(images.device)
        self.elsewhere = elsewhere(self.objects, seed)

    def pictures(self, rows: slice, device: torch.device) -> Iterator[tuple[str, Tensor]]:
        """What a classifier is shown of some rows, by what it is called."""
        own = as_float(self.images[rows].to(device))
        follow = self.follow[rows]
        other = as_float(self.images.index_select(0, follow).to(device))

        def paste(kept: Tensor, behind: Tensor) -> Tensor:
            return torch.where(kept[rows, None].to(device), own, behind)

        behind = background(other, self.objects[follow].to(device))
        yield "own", own
        yield "pasted", paste(self.objects, behind)
        yield "control", paste(self.elsewhere, behind)
        if self.truth is not None:
            yield "truth", paste(self.truth, background(other, self.truth[follow].to(device)))


def _answers(
    classifier: Model, pairs: _Pairs, logits: Tensor | None, batch_size: int | None
) -> dict[str, Tensor]:
    """The logits `(N, C)`, in double precision and less their mean, of every kind of picture."""
    found: dict[str, list[Tensor]] = {}
    images = pairs.images
    at_once = images_at_once(batch_size, device_of(classifier, images.device))
    with inference(classifier, images.device) as device:
        for start in range(0, len(images), at_once):
            rows = slice(start, start + at_once)
            for name, pictures in pairs.pictures(rows, device):
                known = name == "own" and logits is not None
                answers = logits[rows] if known else forward(classifier, pictures)
                found.setdefault(name, []).append(answers.to(images.device))
    answers = {name: torch.cat(parts).double() for name, parts in found.items()}
    for values in answers.values():
        check_finite(values)
    return {name: values - values.mean(1, keepdim=True) for name, values in answers.items()}


def _moved(
    name: str, first: Tensor, second: Tensor, own: Tensor, partner: Tensor
) -> dict[str, float]:
    """How far apart two sets of logits are, in each of the three ways."""
    result = {}
    if (whole := (partner - own).square().sum().item()) > 0:
        share = (first - second).square().sum().item() / whole
        result[f"{name}_logits"] = math.sqrt(share)
    apart = (first.softmax(1) - second.softmax(1)).abs().sum(1) / 2
    result[f"{name}_probability"] = apart.mean().item()
    changed = first.argmax(1) != second.argmax(1)
    result[f"{name}_decisions"] = changed.double().mean().item()
    return result
