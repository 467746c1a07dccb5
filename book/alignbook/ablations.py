"""What one changed choice does to ALIGN: paired differences to its default, listed and drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from align.benchmark.grid import ablation_levels
from align.benchmark.statistics import Interval, paired
from alignbook import plotting, tables
from alignbook.drawing import NAMES, Drawn, absent, not_run
from alignbook.plotting import INK, MUTED, PAPER
from alignbook.published import NOT_RUN

DEFAULT = ": "
"""The row of the default, which changes no factor to no level."""


def effects(recorded: list[dict], metric: str = "accuracy", shift: str = "out") -> pd.DataFrame:
    """For each factor and level the paired difference to ALIGN's default over seeds.

    Args:
        recorded: records of the grid "ablations".
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.

    Returns:
        Rows `factor: level`; columns runs, mean, low, high (NaN where there are too few runs),
        clear (whether the interval excludes 0) and text, as the book's tables write a difference.
        Empty if the default itself was not run.
    """
    table = tables.tested(recorded, metric, shift)
    if table.empty:
        return pd.DataFrame()
    levels = {key: f"{factor}: {level}" for key, (factor, level) in ablation_levels().items()}
    table = table[table["key"].isin(levels)]
    values = table.groupby([table["key"].map(levels), "seed"])[metric].mean().unstack()
    if DEFAULT not in values.index:
        return pd.DataFrame()
    rows = {}
    for case in dict.fromkeys(levels.values()):
        if case != DEFAULT:
            pair = values.reindex([case, DEFAULT]).dropna(axis=1).to_numpy()
            rows[case] = _effect(*pair)
    return pd.DataFrame.from_dict(rows, orient="index")


def _effect(changed: NDArray[np.float64], default: NDArray[np.float64]) -> dict[str, object]:
    """The row of a level, from both sides' values over the seeds that both have."""
    gain, text = Interval(float("nan"), float("nan"), float("nan")), NOT_RUN
    if len(changed) > 1:
        gain = paired(changed.tolist(), default.tolist())
        text = gain.marked()
    elif len(changed) == 1:
        gain = gain._replace(mean=float(changed[0] - default[0]))
        text = f"{gain.mean:+.3f}"
    return {"runs": len(changed), **gain._asdict(), "clear": gain.excludes_zero, "text": text}


def draw(recorded: list[dict], metric: str = "accuracy", shift: str = "out") -> Drawn:
    """What one changed choice does to ALIGN: paired differences to its default, with intervals.

    Args:
        recorded: records of the grid "ablations".
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.
    """
    rows = effects(recorded, metric, shift)
    if rows.empty:
        return absent("ablations")
    fig, ax = plotting.figure(size=(5.6, 0.9 + 0.27 * len(rows)))
    for row, effect in enumerate(rows.itertuples()):
        if np.isnan(effect.mean):
            not_run(ax, row)
            continue
        color, face = ("#0066cc", "#0066cc") if effect.clear else (MUTED, PAPER)
        if not np.isnan(effect.low):
            ax.hlines(row, effect.low, effect.high, color=color)
        ax.plot(effect.mean, row, "o", color=color, markerfacecolor=face)
    ax.axvline(0, color=INK, linewidth=1)
    names = list(rows.index)
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    ax.set_xlabel(f"change in {NAMES.get(metric, metric)}")
    ax.grid(axis="y", visible=False)
    return Drawn(fig, _words(rows, metric))


def _words(rows: pd.DataFrame, metric: str) -> str:
    clear = rows[rows["clear"]]
    listed = "; ".join(f"{e.Index} {e.mean:+.3f}" for e in clear.itertuples())
    return (
        f"A row for each changed choice, with the change in {NAMES.get(metric, metric)} against "
        f"ALIGN's default. {(rows['runs'] > 0).sum()} of {len(rows)} were run; the 95 % "
        f"intervals of {len(clear)} exclude zero" + (f": {listed}." if listed else ".")
    )
