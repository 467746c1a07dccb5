"""Is it the form of the alignment, or its weight? Each form over its weights, and one chosen."""

from __future__ import annotations

import math

import pandas as pd

from alignbook import estimates, plotting
from alignbook.drawing import FORM_STYLES, Drawn, absent, name_lines
from alignbook.measures import words
from alignbook.results import tested
from alignbook.tables import difference, selected

SHIFTS = {"in": "in distribution", "out": "out of distribution"}
LARGEST = "largest mean out of distribution"


def guided(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of guidance by masks, each with its form and its weight.

    Args:
        table: what `results.frame` returns of the grid "weights".
    """
    return table[table["method"] == "guided"] if len(table) else table


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Each form with the weight that does best in distribution, against plain training.

    Args:
        table: what `results.frame` returns of the grid "weights".

    Returns:
        Rows forms; columns (what, part): weight (chosen by in-distribution accuracy alone); in and
        out of distribution (paired differences in accuracy to plain training); and the largest mean
        difference out of distribution that any weight has, and at which, by which none may be
        chosen. Empty where nothing was run.
    """
    if guided(table).empty:
        return pd.DataFrame()
    rows = {}
    for form, part in guided(table).groupby("form", sort=False):
        best = selected(_by_run(part), "weight").name
        cells = {("weight", ""): best}
        for shift, head in SHIFTS.items():
            gain = _gain(table, form, best, shift)
            cells |= {(head, name): value for name, value in gain.items()}
        away = pd.Series(
            {w: _gain(table, form, w, "out")["difference"] for w in sorted(part["weight"].unique())}
        ).dropna()
        cells[LARGEST, "difference"] = away.max()
        cells["at weight", ""] = away.idxmax() if len(away) else math.nan
        rows[form] = cells
    found = pd.DataFrame.from_dict(rows, orient="index")
    found.attrs["digits"] = {"weight": -1, "at weight": -1}
    return found


def draw(table: pd.DataFrame) -> Drawn:
    """Accuracy and evidence inside out of distribution over the weight, one line a form.

    Args:
        table: what `results.frame` returns of the grid "weights".
    """
    if guided(table).empty:
        return absent("forms of alignment over their weights")
    fig, axes = plotting.figure(2, 1, size=(5.6, 6.2))
    said = []
    for ax, metric in zip(axes, ("accuracy", "evidence_inside"), strict=True):
        part, ends = tested(table, metric, "out"), {}
        for form, (color, marker, line) in FORM_STYLES.items():
            rows = guided(part).query("form == @form")
            runs = rows.groupby(["weight", "seed"])[metric].mean()
            means = runs.groupby("weight").mean()
            # A run is a small faded copy of its form's marker.
            faded = {"markersize": 4, "alpha": 0.35, "markeredgewidth": 0}
            at = runs.index.get_level_values("weight")
            ax.plot(at, runs, marker, color=color, zorder=1.5, **faded)
            ax.plot(means.index, means, color=color, marker=marker, linestyle=line, label=form)
            if len(means):
                ends[form] = (means.index[-1], means.iloc[-1], color)
            if len(means) and metric == "accuracy":
                said.append(f"{form} from {means.min():.2f} to {means.max():.2f}")
        plain = part[part["method"] == "erm"]
        if len(plain):
            level, color = plain[metric].mean(), plotting.method_style("erm").color
            ax.axhline(level, color=color, linewidth=1.5, label="ERM")
            ends["ERM"] = (part["weight"].max(), level, color)
        ax.set(xscale="log", xlabel="weight of the alignment, λ₃")
        ax.set_title(words(metric), fontsize=11)
        name_lines(ax, ends)
    alt = "Two panels of lines over the weight, one a form of alignment. Accuracy away from home: "
    return Drawn(fig, alt + "; ".join(said) + ".")


def _by_run(part: pd.DataFrame) -> pd.DataFrame:
    """One row a run with the columns weight and "accuracy in", as `tables.selected` reads them."""
    home = (
        part[part["shift"] == "in"].groupby(["weight", "seed"], as_index=False)["accuracy"].mean()
    )
    return home.rename(columns={"accuracy": "accuracy in"})


def _gain(table: pd.DataFrame, form: str, weight: float, shift: str) -> dict[str, float]:
    """The paired difference in accuracy to plain training, by part."""
    mine = (table["form"] == form) & (table["weight"] == weight) & (table["method"] == "guided")
    pair = table[mine | (table["method"] == "erm")]
    name = table.loc[mine, "label"].iloc[0]
    return difference(estimates.compare(pair, name, "ERM", shift=shift))
