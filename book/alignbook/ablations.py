"""What one changed choice does to ALIGN: paired differences to its default, listed and drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from align.benchmark.grid import ablation_levels
from alignbook import estimates, plotting
from alignbook.drawing import Drawn, absent, not_run
from alignbook.measures import words
from alignbook.plotting import INK, MUTED, PAPER
from alignbook.results import tested
from alignbook.tables import difference

DEFAULT = ": "
"""The row of the default, which changes no factor to no level."""


def effects(table: pd.DataFrame, metric: str = "accuracy", shift: str = "out") -> pd.DataFrame:
    """For each factor and level the paired difference to ALIGN's default.

    Args:
        table: what `results.frame` returns of the grid "ablations".
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.

    Returns:
        Rows `factor: level`; columns runs, difference, low, high (NaN where there are too few
        runs). Empty if the default itself was not run.
    """
    levels = {key: f"{factor}: {level}" for key, (factor, level) in ablation_levels().items()}
    part = tested(table, metric, shift)
    part = part.assign(label=part["key"].map(levels)).dropna(subset="label") if len(part) else part
    if part.empty or DEFAULT not in set(part["label"]):
        return pd.DataFrame(columns=["runs", "difference", "low", "high"])
    rows = {}
    for case in dict.fromkeys(levels.values()):
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


def draw(table: pd.DataFrame, metric: str = "accuracy", shift: str = "out") -> Drawn:
    """What one changed choice does to ALIGN: paired differences to its default, with intervals.

    Args:
        table: what `results.frame` returns of the grid "ablations".
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.
    """
    rows = effects(table, metric, shift)
    if rows.empty:
        return absent("ablations")
    fig, ax = plotting.figure(size=(5.6, 0.9 + 0.27 * len(rows)))
    told = set(clear(rows).index)
    for row, effect in enumerate(rows.itertuples()):
        if np.isnan(effect.difference):
            not_run(ax, row)
            continue
        color, face = ("#0066cc", "#0066cc") if effect.Index in told else (MUTED, PAPER)
        ax.hlines(row, effect.low, effect.high, color=color)
        ax.plot(effect.difference, row, "o", color=color, markerfacecolor=face)
    ax.axvline(0, color=INK, linewidth=1)
    names = list(rows.index)
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    ax.set_xlabel(f"change in {words(metric)}")
    ax.grid(axis="y", visible=False)
    return Drawn(fig, _words(rows, metric))


def _words(rows: pd.DataFrame, metric: str) -> str:
    told = clear(rows)
    listed = "; ".join(f"{e.Index} {e.difference:+.3f}" for e in told.itertuples())
    return (
        f"A row for each changed choice, with the change in {words(metric)} against ALIGN's "
        f"default. {(rows['runs'] > 0).sum()} of {len(rows)} were run; the 95 % intervals of "
        f"{len(told)} exclude zero" + (f": {listed}." if listed else ".")
    )
