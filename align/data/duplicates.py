"""Pictures that show the same scene: near-duplicates would leak through a random split.

Caltech101's people are 435 photographs, each there twice: whole (Faces) and cut to the face
(Faces_easy). Copies of VLCS do not keep the names that say so, so it is seen from the pixels.
"""

from __future__ import annotations

import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from align.checks import check_bytes

SIDE = 24
"""Pixels of a thumbnail; the shares below were found on Caltech101's faces at this size."""

SHARES = tuple((w, h) for w in (0.5, 0.55, 0.6) for h in (0.85, 0.9, 0.95, 1.0)) + ((0.9, 0.9),)
"""The shares of a picture's width and height that a cut-out of it may have."""

BEST, ALWAYS = 0.85, 0.96
"""Correlations from which a picture joins the one most like it, and any other."""


def near_duplicates(images: Tensor) -> Tensor:
    """Group pictures of which one is, or nearly is, a cut-out of another.

    Thumbnails in grey are laid over each other at every place and at a few shares of the size; a
    picture joins the one with which it correlates best if that is at least `BEST`, and all with
    which it correlates by `ALWAYS`. On Caltech101's people at 224 px this finds 99 % of the pairs.

    Args:
        images: uint8 `(N, 3, H, W)`.

    Returns:
        int64 `(N,)`, the number of each picture's group; a picture unlike all others is a group of
        its own. Costs N² comparisons: about 5 s on one core for 870 pictures.
    """
    check_bytes("images", images)
    if len(images) < 2:
        return torch.zeros(len(images), dtype=torch.int64)
    whole = _thumbnails(images, SIDE, SIDE)
    score = torch.full((len(images), len(images)), -1.0)
    for width, height in SHARES:
        part = _thumbnails(images, round(SIDE * width), round(SIDE * height))
        score = torch.maximum(score, _correlation(whole, part))
    score.fill_diagonal_(-1)
    best, partner = score.max(0)
    linked = score >= ALWAYS
    joins = (best >= BEST).nonzero()[:, 0]
    linked[partner[joins], joins] = True
    rows, columns = linked.nonzero().T.numpy()
    graph = coo_array(([1] * len(rows), (rows, columns)), shape=score.shape)
    return torch.from_numpy(connected_components(graph, directed=False)[1]).long()


def _thumbnails(images: Tensor, width: int, height: int) -> Tensor:
    """Grey `(N, height, width)`, in pieces: the float copy of all images would be large."""
    size = (height, width)
    pieces = [
        interpolate(part.float().mean(1, keepdim=True), size, mode="bilinear", antialias=True)
        for part in images.split(64)
    ]
    return torch.cat(pieces)[:, 0]


def _correlation(whole: Tensor, part: Tensor) -> Tensor:
    """`(N, M)`: the largest correlation of each part with any window of each whole."""
    window = torch.ones(1, 1, *part.shape[1:])
    count = window.numel()
    part = part - part.mean((1, 2), keepdim=True)
    whole = (whole - whole.mean((1, 2), keepdim=True))[:, None]
    spread = conv2d(whole.square(), window) - conv2d(whole, window).square() / count
    # A window, or a part, without any structure correlates with nothing.
    part = part / part.flatten(1).norm(dim=1).clamp_min(1.0)[:, None, None]
    return (conv2d(whole, part[:, None]) * spread.clamp_min(1.0).rsqrt()).amax((2, 3))
