"""One look for every figure: readable by all eyes, on a phone, on a light and on a dark page.

A method keeps its colour, marker and line everywhere, so no figure depends on colour alone.
"""

from __future__ import annotations

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
