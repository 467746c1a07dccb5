"""Figures from records; where there are none, a figure says so instead of showing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alignbook import ablations, photographs, plotting, results, weights
from alignbook.drawing import Drawn, absent, dots, ends
from alignbook.measures import words
from alignbook.plotting import INK, MUTED, PAPER
from alignbook.results import tested
from alignbook.show import NOT_RUN

CONTROLS = {
    "random": ("random", "x", "#8c959f"),
    "centre": ("centre", "+", "#8c959f"),
    "constant": ("constant", "|", "#8c959f"),
    "true_mask": ("true mask", "d", INK),
}
"""Control explanations: label, marker and colour."""


def by_domain(table: pd.DataFrame, metric: str = "accuracy", shift: str = "out") -> Drawn:
    """Each method's mean over seeds with its 95 % interval, one panel a test domain.

    Args:
        table: what `results.frame` returns, of one benchmark or several.
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.
    """
    where = "in distribution" if shift == "in" else "out of distribution"
    table = tested(table, metric, shift)
    if table.empty:
        return absent(f"{words(metric)} {where}")
    names = list(table["label"].drop_duplicates())
    domains = list(table[["benchmark", "domain"]].drop_duplicates().itertuples(index=False))
    several = table["benchmark"].nunique() > 1
    columns = min(2, len(domains))
    rows = -(-len(domains) // columns)
    size = (5.6, rows * (0.9 + 0.27 * len(names)))
    fig, axes = plotting.figure(rows, columns, size=size, squeeze=False, sharex=True, sharey=True)
    for ax, (benchmark, domain) in zip(axes.flat, domains, strict=False):
        part = table[(table["benchmark"] == benchmark) & (table["domain"] == domain)]
        dots(ax, part, metric, names)
        title = domain + (", held out" if shift == "in" else "")
        # Two lines: in one, the titles of neighbours would run into each other.
        ax.set_title(f"{benchmark}\n{title}" if several else title)
    for ax in axes.flat[len(domains) :]:
        ax.set_visible(False)
        axes[-2, -1].tick_params(labelbottom=True)  # nothing below it shows the scale
    fig.supxlabel(f"{words(metric)}, mean and 95 % interval over seeds", fontsize=11)
    return Drawn(fig, f"{_sentence(metric, where, len(domains))} {ends(table, metric)}")


def _sentence(metric: str, where: str, count: int) -> str:
    panels = "one panel" if count == 1 else f"{count} panels, one a test domain"
    return f"Dots with intervals in {panels}: {words(metric)} {where}, a row a method."


def matrix(table: pd.DataFrame, metric: str = "accuracy") -> Drawn:
    """Train on one domain, test on each: one heatmap a method.

    Args:
        table: what `results.frame` returns of single-source runs of one benchmark.
        metric: a metric's name, in [0, 1].
    """
    if not table.empty:
        table = table[(table["protocol"] == "single-source") & (table["shift"] != "people")]
    if table.empty or table["source"].nunique() < 2:
        return absent("train on one domain, test on the others")
    # A method that was trained on a single domain has no matrix.
    sources = table.groupby("label")["source"].nunique()
    names = [name for name in table["label"].drop_duplicates() if sources[name] > 1]
    order = [d for d in table["domain"].drop_duplicates()]
    fig, axes = plotting.figure(
        1, len(names), size=(2.3 * len(names) + 0.9, 3.1), squeeze=False, sharey=True
    )
    means = table.pivot_table(index=["label", "source"], columns="domain", values=metric)
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    for ax, name in zip(axes[0], names, strict=True):
        values = means.loc[name].reindex(index=order, columns=order).to_numpy()
        _heatmap(ax, values, order, low, high)
        ax.set_title(name, fontsize=11)
    axes[0, 0].set_ylabel("trained on")
    fig.supxlabel("tested on (the diagonal: held-out images)", fontsize=11)
    inside = {n: _diagonal(means.loc[n], order, True) for n in names}
    outside = {n: _diagonal(means.loc[n], order, False) for n in names}
    said = "; ".join(f"{n} {inside[n]:.2f} and {outside[n]:.2f}" for n in names)
    return Drawn(
        fig,
        f"Heatmaps of {words(metric)}, domain trained on against domain tested on. "
        f"Means on and off the diagonal: {said}.",
    )


def _heatmap(ax: Axes, values: np.ndarray, order: list[str], low: float, high: float) -> None:
    ax.imshow(values, vmin=low, vmax=high, cmap="cividis")
    for (row, column), value in np.ndenumerate(values):
        text = NOT_RUN.replace(" ", "\n") if np.isnan(value) else f"{value:.2f}"
        dark = np.isnan(value) or value > (low + high) / 2
        ax.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=6 if np.isnan(value) else 10,
            color=INK if dark else PAPER,
        )
    ax.set(xticks=range(len(order)), yticks=range(len(order)), yticklabels=order)
    ax.set_xticklabels(order, rotation=45, ha="right")
    ax.grid(visible=False)


def _diagonal(means: pd.DataFrame, order: list[str], on: bool) -> float:
    values = means.reindex(index=order, columns=order).to_numpy()
    return float(np.nanmean(values[np.eye(len(order), dtype=bool) == on]))


def curves(table: pd.DataFrame, shift: str = "out") -> Drawn:
    """Insertion and deletion curves: mean probability of the predicted class over pixels changed.

    Args:
        table: what `results.frame` returns, with curves.
        shift: tests "in" or "out" of distribution.
    """
    means = _curves(table, shift)
    if not means:
        return absent("insertion and deletion curves")
    fig, axes = plotting.figure(1, 2, size=(7.0, 3.4), sharey=True)
    for ax, kind in zip(axes, ("insertion", "deletion"), strict=True):
        for (name, method), found in means.items():
            if kind not in found:
                continue
            points = np.mean(found[kind], axis=0)
            style = {"label": name, "color": MUTED, "linestyle": ":"}
            if method:
                style = plotting.method_style(method).kwargs() | {"label": name}
            ax.plot(np.linspace(0, 1, len(points)), points, **(style | {"markevery": 7}))
        ax.set(title=kind, xlabel=f"share of pixels {'restored' if kind[0] == 'i' else 'removed'}")
    axes[0].set_ylabel("probability")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    areas = {name: np.mean(found["insertion"]) for (name, _), found in means.items()}
    best = max(areas, key=areas.get)
    return Drawn(
        fig,
        f"Two panels of curves, insertion rising and deletion falling, for {len(means)} "
        f"explanations; {best} has the highest insertion curve on average, {areas[best]:.2f}.",
    )


def _curves(table: pd.DataFrame, shift: str) -> dict[tuple[str, str], dict[str, list]]:
    """By (label, method) the curves of all runs; ERM's control by random maps has no method."""
    found: dict[tuple[str, str], dict[str, list]] = {}
    for kind in ("insertion", "deletion"):
        for prefix in ("", "control_random_"):
            column = f"{prefix}{kind}_curve"
            part = tested(table, column, shift)
            if prefix and len(part):
                part = part[part["method"] == "erm"].assign(label="random maps (ERM)", method="")
            if len(part):
                for key, rows in part.groupby(["label", "method"], sort=False):
                    found.setdefault(key, {})[kind] = rows[column].tolist()
    return found


