"""Pictures with what is laid over them: a map, the outline of a mask, a mask that dims the rest.

`place` draws one picture, `image_grid` many; whatever is laid over is stretched to the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from alignbook.plotting import HEAT, as_array, figure

OVERSHOOT = 0.1
"""How far values may lie outside of their range, as a share of it."""

DIM = 0.12
"""How light a picture stays where a mask removes it, as a share of its own lightness."""


def place(
    ax: Axes,
    image: ArrayLike,
    *,
    heat: ArrayLike | None = None,
    keep: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    title: str | None = None,
) -> None:
    """Draw one picture on `ax`, without ticks, with what is laid over it.

    Args:
        ax: where to draw.
        image: `(3, H, W)` or `(H, W, 3)`; values and kinds as for `image_grid`.
        heat: `(h, w)` of any range, laid over as colours; or None.
        keep: `(h, w)` in [0, 1], or None; the picture is dimmed where it is small.
        mask: `(h, w)` in [0, 1], or None; outlined at one half.
        title: what stands above it, in the middle; or None.

    Raises:
        ValueError: if shapes do not fit, or the image holds other values.
    """
    picture = _pictures(as_array(image)[None])[0]
    if keep is not None:
        kept = _stretch(_matching("keep", as_array(keep)[None], 1)[0], picture.shape[:2])
        picture = picture * (DIM + (1 - DIM) * kept[..., None])
    ax.imshow(picture if heat is None else blend(picture, heat))
    if mask is not None:
        _outline(ax, _matching("mask", as_array(mask)[None], 1)[0], picture.shape[:2])
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    if title is not None:
        ax.set_title(title, fontsize=11, loc="center", pad=3)


def image_grid(
    images: ArrayLike,
    titles: Sequence[str] | None = None,
    *,
    masks: ArrayLike | None = None,
    saliency: ArrayLike | None = None,
    keep: ArrayLike | None = None,
    columns: int = 6,
    width: float = 5.6,
) -> Figure:
    """Show images side by side, with their masks outlined and their saliency laid over.

    Args:
        images: `(N, 3, H, W)`, whole numbers in 0-255, or floats in [0, 1] or in 0-255; tensors, on
            any device and with or without a graph, or arrays.
        titles: one line an image, or None.
        masks: `(N, H, W)` in [0, 1] or None; outlined at one half.
        saliency: `(N, h, w)` of any range, or None; stretched to the image.
        keep: `(N, h, w)` in [0, 1] or None; an image is dimmed where it is small.
        columns: images a row at most.
        width: the figure's width in inches.

    Returns:
        The figure.

    Raises:
        ValueError: if shapes do not fit together, or the images hold other values.
    """
    pictures = _pictures(images)
    count = len(pictures)
    masks_ = _matching("masks", masks, count)
    saliency_ = _matching("saliency", saliency, count)
    keep_ = _matching("keep", keep, count)
    if titles is not None and len(titles) != count:
        raise ValueError(f"{len(titles)} titles for {count} images, expected one title an image")
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    side = width / columns
    line = 0.26 if titles is not None else 0.0
    fig, axes = figure(rows, columns, size=(width, rows * (side + line)), squeeze=False)
    for index, ax in enumerate(axes.flat):
        ax.set_axis_off()
        if index < count:
            place(
                ax,
                pictures[index],
                heat=_at(saliency_, index),
                keep=_at(keep_, index),
                mask=_at(masks_, index),
                title=_at(titles, index),
            )
    return fig


def outline_cells(
    ax: Axes, cells: ArrayLike, *, color: str = "#0a8f8f", width: float = 2.5
) -> None:
    """Draw a line along the edges of some cells of a map that `imshow` has drawn cell by cell.

    Args:
        ax: where the map stands, a cell a unit.
        cells: `(h, w)` booleans, or 0 and 1; the line stands around those that are true.
        color: the line's.
        width: the line's, in points.
    """
    fine = 16  # points a cell: a contour through the cells' middles would cut their corners
    ringed = np.pad(as_array(cells).astype(float), 1)
    down, across = ((np.arange(side * fine) + 0.5) / fine - 1.5 for side in ringed.shape)
    stretched = np.kron(ringed, np.ones((fine, fine)))
    limits = ax.axis()
    ax.contour(across, down, stretched, levels=[0.5], colors=color, linewidths=width)
    ax.axis(limits)


def blend(image: ArrayLike, heat: ArrayLike, *, strength: float = 0.6) -> NDArray[np.float64]:
    """Mix an image with the colours of a map.

    Args:
        image: `(H, W, 3)` or `(3, H, W)`; values and kinds as for `image_grid`.
        heat: `(h, w)` of any range; its least value becomes dark, its greatest light. A constant
            map is drawn dark.
        strength: share of the map's colour, 0 to 1.

    Returns:
        `(H, W, 3)` in [0, 1].

    Raises:
        ValueError: if `heat` is not a finite `(h, w)` map.
    """
    picture = _pictures(as_array(image)[None])[0]
    values = as_array(heat).astype(np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"heat has shape {values.shape}, expected (h, w) of finite numbers")
    values = values - values.min()
    values = values / values.max() if values.max() > 0 else values
    stretched = _stretch(values, picture.shape[:2])
    colours = mpl.colormaps[HEAT](stretched)[..., :3]
    grey = picture.mean(axis=-1, keepdims=True)
    return np.clip((1 - strength) * grey + strength * colours, 0, 1)


def _pictures(images: ArrayLike) -> NDArray[np.float64]:
    pixels = as_array(images)
    if pixels.ndim == 4 and pixels.shape[1] == 3 and pixels.shape[-1] != 3:
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim != 4 or pixels.shape[-1] != 3:
        raise ValueError(f"images have shape {pixels.shape}, expected (N, 3, H, W) or (N, H, W, 3)")
    if pixels.dtype == bool:
        return pixels.astype(np.float64)
    whole = np.issubdtype(pixels.dtype, np.integer)
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    # Interpolation overshoots [0, 1] by a little, normalised images reach 3, bytes reach further.
    scale = 255.0 if whole or high > 8 else 1.0
    if not (-OVERSHOOT * scale <= low and high <= scale * (1 + OVERSHOOT)):
        raise ValueError(
            f"images hold values from {low:.3g} to {high:.3g}, expected 0 to 1 or 0 to 255; undo "
            "their normalisation first"
        )
    return np.clip(pixels.astype(np.float64) / scale, 0, 1)


def _matching(name: str, maps: ArrayLike | None, count: int) -> NDArray[np.float64] | None:
    if maps is None:
        return None
    values = as_array(maps).astype(np.float64)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 3 or len(values) != count:
        raise ValueError(f"{name} have shape {values.shape}, expected ({count}, H, W)")
    return values


def _at(values: Any, index: int) -> Any:
    return None if values is None else values[index]


def _stretch(values: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Resize a map by linear interpolation between cell centres."""
    for axis, length in enumerate(shape):
        old = values.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * old / length - 0.5, 0, old - 1)
        below = np.floor(at).astype(int)
        above = np.minimum(below + 1, old - 1)
        share = (at - below).reshape((-1, 1) if axis == 0 else (1, -1))
        values = (1 - share) * values.take(below, axis) + share * values.take(above, axis)
    return values


def _outline(ax: Axes, mask: NDArray[np.float64], shape: tuple[int, int]) -> None:
    if not mask.min() < 0.5 < mask.max():
        return
    inside = _stretch(mask, shape)
    # A light line within a dark one shows on any picture.
    ax.contour(inside, levels=[0.5], colors="#111111", linewidths=2.6)
    ax.contour(inside, levels=[0.5], colors="#ffffff", linewidths=1.1)
