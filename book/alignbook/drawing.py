"""What figures from records share: rows of dots, names of metrics, and words for what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from align.benchmark.statistics import Interval
from alignbook import estimates, plotting
from alignbook.plotting import MUTED, PAPER
from alignbook.show import NOT_RUN

FORM_STYLES: dict[str, tuple[str, str, str]] = {
    "energy": (plotting.METHODS["guided"].color, "D", "-"),
    "BCE": (plotting.METHODS["guided"].color, "d", ":"),
    "L1": ("#a5875a", "s", "--"),
    "input gradient": ("#5a0f78", "^", "--"),
}
"""Colour, marker and line of guidance by true masks in each form of alignment."""


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


def dots(ax: Axes, table: pd.DataFrame, metric: str, names: Sequence[str]) -> None:
    """One row a label: its mean over seeds with its 95 % interval, or a word that it was not run.

    Args:
        ax: where it is drawn.
        table: rows with the columns label, method and seed.
        metric: a column.
        names: labels, from top to bottom.
    """
    for row, name in enumerate(names):
        part = table[table["label"] == name]
        if part.empty:
            not_run(ax, row)
            continue
        style = plotting.method_style(part["method"].iloc[0])
        values = part.groupby("seed")[metric].mean()
        if found := estimates.mean(values, metric):
            estimate(ax, row, found, style.color, style.marker)
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    ax.grid(axis="y", visible=False)


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
