"""What figures from records share: rows of dots, names of metrics, and words for what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.typing import ColorType

from alignbook import estimates, labels, plotting
from alignbook.campaign.statistics import Interval
from alignbook.plotting import INK, MUTED, PAPER
from alignbook.show import NOT_RUN

FORM_STYLES: dict[str, tuple[str, str, str]] = {
    "energy": (plotting.METHODS["guided"].color, "D", "-"),
    "BCE": ("#9a4498", "d", ":"),  # as far from every method's colour as these are from each other
    "L1": ("#a5875a", "s", "--"),
    "input gradient": ("#5a0f78", "^", "--"),
}
"""Colour, marker and line of guidance by true masks in each form of alignment."""


NO_LOOK = "#8c959f"
"""Colour of what has not looked at the object: masks of brightness, a disc, blobs at random."""

ROWS: dict[str, tuple[str | None, str]] = {
    "both": (None, "X"),
    "missed, 50% leaked": (None, "X"),
    "missed": (None, "<"),
    "leaked": (None, ">"),
    "brightness": (NO_LOOK, "8"),
    "centre": (NO_LOOK, "p"),
    "disc": (NO_LOOK, "p"),
    "random": (NO_LOOK, "s"),
    "GrabCut": (None, "P"),
    **{form: FORM_STYLES[form][:2] for form in ("BCE", "L1", "input gradient")},
    "the paper's terms": (None, "x"),
    "boxes, swap": (None, "v"),
    "segmenter's masks, swap": (None, "h"),
    "energy at ALIGN's masks": (None, "s"),
}
"""Colour and marker of rows of one method that differ in a word; None is the method's colour."""


def look(label: str, method: str) -> tuple[str, str]:
    """Colour and marker of a row, so that no two rows of a figure share both.

    Args:
        label: its name in tables.
        method: its method.
    """
    style = plotting.method_style(method)
    color, marker = next((v for word, v in ROWS.items() if word in label), (None, style.marker))
    return color or style.color, marker


BEHIND = 0.9
"""Where lines lie that marks are read against: over the grid, and behind marks and intervals."""


def half_width(marker: str, size: float) -> float:
    """How far a marker reaches to either side of its middle, in points.

    Args:
        marker: a matplotlib marker.
        size: its size in points, as `Axes.plot` takes it.
    """
    style = MarkerStyle(marker)
    return size * style.get_path().transformed(style.get_transform()).get_extents().width / 2


def text_on(color: ColorType) -> str:
    """Black or white, whichever is easier to read on a colour: the contrast is 4.5 at least.

    Args:
        color: what is written on.
    """
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    # At this luminance both have the same contrast, by WCAG's formula.
    return "black" if linear @ [0.2126, 0.7152, 0.0722] > 0.179 else "white"


@dataclass(frozen=True)
class Drawn:
    """A figure and what it shows, in words.

    Args:
        figure: the figure.
        alt: its text alternative, with the numbers that matter.
    """

    figure: Figure
    alt: str

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        """What a notebook shows: the picture, and its alt text where Jupyter looks for it."""
        with BytesIO() as png:
            self.figure.savefig(png, format="png", dpi="figure", bbox_inches="tight")
            return png.getvalue(), {"alt": self.alt}


def absent(what: str) -> Drawn:
    """A figure that says that its runs were not made here.

    Args:
        what: what it would show.
    """
    fig, ax = plotting.figure(size=(5.6, 1.4))
    ax.set_axis_off()
    ax.text(0.5, 0.5, f"{what}:\n{NOT_RUN}", ha="center", va="center", color=MUTED)
    return Drawn(fig, f"An empty figure: {what}, {NOT_RUN}.")


def ends(table: pd.DataFrame, metric: str) -> str:
    """Which label has the highest mean of a metric and which the lowest, as a sentence.

    Args:
        table: rows with a column label.
        metric: a column.
    """
    means = table.groupby("label")[metric].mean()
    if means.max() == means.min():
        return f"All means are {means.max():.3f}."
    return (
        f"On average the highest is {means.idxmax()} with {means.max():.3f}, the lowest "
        f"{means.idxmin()} with {means.min():.3f}."
    )


def dots(
    ax: Axes, table: pd.DataFrame, metric: str, names: Sequence[str], *, cut: bool = False
) -> None:
    """One row a label: its mean over seeds with its 95 % interval, or a word that it was not run.

    Args:
        ax: where it is drawn.
        table: rows with the columns label, method and seed.
        metric: a column.
        names: labels, from top to bottom.
        cut: whether the axis ends a little beyond the means; an interval that goes on ends in an
            arrow.
    """
    drawn = []
    for row, name in enumerate(names):
        part = table[table["label"] == name]
        if part.empty:
            not_run(ax, row)
            continue
        values = part.groupby("seed")[metric].mean()
        if found := estimates.mean(values, metric):
            color, marker = look(name, part["method"].iloc[0])
            estimate(ax, row, found, color, marker)
            drawn.append(labels.Point(found, Interval(row, row, row), color))
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    ax.grid(axis="y", visible=False)
    if cut and drawn:
        _end_at_means(ax, [point.across for point in drawn])
        labels.arrows(ax, drawn)


def _end_at_means(ax: Axes, drawn: Sequence[Interval]) -> None:
    """Limits that hold every mean, and of the intervals what lies near: a fourth of the extent."""
    low, high = min(one.mean for one in drawn), max(one.mean for one in drawn)
    extent = high - low or 0.05
    bars = [one for one in drawn if one.low < one.high]  # one seed alone has none
    left = min([low, *(max(one.low, low - extent / 4) for one in bars)])
    right = max([high, *(min(one.high, high + extent / 4) for one in bars)])
    ax.set_xlim(left - extent / 20, right + extent / 20)