def faithfulness(
    table: pd.DataFrame,
    metrics: tuple[str, str] = ("sufficiency_zero", "comprehensiveness_zero"),
    shift: str = "out",
) -> Drawn:
    """Sufficiency and comprehensiveness of each method, with its control explanations.

    Args:
        table: what `results.frame` returns.
        metrics: two metrics' names.
        shift: tests "in" or "out" of distribution.
    """
    table = tested(table, metrics[0], shift)
    if table.empty or metrics[1] not in table:
        return absent(" and ".join(words(metric) for metric in metrics))
    names = list(table["label"].drop_duplicates())
    fig, axes = plotting.figure(1, 2, size=(7.0, 1.6 + 0.32 * len(names)), sharey=True)
    for ax, metric in zip(axes, metrics, strict=True):
        for key, (name, marker, color) in CONTROLS.items():
            column = f"control_{key}_{metric}"
            if column in table:
                means = table.groupby("label")[column].mean().reindex(names)
                ax.plot(means, range(len(names)), marker, color=color, label=name, markersize=7)
        dots(ax, table, metric, names)
        name, _, better = words(metric).partition(" (")
        ax.set_xlabel(name + (f"\n({better}" if better else ""), fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        fig.legend(handles, labels, loc="outside lower center", ncols=4, title="controls")
    text = " ".join(f"{words(metric)}: {ends(table, metric)}" for metric in metrics)
    controls = "with controls" if handles else "without controls, which no record has"
    return Drawn(fig, f"Two panels of dots, a row a method, {controls}. {text}")


def cost(table: pd.DataFrame, metric: str = "accuracy", shift: str = "out") -> Drawn:
    """A metric against the cost of training, as a multiple of plain training's.

    Args:
        table: what `results.frame` returns, of one benchmark and machine.
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.
    """
    points = cost_table(table, metric, shift)
    if points.empty:
        return absent("accuracy against cost")
    fig, ax = plotting.figure(size=(5.6, 3.8))
    for name, point in points.iterrows():
        style = plotting.method_style(point["method"])
        size = 14 if style.marker == "*" else 10
        ax.plot(
            point["cost"],
            point[metric],
            style.marker,
            color=style.color,
            markersize=size,
            label=name,
            linestyle="",
        )
    limits = (0, 1.1 * points["cost"].max())
    ax.set(xlabel="time of training, ERM = 1", ylabel=words(metric), xlim=limits)
    fig.legend(loc="outside lower center", ncols=3, fontsize=9)
    said = "; ".join(f"{n} {p['cost']:.1f} times, {p[metric]:.3f}" for n, p in points.iterrows())
    return Drawn(fig, f"A point for each method, cost against {words(metric)}: {said}.")


def cost_table(table: pd.DataFrame, metric: str = "accuracy", shift: str = "out") -> pd.DataFrame:
    """Each method's training time as a multiple of ERM's for the same seed, and its metric.

    Args:
        table: what `results.frame` returns, of one benchmark and machine.
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.

    Returns:
        Rows labels; columns method, cost (median over seeds of the ratio), seconds (median) and
        the metric's mean. Empty without records of ERM.
    """
    table = tested(table, metric, shift)
    if table.empty or "ERM" not in set(table["label"]):
        return pd.DataFrame()
    one = table.groupby(["label", "method", "seed"], sort=False)[["seconds", metric]].mean()
    erm = one.xs("ERM", level="label")["seconds"].groupby("seed").mean()
    one["cost"] = one["seconds"] / one.index.get_level_values("seed").map(erm)
    each = one.groupby(["label", "method"], sort=False)
    found = each.agg({"cost": "median", "seconds": "median", metric: "mean"})
    return found.reset_index("method").dropna()


@dataclass(frozen=True)
class Named:
    """A figure of the book and the records it is drawn from.

    Args:
        shows: what it shows, in a few words.
        grids: the grids whose records it needs.
        function: what `results.frame` returns to `Drawn`.
    """

    shows: str
    grids: tuple[str, ...]
    function: Callable[[pd.DataFrame], Drawn]

    def draw(self) -> Drawn:
        """The figure, from the records that there are."""
        return self.function(results.recorded(*self.grids))


FIGURES: dict[str, Named] = {
    "in-distribution": Named(
        "accuracy in distribution",
        ("toy", "toy-terra"),
        lambda table: by_domain(table, shift="in"),
    ),
    "in-distribution-insertion": Named(
        "insertion AUC in distribution",
        ("toy", "toy-terra"),
        lambda table: by_domain(table, "insertion_auc", "in"),
    ),
    "out-of-distribution": Named("accuracy out of distribution", ("toy",), by_domain),
    "out-of-distribution-terra": Named("accuracy at other cameras", ("toy-terra",), by_domain),
    "leave-one-out": Named("accuracy on the domain left out", ("toy-leave-one-out",), by_domain),
    "matrix": Named("train on one domain, test on each", ("toy", "toy-sources"), matrix),
    "curves": Named("insertion and deletion curves", ("toy",), curves),
    "out-of-distribution-insertion": Named(
        "insertion AUC out of distribution",
        ("toy", "toy-terra"),
        lambda table: by_domain(table, "insertion_auc"),
    ),
    "faithfulness": Named("sufficiency and comprehensiveness", ("toy",), faithfulness),
    "faithfulness-normalized": Named(
        "sufficiency and comprehensiveness, normalised",
        ("toy",),
        lambda table: faithfulness(
            table, ("sufficiency_zero_normalized", "comprehensiveness_zero_normalized")
        ),
    ),
    "evidence": Named(
        "evidence inside the object",
        ("toy",),
        lambda table: by_domain(table, "evidence_inside"),
    ),
    "ablations": Named("one choice of ALIGN changed at a time", ("ablations",), ablations.draw),
    "weights": Named("each form of alignment over its weights", ("weights",), weights.draw),
    "cost": Named("accuracy against cost", ("toy",), cost),
    "pacs": Named("guidance on photographs of PACS", ("pacs",), photographs.guidance),
    "pacs-methods": Named(
        "all methods, from photographs to other styles",
        ("pacs-methods",),
        lambda table: by_domain(table.query("source == 'photo'") if len(table) else table),
    ),
    "caltech": Named("guidance on photographs of Caltech101", ("caltech",), photographs.guidance),
    "mask-quality": Named(
        "learned masks against masks drawn by people", ("pacs",), photographs.mask_quality
    ),
    "composite": Named("accuracy in composite worlds", ("composite",), photographs.composite),
    "composite-evidence": Named(
        "evidence inside the object in composite worlds",
        ("composite",),
        lambda table: photographs.composite(table, "evidence_inside"),
    ),
    "composite-masks": Named(
        "sources of masks in composite worlds", ("composite",), photographs.composite_masks
    ),
}
"""Every figure that is drawn from the benchmark's records, by name."""
