"""What one changed choice does: paired differences to a default, listed and drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alignbook import estimates, labels, plotting
from alignbook.campaign.grid import ablation_levels
from alignbook.campaign.statistics import Interval
from alignbook.drawing import BEHIND, Drawn, absent, not_run
from alignbook.measures import words
from alignbook.plotting import INK, MUTED, PAPER
from alignbook.results import tested
from alignbook.show import subscripted
from alignbook.tables import difference

DEFAULT = ": "
"""The row of the default, which changes no factor to no level."""

LEAST = 0.01
"""Changes smaller than this are not said to matter, however sure: one picture in a hundred."""

TITLES = ("shown to matter", "not shown to matter")

SHORT = {
    "all of the paper's": "the paper's four terms",
    ": as far as known": "",
    "first or second order": "gradient's order",
    "masker's steps a batch": "masker's steps",
    "masker's head start": "head start",
}
"""Parts of names that would take the room of the intervals, and what they are called instead."""


def named(name: str) -> str:
    """What a factor, or a row of `effects`, is called in figures and tables.

    Args:
        name: a factor, or `factor: level`.
    """
    for long, brief in SHORT.items():
        name = name.replace(long, brief)
    return subscripted(name)


Levels = Mapping[str, tuple[str, str]]
"""The factor and level of each experiment, by its key; the default has neither."""


def effects(
    table: pd.DataFrame,
    metric: str = "accuracy",
    shift: str = "out",
    levels: Levels | None = None,
) -> pd.DataFrame:
    """For each factor and level the paired difference to the default.

    Args:
        table: what `results.frame` returns of a grid.
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.
        levels: what each run changes; None takes the grid "ablations".

    Returns:
        Rows `factor: level`; columns runs, difference, low, high (NaN where there are too few
        runs). Empty if the default itself was not run.
    """
    changed = ablation_levels() if levels is None else levels
    names = {key: f"{factor}: {level}" for key, (factor, level) in changed.items()}
    part = tested(table, metric, shift)
    part = part.assign(label=part["key"].map(names)).dropna(subset="label") if len(part) else part
    if part.empty or DEFAULT not in set(part["label"]):
        return pd.DataFrame(columns=["runs", "difference", "low", "high"])
    rows = {}
    for case in dict.fromkeys(names.values()):
        if case != DEFAULT:
            found = estimates.compare(part, case, DEFAULT, metric, shift=shift)
            runs = part.loc[part["label"] == case, "seed"].nunique()
            rows[case] = {"runs": runs, **difference(found)}
    return pd.DataFrame.from_dict(rows, orient="index")


def clear(effects: pd.DataFrame) -> pd.DataFrame:
    """The rows whose interval excludes 0.

    Args:
        effects: rows with the columns low and high.
    """
    return effects[(effects["low"] > 0) | (effects["high"] < 0)]


def mattered(effects: pd.DataFrame) -> pd.DataFrame:
    """The rows that were shown to matter: clear, and by one picture in a hundred or more.

    Args:
        effects: rows with the columns difference, low and high.
    """
    told = clear(effects)
    return told[told["difference"].abs() >= LEAST]


def draw(
    table: pd.DataFrame,
    metric: str = "accuracy",
    shift: str = "out",
    levels: Levels | None = None,
) -> Drawn:
    """What one changed choice does: differences to the default, grouped by what they say.

    Above stands what was shown to matter, below what was not, both from the worst change up.

    Args:
        table: what `results.frame` returns of a grid.
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.
        levels: what each run changes; None takes the grid "ablations".
    """
    rows = effects(table, metric, shift, levels)
    if rows.empty:
        return absent("ablations")
    told = mattered(rows).sort_values("difference")
    rest = rows.drop(index=told.index).sort_values("difference")
    groups = [(title, part) for title, part in zip(TITLES, (told, rest), strict=True) if len(part)]
    heights = [len(part) for _, part in groups]
    size = (4.8, 1.6 + 0.24 * sum(heights))
    fig, axes = plotting.figure(
        len(groups), 1, size=size, squeeze=False, sharex=True, height_ratios=heights
    )
    # The widest intervals go on beyond the edge, so that the others can be read; no dot does.
    wide = np.nanquantile(rows[["low", "high"]].abs().max(axis=1), 0.9)
    edge = 1.2 * max(LEAST, wide, rows["difference"].abs().max())
    for ax, (title, part) in zip(axes[:, 0], groups, strict=True):
        _rows(ax, part, edge, title == TITLES[0])
        ax.set_title(title, fontsize=11)
    fig.supxlabel(f"change in {words(metric)}\n(arrow: the interval goes on)", fontsize=11)
    return Drawn(fig, _words(rows, metric))


def _rows(ax: Axes, part: pd.DataFrame, edge: float, filled: bool) -> None:
    """A dot and an interval a row; an arrow where the interval leaves the picture."""
    color, face = ("#0066cc", "#0066cc") if filled else (MUTED, PAPER)
    drawn = []
    for row, effect in enumerate(part.itertuples()):
        if np.isnan(effect.difference):
            not_run(ax, row)
            continue
        ax.hlines(row, effect.low, effect.high, color=color)
        found = Interval(effect.difference, effect.low, effect.high)
        drawn.append(labels.Point(found, Interval(row, row, row), color))
        ax.plot(effect.difference, row, "o", color=color, markerfacecolor=face)
    ax.axvline(0, color=INK, linewidth=1, zorder=BEHIND)
    names = [named(name) for name in part.index]
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    ax.set_xlim(-edge, edge)
    ax.tick_params(axis="y", labelsize=10)
    ax.grid(axis="y", visible=False)
    labels.arrows(ax, drawn)


def _words(rows: pd.DataFrame, metric: str) -> str:
    told = mattered(rows)
    listed = "; ".join(f"{named(e.Index)} {e.difference:+.3f}" for e in told.itertuples())
    return (
        f"A row for each changed choice, with the change in {words(metric)} against the "
        f"default. {(rows['runs'] > 0).sum()} of {len(rows)} were run; {len(told)} were shown to "
        f"matter" + (f": {listed}." if listed else ".")
    )
