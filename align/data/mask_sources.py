"""Where masks come from: truth, rules that look at nothing, and what other packages declare."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from align.checks import (
    check_bytes,
    check_choice,
    check_device,
    check_kind,
    check_number,
    check_path,
    check_seed,
)
from align.data.benchmark import Domain
from align.data.masks import BLOB
from align.files import imported, plugins
from align.interventions import derangement

GROUP = "align.masks"
"""Entry points: each a function from uint8 `(N, 3, H, W)`, and what it takes of `seed`, `weights`
and `device`, to float32 `(N, H, W)` in [0, 1]."""

BLIND = ("centre", "random")
OWN = ("true", "another", "gray", *BLIND)
PART = 256
"""Images handled at a time: bytes take a quarter of the memory that floats do."""


def sources() -> tuple[str, ...]:
    """The names of all sources."""
    return tuple(dict.fromkeys((*OWN, *plugins(GROUP))))


def mask_source(
    name: str,
    domain: Domain,
    *,
    area: float | None = None,
    seed: int = 0,
    weights: str | Path | None = None,
    device: torch.device | str | None = None,
) -> Domain:
    """Give a domain masks from a chosen source, in place of those it has.

    Args:
        name: "true", the domain's own masks; "another", each image with another one's; "gray",
            each pixel's brightness; "centre", the pixels nearest to the centre; "random", blobs in
            random places; or one declared in `GROUP`, such as the book's "grabcut", what differs
            from the image's border; "segmenter", whatever torchvision's segmentation network takes
            for an object; "sam", what Segment Anything finds at the centre.
        domain: the images. Their classes are not looked at.
        area: share of each image, in [0, 1], that "centre" and "random" mark; None marks as much
            as the true mask of that image does.
        seed: fixes "another", "random" and "grabcut".
        weights: for "segmenter" a weights file, for "sam" a folder or a name of the Hugging Face
            hub; None downloads the usual ones.
        device: where "segmenter" and "sam" run; None takes a GPU if there is one.

    Returns:
        The same domain with other masks, float32 `(N, H, W)` in [0, 1], and their source's name.

    Raises:
        ValueError: if there is no such source, the area is out of range, a source that needs
            true masks finds none, or a declared one cannot be imported.
        FileNotFoundError: if weights are neither given nor to be downloaded.
        ModuleNotFoundError: if the source needs a package that is not installed.

    Source: the paper's ablation names m-Gray and m-SAM and does not define them; brightness as the
    mask and a point at the centre as the prompt are our readings.
    """
    check_choice("the mask source", name, sources())
    check_kind("domain", domain, Domain, "a Domain")
    if area is not None:
        check_number("area", area, 0, 1)
    check_seed(seed)
    check_path("weights", weights)
    if device is not None:
        check_device(device)
    needs_truth = name in ("true", "another") or (name in BLIND and area is None)
    if needs_truth and domain.masks is None:
        remedy = ", or pass area, a share of the image" if name in BLIND else ""
        raise ValueError(
            f"mask source '{name}' needs true masks and domain '{domain.name}' has none; load the "
            f"data with masks=...{remedy}"
        )
    if name == "true":
        return domain
    if name == "another":
        check_number("the number of images", len(domain), 2, 10**9, whole=True)
        masks = domain.masks[derangement(len(domain), torch.Generator().manual_seed(seed))]
    elif name in BLIND:
        fields = _centre(domain.images) if name == "centre" else _blobs(domain.images, seed)
        masks = _highest(fields, _counts(domain, area))
    elif name == "gray":
        masks = torch.cat([brightness(part) for part in domain.images.split(PART)])
    else:
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        given = {"seed": seed, "weights": weights, "device": device}
        segment = imported(plugins(GROUP)[name], "mask source")
        takes = inspect.signature(segment).parameters
        masks = segment(domain.images, **{key: given[key] for key in given if key in takes})
    return replace(domain, masks=masks, mask_source=name)


def brightness(images: Tensor) -> Tensor:
    """How bright each pixel of uint8 `(N, 3, H, W)` is: float32 `(N, H, W)` in [0, 1].

    Source: ITU-R recommendation BT.601, `.299 R + .587 G + .114 B`.
    """
    check_bytes("images", images)
    red, green, blue = images.float().div(255).unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).clamp_(0, 1)


def _counts(domain: Domain, area: float | None) -> Tensor:
    """How many pixels to mark in each image."""
    if area is None:
        return domain.masks.flatten(1).sum(1).round().long()
    return torch.full((len(domain),), round(area * domain.images.shape[2:].numel()))


def _centre(images: Tensor) -> Iterator[Tensor]:
    """Fields that are highest at the centre, and fall with the distance as a share of the side."""
    rows, columns = ((torch.arange(n) + 0.5) / n - 0.5 for n in images.shape[2:])
    field = -(rows[:, None] ** 2 + columns**2)
    for part in images.split(PART):
        yield field.expand(len(part), -1, -1)


def _blobs(images: Tensor, seed: int) -> Iterator[Tensor]:
    """Smooth random fields, each image its own."""
    cells = (max(2, n // BLOB) for n in images.shape[2:])
    coarse = torch.rand((len(images), 1, *cells), generator=torch.Generator().manual_seed(seed))
    for part in coarse.split(PART):
        yield interpolate(part, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def _highest(fields: Iterator[Tensor], counts: Tensor) -> Tensor:
    """Mark in each image so many pixels, those at which its field is highest."""
    masks = []
    for field, count in zip(fields, counts.split(PART), strict=True):
        order = field.flatten(1).argsort(dim=1, descending=True, stable=True)
        marked = torch.arange(order.shape[1]) < count[:, None]
        masks.append(torch.zeros(order.shape).scatter(1, order, marked.float()).view_as(field))
    return torch.cat(masks)
