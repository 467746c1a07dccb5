"""One look for every figure: readable by all eyes, on a phone, on a light and on a dark page.

A method keeps its colour, marker and line everywhere, so no figure depends on colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from align import methods

INK = "#1f2328"  # text and axes
MUTED = "#57606a"  # secondary text
PAPER = "#ffffff"  # the card a figure stands on, also on a dark page
HEAT = "magma"  # saliency: lightness alone already orders it

OVERSHOOT = 0.1
"""How far values may lie outside of their range, as a share of it."""

Size = tuple[float, float]


@dataclass(frozen=True)
class MethodStyle:
    """How one method is drawn.

    Args:
        label: its name in legends and tables.
        color: `#rrggbb`.
        marker: a matplotlib marker.
        linestyle: a matplotlib line style.
    """

    label: str
    color: str
    marker: str
    linestyle: Any

    def kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments of `Axes.plot`."""
        return {
            "label": self.label,
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.linestyle,
        }


# Found by search: the least CIE76 distance between any two is 24, also as seen with protanopia,
# deuteranopia and tritanopia, and each stands out from white paper by 3:1 or more.
LOOKS: dict[str, tuple[str, str, Any]] = {
    "erm": ("#4d4d4d", "o", "-"),
    "mixup": ("#a5875a", "s", (0, (5, 2))),
    "irm": ("#692d0f", "^", (0, (1, 1.5))),
    "groupdro": ("#5a0f78", "v", (0, (4, 1.5, 1, 1.5))),
    "sgt": ("#d269a5", "P", (0, (7, 2))),
    "dre": ("#9600ff", "X", (0, (3, 1.5))),
    "cgc": ("#2d00a5", "h", (0, (6, 1.5, 1, 1.5, 1, 1.5))),
    "guided": ("#d55e00", "D", (0, (3, 1, 1, 1))),
    "align": ("#0066cc", "*", "-"),
}
"""Colour, marker and line of each method of the library."""

OTHERS = ("#000000", "p<>H8", (0, (2, 1)))
"""Colour, markers to choose from and line of a method that has no look of its own."""


class _Styles(dict[str, MethodStyle]):
    """The styles of the library's methods, and one for any other name, so that none is missing."""

    def __missing__(self, name: str) -> MethodStyle:
        label = methods.METHODS[name].label if name in methods.METHODS else name
        color, markers, line = OTHERS
        return MethodStyle(label, color, markers[sum(map(ord, name)) % len(markers)], line)


METHODS = _Styles(
    {name: MethodStyle(methods.METHODS[name].label, *look) for name, look in LOOKS.items()}
)


def use_style() -> None:
    """Set matplotlib's defaults to the book's style, for this process."""
    mpl.rcParams.update(
        {
            "figure.figsize": (5.6, 3.6),
            "figure.dpi": 130,
            "figure.facecolor": PAPER,
            "figure.constrained_layout.use": True,
            "savefig.facecolor": PAPER,
            "axes.facecolor": PAPER,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "axes.titlesize": 12,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.prop_cycle": mpl.cycler(color=[style.color for style in _by_contrast()]),
            "grid.color": "#e3e6ea",
            "grid.linewidth": 0.8,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "font.size": 12,
            "legend.frameon": False,
            "legend.fontsize": 11,
            "lines.linewidth": 2,
            "lines.markersize": 6.5,
            "image.cmap": HEAT,
            "image.interpolation": "nearest",
        }
    )


def method_style(name: str) -> MethodStyle:
    """Return how the method `name` is drawn.

    Args:
        name: its name in configurations and records; one that is not of the library is its own
            label.

    Returns:
        Its style.
    """
    return METHODS[name]


def figure(rows: int = 1, columns: int = 1, *, size: Size | None = None, **options: Any) -> Any:
    """Make a figure in the book's style that a notebook shows once, where it is named.

    Args:
        rows: rows of axes.
        columns: columns of axes.
        size: width and height in inches; at 5.6 wide the text is readable on a phone.
        **options: passed to `matplotlib.pyplot.subplots`.

    Returns:
        `(figure, axes)`, as `matplotlib.pyplot.subplots` does.
    """
    use_style()
    fig, axes = plt.subplots(rows, columns, figsize=size, **options)
    # Out of pyplot's hands: otherwise the notebook would show it a second time.
    plt.close(fig)
    return fig, axes


