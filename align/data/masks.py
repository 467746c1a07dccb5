"""Masks as truth, drawn by people, and masks as noise: true ones spoilt to a known degree."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from align.checks import check_floats, check_number, check_seed, check_shares

from .benchmark import Domain
from .layouts import PathLike, locate
from .listing import contents
from .trees import Options, Reader, mask_of, masks_by_name

BLOB = 8
"""A random field has one free value every so many pixels."""


def load_weizmann(root: PathLike | None = None, **options) -> Domain:
    """Load the Weizmann horses: 327 photographs of a horse, each with its outline drawn by hand.

    Args:
        root: the folder that holds `masks/weizmann_horse/`, or that folder itself; None means
            `$ALIGN_DATA`.
        **options: `size`, `mask_threshold`, `on_error`, `cache`, `progress` as for `load_folder`;
            with `on_error="skip"` a warning names what is left out.

    Returns:
        The domain "weizmann_horse" with masks; every label is 0, "horse".

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: as for `load_folder`.

    Source: Borenstein and Ullman, "Class-specific, top-down segmentation", ECCV 2002.
    """
    return _load("weizmann_horse", "horse", "Borenstein and Ullman, ECCV 2002", root, options)


def load_pennfudan(root: PathLike | None = None, **options) -> Domain:
    """Load the Penn-Fudan pedestrians: 170 street scenes with masks of the people in them.

    They lie in `masks/pennfudan_person/`. A stored mask numbers the people 1..n; here a pixel is 1
    on anybody. The domain "pennfudan_person" has the label 0, "person"; else as `load_weizmann`.

    Source: Wang, Shi, Song and Shen, "Object detection combining recognition and segmentation",
    ACCV 2007.
    """
    return _load("pennfudan_person", "person", "Wang et al., ACCV 2007", root, options)


def corrupt(masks: Tensor, missed: float, leaked: float, seed: int = 0) -> Tensor:
    """Spoil true masks: hide a share of each object and mark a share of each background.

    Both are taken in blobs that differ from image to image: the pixels where a smooth random field
    is highest.

    Args:
        masks: float32 `(N, H, W)` in [0, 1]; the object is where a mask is at least 0.5.
        missed: share of the object's pixels hidden, in [0, 1].
        leaked: share of the background's pixels marked, in [0, 1].
        seed: fixes the fields. Under one seed a larger share hides (marks) all that a smaller one
            does, and more.

    Returns:
        float32 `(N, H, W)`, zeros and ones; with both shares 0 the true masks, cut at 0.5.

    Raises:
        ValueError: if the masks have another shape, or a share is not in [0, 1].
    """
    check_floats("masks", masks, "NHW")
    check_shares("mask values", masks)
    check_number("missed", missed, 0, 1)
    check_number("leaked", leaked, 0, 1)
    check_seed(seed)
    size = tuple(masks.shape[1:])
    cells = (len(masks), 2, *(max(2, side // BLOB) for side in size))
    coarse = torch.rand(cells, generator=torch.Generator().manual_seed(seed))
    fields = interpolate(coarse, size, mode="bilinear", align_corners=False)
    hiding, marking = fields.unbind(1)
    inside = masks >= 0.5
    kept = inside & ~_highest(hiding, inside, missed)
    return (kept | _highest(marking, ~inside, leaked)).to(masks.dtype)


def _highest(field: Tensor, where: Tensor, share: float) -> Tensor:
    """Mark, in each image, the `share` of the pixels of `where` at which the field is highest."""
    flat = field.masked_fill(~where, -1).flatten(1)
    rank = flat.argsort(1, descending=True).argsort(1)
    wanted = (where.flatten(1).sum(1, keepdim=True) * share).round()
    return (rank < wanted).view_as(where)


def _load(name: str, kind: str, by: str, root: PathLike | None, options: dict) -> Domain:
    """Read DIR/images/NAME.jpg and DIR/masks/NAME.png."""
    chosen = Options(**options)
    place = f"{{root}}/masks/{name}"
    remedy = f"place it by hand as {place}/images/*.jpg and {place}/masks/*.png ({by})"
    base = locate([f"masks/{name}"], root, remedy, ("images",))
    files = contents(base / "images").images
    if not files:
        raise FileNotFoundError(f"no images in {base / 'images'}; {remedy.format(root='DIR')}")
    found = masks_by_name(contents(base / "masks").images)
    masks = [mask_of(file, found) for file in files]
    if bare := masks.count(None):
        raise ValueError(
            f"{bare} of {len(files)} images in {base} have no mask, the first is "
            f"images/{files[masks.index(None)]}; the copy is incomplete, get it again"
        )
    pairs = [(f"images/{file}", 0) for file in files]
    mask_files = [f"masks/{mask}" for mask in masks]
    reader = Reader(base, chosen)
    make = reader.read(name, pairs, (kind,), base, mask_files)
    for sentence in reader.missing:  # a domain, unlike a benchmark, has no list of what is missing
        warnings.warn(sentence, RuntimeWarning, stacklevel=3)
    return replace(make(), mask_source="people")