def gains(ax: Axes, table: pd.DataFrame, names: Sequence[str], shift: str) -> dict[str, str]:
    """One row a label: its accuracy against plain training's, paired, with its 95 % interval.

    Args:
        ax: where it is drawn.
        table: rows with the columns of `results.frame`, ERM's among them.
        names: labels, from top to bottom.
        shift: tests "in" or "out" of distribution.

    Returns:
        Each label with its difference, in words.
    """
    said = {}
    methods = table.drop_duplicates("label").set_index("label")["method"]
    for row, name in enumerate(names):
        gain = estimates.compare(table, name, "ERM", shift=shift)
        if gain is None:
            not_run(ax, row)
            said[name] = f"{name} {NOT_RUN}"
            continue
        estimate(ax, row, gain, *look(name, methods[name]))
        said[name] = f"{name} {gain.mean:+.3f}"
    ax.axvline(0, color=INK, linewidth=1, zorder=BEHIND)
    ax.locator_params(axis="x", nbins=5)
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    ax.grid(axis="y", visible=False)
    return said


def pairs(ax: Axes, names: Sequence[str], values: dict[str, Sequence[float]]) -> None:
    """Two values in each row, joined by a line; the first row's are named, which names all.

    Args:
        ax: where to draw; the first row stands on top.
        names: `(n,)` what stands beside the rows.
        values: under its name, `(n,)` values, of two kinds: hollow circles, then blue diamonds.
    """
    rows = np.arange(len(names))
    ax.hlines(rows, *values.values(), color="#c5cad1", zorder=1)
    # The diamond is the smaller one: where both meet, it stands within the circle.
    looks = (("o", "#4d4d4d", 120, "white", 11), ("D", "#0066cc", 40, "#0066cc", -20))
    for (kind, of), (marker, edge, area, face, shift) in zip(values.items(), looks, strict=True):
        at = np.asarray(of)
        look = {"marker": marker, "s": area, "edgecolor": edge, "facecolor": face}
        ax.scatter(at, rows, linewidth=2, zorder=2, **look)
        # One above and one below: they may meet.
        place = {"xytext": (0, shift), "textcoords": "offset points", "ha": "center"}
        ax.annotate(kind, (at[0], 0), color=edge, **place)
    ax.set(yticks=rows, yticklabels=list(names), ylim=(len(rows) - 0.5, -0.8))


def name_lines(ax: Axes, ends: dict[str, tuple[float, float, str]], apart: float = 0.085) -> None:
    """Write each line's name beside its last point; names that would touch are moved apart.

    A name is broken after a comma, so that the figure stays as wide as a phone can show.

    Args:
        ax: where the lines are drawn, with its final limits.
        ends: for each name the last point of its line and its colour.
        apart: least distance of two lines of text, as a share of the axes' height.
    """
    low, high = ax.get_ylim()
    order = sorted(ends, key=lambda name: ends[name][1])
    texts = [name.replace(", ", ",\n").replace(" (", "\n(") for name in order]
    heights = [apart * (1 + text.count("\n")) for text in texts]
    places = [(ends[name][1] - low) / (high - low) for name in order]
    for _ in range(200):
        for i in range(1, len(places)):
            close = (heights[i] + heights[i - 1]) / 2 - (places[i] - places[i - 1])
            if close > 0:
                places[i - 1] -= close / 2
                places[i] += close / 2
        places = [min(max(place, 0.0), 1.0) for place in places]
    for name, text, place in zip(order, texts, places, strict=True):
        x, y, color = ends[name]
        ax.annotate(
            text,
            (x, y),
            xytext=(1.06, place),
            textcoords="axes fraction",
            va="center",
            color=color,
            fontsize=10.5,
            linespacing=1.0,
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.6,
                "relpos": (0, 0.5),  # a leader ends before its name, and runs through none
                "shrinkA": 1,
                "shrinkB": 3,
            },
            annotation_clip=False,
        )


def named_marks(ax: Axes, points: pd.DataFrame, columns: tuple[str, str], far: float) -> None:
    """Marks that fall together, and once their names: four points beside them.

    Args:
        ax: where they are drawn.
        points: a row a label; columns method and both of `columns`.
        columns: what is drawn across and what upwards.
        far: from here on the names stand on the left, for want of room.
    """
    across, up = (points[column] for column in columns)
    wide = 0.0
    for name, method in points["method"].items():
        color, marker = look(name, method)
        ax.plot(across[name], up[name], marker, color=color, markersize=10)
        wide = max(wide, half_width(marker, 10))
    left = across.mean() >= far
    at = (across.min() if left else across.max(), up.mean())
    shift = (-wide - 4 if left else wide + 4, 0)
    place = {"textcoords": "offset points", "ha": "right" if left else "left", "va": "center"}
    ax.annotate(", ".join(points.index), at, shift, fontsize=10, **place)


def row_of(ax: Axes) -> object:
    """Across in shares of the axes, down in rows."""
    return ax.get_yaxis_transform()


def not_run(ax: Axes, row: float) -> None:
    """A word in place of a mean that there is none of."""
    ax.text(0.02, row, NOT_RUN, color=MUTED, va="center", transform=row_of(ax), fontsize=9)


def estimate(ax: Axes, row: float, found: Interval, color: str, marker: str) -> None:
    """A mean and, where there is one, its interval."""
    if found.low < found.high:
        ax.hlines(row, found.low, found.high, color=color, linewidth=2)
    thin = marker in "+x|"  # made of lines alone: an edge in the paper's colour would hide them
    ax.plot(
        found.mean,
        row,
        marker,
        color=color,
        markeredgecolor=color if thin else PAPER,
        markersize=12 if marker == "*" else 8,
    )