def image_grid(
    images: ArrayLike,
    titles: Sequence[str] | None = None,
    *,
    masks: ArrayLike | None = None,
    saliency: ArrayLike | None = None,
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
    if titles is not None and len(titles) != count:
        raise ValueError(f"{len(titles)} titles for {count} images, expected one title an image")
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    side = width / columns
    line = 0.26 if titles is not None else 0.0
    fig, axes = figure(rows, columns, size=(width, rows * (side + line)), squeeze=False)
    for index, ax in enumerate(axes.flat):
        ax.set_axis_off()
        if index >= count:
            continue
        picture = pictures[index]
        ax.imshow(picture if saliency_ is None else blend(picture, saliency_[index]))
        if masks_ is not None:
            _outline(ax, masks_[index], picture.shape[:2])
        if titles is not None:
            ax.set_title(titles[index], fontsize=11, loc="center", pad=3)
    return fig


def overlay(image: ArrayLike, heat: ArrayLike, *, title: str = "", width: float = 3.2) -> Figure:
    """Show one image with a saliency map laid over it, and the scale beside it.

    Args:
        image: `(3, H, W)` or `(H, W, 3)`; values and kinds as for `image_grid`.
        heat: `(h, w)` of any range.
        title: one line, or nothing.
        width: the figure's width in inches.

    Returns:
        The figure.

    Raises:
        ValueError: if `image` or `heat` has another shape.
    """
    picture = _pictures(as_array(image)[None])[0]
    fig, ax = figure(size=(width, width))
    ax.imshow(blend(picture, heat))
    ax.set_axis_off()
    ax.set_title(title)
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), HEAT)
    bar = fig.colorbar(scale, ax=ax, fraction=0.046, ticks=[0, 1])
    bar.ax.set_yticklabels(["least", "most"])
    bar.outline.set_visible(False)
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


def with_interval(
    ax: Axes,
    x: ArrayLike,
    mean: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    method: str | None = None,
    label: str | None = None,
    **options: Any,
) -> Figure:
    """Draw a curve with its interval as a band.

    Args:
        ax: where to draw.
        x: `(n,)` positions.
        mean: `(n,)` the curve.
        low: `(n,)` the interval's lower ends.
        high: `(n,)` the interval's upper ends.
        method: a name of `METHODS`, for its colour, marker and line; or None.
        label: what the legend calls the curve; None keeps the method's own label.
        **options: passed to `Axes.plot`.

    Returns:
        The figure that `ax` belongs to.

    Raises:
        ValueError: if lengths differ or an interval does not hold its mean.
    """
    x_, mean_, low_, high_ = (as_array(v).astype(np.float64) for v in (x, mean, low, high))
    if not x_.shape == mean_.shape == low_.shape == high_.shape or x_.ndim != 1:
        raise ValueError(
            f"x, mean, low and high have shapes {x_.shape}, {mean_.shape}, {low_.shape}, "
            f"{high_.shape}, expected one and the same (n,)"
        )
    if (low_ > mean_).any() or (high_ < mean_).any():
        raise ValueError("low or high crosses the mean, expected low <= mean <= high everywhere")
    style = method_style(method).kwargs() if method is not None else {"marker": "o"}
    if label is not None:
        style["label"] = label
    (line,) = ax.plot(x_, mean_, **(style | options))
    ax.fill_between(x_, low_, high_, color=line.get_color(), alpha=0.18, linewidth=0)
    return ax.get_figure()


def as_array(values: ArrayLike) -> NDArray:
    """An array of a tensor that may have a graph, be in half precision, or on another device.

    Args:
        values: a tensor, an array, or what numpy takes for one.

    Returns:
        An array; it may share memory with what was given.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        return values.numpy()
    return np.asarray(values)


def _by_contrast() -> list[MethodStyle]:
    first = [METHODS[name] for name in ("align", "guided", "erm")]
    return first + [style for style in METHODS.values() if style not in first]


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
