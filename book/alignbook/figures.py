"""Figures from records; where there are none, a figure says so instead of showing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alignbook import ablations, photographs, plotting, results, weighting
from alignbook.drawing import (
    BEHIND,
    NO_LOOK,
    Drawn,
    absent,
    dots,
    ends,
    name_lines,
    named_marks,
    text_on,
)
from alignbook.measures import words
from alignbook.plotting import INK, MUTED, PAPER
from alignbook.results import tested
from alignbook.show import NOT_RUN

RANDOM = "random maps (ERM)"

CONTROLS = {
    "random": ("random", "|", NO_LOOK, 0.0),
    "centre": ("spot in the middle", "^", "#b8860b", 0.25),
    "true_mask": ("true mask", "v", INK, -0.25),
}
"""Control explanations: label, marker, colour, and by how much of a row it stands below the middle,
so that none hides another. A constant map scores as random ones do."""


def by_domain(
    table: pd.DataFrame, metric: str = "accuracy", shift: str = "out", *, own_axes: bool = False
) -> Drawn:
    """Each method's mean over seeds with its 95 % interval, one panel a test domain.

    Args:
        table: what `results.frame` returns, of one benchmark or several.
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.
        own_axes: whether each panel has its own axis, which ends a little beyond its means; an
            interval that goes on ends in an arrow.
    """
    where = "in distribution" if shift == "in" else "out of distribution"
    table = tested(table, metric, shift)
    if table.empty:
        return absent(f"{words(metric)} {where}")
    names = list(table["label"].drop_duplicates())
    domains = list(table[["benchmark", "domain"]].drop_duplicates().itertuples(index=False))
    several = table["benchmark"].nunique() > 1
    # Whoever has never looked is beside every share inside: a spot in the middle.
    spot = "control_centre_energy_inside" if metric == "evidence_inside" else ""
    spot = spot if spot in table else ""
    # On a phone three panels have no room side by side, and none stands alone in its row.
    columns = 1 if len(domains) in (1, 3) else 2
    rows = -(-len(domains) // columns)
    high = (0.9 if own_axes else 0.7) + 0.24 * len(names)
    size = (5.0 if columns == 1 else 5.6, rows * high + 0.4)
    shared = {"sharex": not own_axes, "sharey": True}
    fig, axes = plotting.figure(rows, columns, size=size, squeeze=False, **shared)
    fig.get_layout_engine().set(wspace=0.08)  # a panel's last number keeps off the next one's first
    order = axes.T if several else axes  # a benchmark's domains stand in one column
    for ax, (benchmark, domain) in zip(order.flat, domains, strict=False):
        part = table[(table["benchmark"] == benchmark) & (table["domain"] == domain)]
        dots(ax, part, metric, names, cut=own_axes)
        plain = part.loc[part["label"] == "ERM", metric].mean()
        if not np.isnan(plain):
            ax.axvline(plain, color=MUTED, linestyle=":", linewidth=1.5, zorder=BEHIND)
        if spot:
            dashed = {"color": NO_LOOK, "linestyle": "--", "linewidth": 1.5, "zorder": BEHIND}
            ax.axvline(part[spot].mean(), **dashed)
        ax.locator_params(axis="x", nbins=3)
        ax.tick_params(axis="y", labelsize=11)
        title = words(domain) + (", held out" if shift == "in" else "")
        # Two lines: in one, the titles of neighbours would run into each other.
        ax.set_title(f"{benchmark}\n{title}" if several else title)
    for ax in order.flat[len(domains) :]:
        ax.set_visible(False)
    lines = "dotted: ERM's mean" + ("; dashed: a spot in the middle" if spot else "")
    lines += "; arrow: goes on" if own_axes else ""
    fig.supxlabel(f"{words(metric)}, mean and 95 % interval\n({lines})", fontsize=10.5)
    said = f" A spot in the middle has {table[spot].mean():.3f}." if spot else ""
    return Drawn(fig, f"{_sentence(metric, where, len(domains))} {ends(table, metric)}{said}")


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
        len(names), 1, size=(4.2, 2.4 * len(names) + 0.8), squeeze=False, sharex=True
    )
    means = table.pivot_table(index=["label", "source"], columns="domain", values=metric)
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    for ax, name in zip(axes[:, 0], names, strict=True):
        values = means.loc[name].reindex(index=order, columns=order).to_numpy()
        _heatmap(ax, values, order, low, high)
        ax.set_title(name, fontsize=11)
    axes[len(names) // 2, 0].set_ylabel("trained on")
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
    shown = ax.imshow(values, vmin=low, vmax=high, cmap="cividis")
    for (row, column), value in np.ndenumerate(values):
        text = NOT_RUN.replace(" ", "\n") if np.isnan(value) else f"{value:.2f}"
        # Where there is no number the paper shows.
        behind = PAPER if np.isnan(value) else shown.to_rgba(value)
        ax.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=6 if np.isnan(value) else 10,
            color=text_on(behind),
        )
    ax.set(xticks=range(len(order)), yticks=range(len(order)), yticklabels=order)
    ax.set_xticklabels(order, rotation=45, ha="right")
    ax.grid(visible=False)


def _diagonal(means: pd.DataFrame, order: list[str], on: bool) -> float:
    values = means.reindex(index=order, columns=order).to_numpy()
    return float(np.nanmean(values[np.eye(len(order), dtype=bool) == on]))


SHOWN = ("true masks, energy", "ALIGN, energy", "ALIGN, the paper's terms", RANDOM)
"""Whose curves have a name; the rest stands behind them in grey."""


def curves(table: pd.DataFrame, shift: str = "out") -> Drawn:
    """Insertion and deletion curves: the predicted class's probability, as a difference to ERM's.

    Args:
        table: what `results.frame` returns, with curves, those of ERM among them.
        shift: tests "in" or "out" of distribution.
    """
    means = _curves(table, shift)
    plain = means.get(("ERM", "erm"))
    if not plain:
        return absent("insertion and deletion curves")
    fig, axes = plotting.figure(2, 1, size=(5.6, 6.0))
    for ax, kind in zip(axes, ("insertion", "deletion"), strict=True):
        ends = {}
        for (name, method), found in means.items():
            if kind not in found or name == "ERM":
                continue
            points = np.mean(found[kind], axis=0) - np.mean(plain[kind], axis=0)
            style = {"label": name, "color": "#d0d7de", "linewidth": 1, "zorder": 1}
            if name in SHOWN:
                color = plotting.method_style(method).color if method else INK
                line = {RANDOM: ":", SHOWN[2]: "--"}.get(name, "-")
                style |= {"color": color, "linewidth": 2, "linestyle": line, "zorder": 2}
                ends[name] = (1.0, points[-1], color)
            ax.plot(np.linspace(0, 1, len(points)), points, **style)
        ax.axhline(0, color=plotting.method_style("erm").color, linewidth=1)
        ends["ERM"] = (1.0, 0.0, plotting.method_style("erm").color)
        ax.set(title=kind, xlabel=f"share of pixels {'restored' if kind[0] == 'i' else 'removed'}")
        ax.set_ylabel("probability − ERM's")
        name_lines(ax, ends)
    areas = {name: np.mean(found["insertion"]) for (name, _), found in means.items()}
    best = max(areas, key=areas.get)
    plain = "" if best == "ERM" else f"ERM's is {areas['ERM']:.2f}, "
    return Drawn(
        fig,
        f"Two panels of curves, differences to ERM's: insertion and deletion, for {len(means)} "
        f"explanations. {best} has the highest insertion curve on average, {areas[best]:.2f}; "
        f"{plain}with random maps it is {areas.get(RANDOM, np.nan):.2f}.",
    )


def _curves(table: pd.DataFrame, shift: str) -> dict[tuple[str, str], dict[str, list]]:
    """By (label, method) the curves of all runs; ERM's control by random maps has no method."""
    found: dict[tuple[str, str], dict[str, list]] = {}
    for kind in ("insertion", "deletion"):
        for prefix in ("", "control_random_"):
            column = f"{prefix}{kind}_curve"
            part = tested(table, column, shift)
            if prefix and len(part):
                part = part[part["method"] == "erm"].assign(label=RANDOM, method="")
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
    fig, axes = plotting.figure(2, 1, size=(5.2, 2.4 + 0.48 * len(names)))
    for ax, metric in zip(axes, metrics, strict=True):
        for key, (name, marker, color, below) in CONTROLS.items():
            column = f"control_{key}_{metric}"
            if column in table:
                means = table.groupby("label")[column].mean().reindex(names)
                rows = np.arange(len(names)) + below
                mark = {"color": color, "markersize": 7, "markeredgewidth": 2.6 * (marker == "|")}
                ax.plot(means, rows, marker, label=name, **mark)
        dots(ax, table, metric, names)
        ax.set_title(words(metric), fontsize=11)
        ax.tick_params(axis="y", labelsize=11)
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
    fig, ax = plotting.figure(size=(5.6, 4.0))
    # What falls together has one name.
    together = [points["cost"].round(1), points[metric].round(2)]
    for _, group in points.groupby(together):
        named_marks(ax, group, ("cost", metric), far=0.75 * points["cost"].max())
    limits = (0, 1.08 * points["cost"].max())
    where = f"{words(metric)} {weighting.SHIFTS[shift]}"
    ax.set(xlabel="time of training, ERM = 1", ylabel=where, xlim=limits)
    ax.margins(y=0.12)
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
        lambda table: by_domain(table, shift="in", own_axes=True),
    ),
    "in-distribution-insertion": Named(
        "insertion AUC in distribution",
        ("toy", "toy-terra"),
        lambda table: by_domain(table, "insertion_auc", "in"),
    ),
    "out-of-distribution": Named("accuracy out of distribution", ("toy",), by_domain),
    "out-of-distribution-terra": Named("accuracy at other cameras", ("toy-terra",), by_domain),
    "leave-one-out": Named(
        "accuracy on the domain left out",
        ("toy-leave-one-out",),
        lambda table: by_domain(table, own_axes=True),
    ),
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
    "weights": Named("each form of alignment over its weights", ("weights",), weighting.draw),
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
