"""Is it the form of the alignment, or its weight? Each form over its weights, and one chosen."""

from __future__ import annotations

import pandas as pd

from align.benchmark.statistics import Interval
from alignbook import plotting, tables
from alignbook.drawing import FORM_STYLES, NAMES, Drawn, absent
from alignbook.published import NOT_RUN


def by_weight(recorded: list[dict]) -> pd.DataFrame:
    """The rows of `tables.runs` of guidance, with its form and its weight.

    Args:
        recorded: records of the grid "weights".

    Returns:
        Further columns form (as in `tables.FORMS`) and weight (λ3). Empty where nothing was run.
    """
    parts = [
        tables.runs([one]).assign(form=_form(one), weight=one["config"]["lambda3"])
        for one in recorded
        if one["config"]["method"] == "guided"
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def chosen(recorded: list[dict]) -> pd.DataFrame:
    """Each form with the weight that does best in distribution, against plain training.

    Args:
        recorded: records of the grid "weights".

    Returns:
        Rows forms; columns weight (chosen by in-distribution accuracy alone), in and out (paired
        differences in accuracy to plain training, as `tables.differences` writes them), and any
        weight (the largest mean difference out of distribution that any weight has, which may not
        be chosen by). Empty where nothing was run.
    """
    table = by_weight(recorded)
    if table.empty:
        return table
    baseline = [one for one in recorded if one["config"]["method"] == "erm"]
    rows = {}
    for form, part in table.groupby("form", sort=False):
        best = tables.selected(_by_run(part), "weight").name
        pairs = {
            weight: [*baseline, *(one for one in recorded if _has(one, form, weight))]
            for weight in sorted(part["weight"].unique())
        }
        away = {weight: _gain(pair, "out") for weight, pair in pairs.items()}
        home = _gain(pairs[best], "in")
        rows[form] = {
            "weight": best,
            "in": home.marked() if home else NOT_RUN,
            "out": away[best].marked() if away[best] else NOT_RUN,
            "any weight": _largest(away),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def draw(recorded: list[dict]) -> Drawn:
    """Accuracy and evidence inside out of distribution over the weight, one line a form.

    Args:
        recorded: records of the grid "weights".
    """
    table = by_weight(recorded)
    if table.empty:
        return absent("forms of alignment over their weights")
    plain = [one for one in recorded if one["config"]["method"] == "erm"]
    fig, axes = plotting.figure(1, 2, size=(7.0, 3.8))
    words = []
    for ax, metric in zip(axes, ("accuracy", "evidence_inside"), strict=True):
        part = table[table["shift"] == "out"]
        for form, (color, marker, line) in FORM_STYLES.items():
            runs = part[part["form"] == form].groupby(["weight", "seed"])[metric].mean()
            means = runs.groupby("weight").mean()
            ax.plot(runs.index.get_level_values("weight"), runs, ".", color=color, alpha=0.4)
            ax.plot(means.index, means, color=color, marker=marker, linestyle=line, label=form)
            if len(means) and metric == "accuracy":
                words.append(f"{form} from {means.min():.2f} to {means.max():.2f}")
        erm = tables.tested(plain, metric, "out")
        if len(erm):
            style = plotting.METHODS["erm"]
            ax.axhline(erm[metric].mean(), color=style.color, linewidth=1.5, label=style.label)
        ax.set(xscale="log", xlabel="weight of the alignment, λ3")
        ax.set_title(NAMES[metric], fontsize=11)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    alt = "Two panels of lines over the weight, one a form of alignment. Accuracy away from home: "
    return Drawn(fig, alt + "; ".join(words) + ".")


def _form(record: dict) -> str:
    return tables.FORMS[record["config"]["alignment"]]


def _has(record: dict, form: str, weight: float) -> bool:
    guided = record["config"]["method"] == "guided"
    return guided and _form(record) == form and record["config"]["lambda3"] == weight


def _by_run(part: pd.DataFrame) -> pd.DataFrame:
    """One row a run with the columns weight and "accuracy in", as `tables.selected` reads them."""
    home = (
        part[part["shift"] == "in"].groupby(["weight", "seed"], as_index=False)["accuracy"].mean()
    )
    return home.rename(columns={"accuracy": "accuracy in"})


def _gain(pair: list[dict], shift: str) -> Interval | None:
    """The paired difference in accuracy to plain training, if enough seeds have both."""
    try:
        return tables.compare(pair, tables.label(pair[-1]), "ERM", shift=shift)[0]
    except ValueError:  # too few seeds in common yet
        return None


def _largest(away: dict[float, Interval | None]) -> str:
    """The largest mean difference out of distribution over the weights, and at which."""
    means = {weight: gain.mean for weight, gain in away.items() if gain}
    if not means:
        return NOT_RUN
    weight = max(means, key=means.__getitem__)
    return f"{means[weight]:+.3f} at {weight:g}"
