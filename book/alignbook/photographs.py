"""Figures from the records made on photographs: masks drawn by people, and composite worlds."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from align.data.composite import DOMAINS
from alignbook import estimates, plotting
from alignbook.drawing import FORM_STYLES, Drawn, absent, dots, ends, estimate, not_run
from alignbook.measures import words
from alignbook.plotting import INK, MUTED, PAPER
from alignbook.results import tested
from alignbook.show import NOT_RUN


def human(table: pd.DataFrame) -> pd.DataFrame:
    """What was measured against masks drawn by people.

    Args:
        table: what `results.frame` returns.

    Returns:
        Its rows of these tests, one a run and set of photographs; the column domain is named
        photographs. Empty where nothing was measured.
    """
    part = table[table["shift"] == "people"] if len(table) else table
    return part.rename(columns={"domain": "photographs"})


def _short(label: str) -> str:
    """A label without what all rows of a figure share, so that the panels have room."""
    for long, brief in (
        (", energy", ""),
        ("a segmenter's masks", "segmenter"),
        ("50% missed, 50% leaked", "both"),
        (" as masks", ""),
        (" masks", ""),
    ):
        label = label.replace(long, brief)
    return label


def guidance(table: pd.DataFrame) -> Drawn:
    """What guidance by a segmenter's masks, spoilt ones and learned ones does on photographs.

    Panels: accuracy on held-out images, accuracy on the other domains where there are any, and the
    share of the positive evidence inside masks drawn by people.

    Args:
        table: what `results.frame` returns of the grid "pacs" or "caltech".
    """
    if human(table).empty:
        return absent("guidance on photographs")
    table = table.assign(label=table["label"].map(_short))
    against = human(table)
    names = list(table["label"].drop_duplicates())
    panels = [(table[table["shift"] == "in"], "accuracy", "accuracy, held out", None)]
    if (table["shift"] == "out").any():
        other = table[table["shift"] == "out"]
        panels.append((other, "accuracy", "accuracy, other domains", None))
    for key in against["photographs"].drop_duplicates():
        part = against[against["photographs"] == key]
        title = f"evidence inside, {words(key)}"
        panels.append((part, "energy_inside", title, part["object_area"].mean()))
    rows = -(-len(panels) // 2)
    size = (7.0, rows * (0.9 + 0.29 * len(names)))
    fig, axes = plotting.figure(rows, 2, size=size, squeeze=False, sharey=True)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    said = []
    for ax, (part, metric, title, chance) in zip(axes.flat, panels, strict=False):
        dots(ax, part, metric, names)
        ax.set_title(title, fontsize=11)
        ax.locator_params(axis="x", nbins=4)
        if chance is not None:
            ax.axvline(chance, color=MUTED, linestyle=":", linewidth=1.5)
        said.append(f"{title}: {ends(part, metric)}")
    alt = f"{len(panels)} panels of dots with intervals, a row for each way of training. "
    return Drawn(fig, alt + " ".join(said))


def mask_quality(table: pd.DataFrame) -> Drawn:
    """How well learned masks fit masks drawn by people, beside masks of the same area.

    Args:
        table: what `results.frame` returns, with runs of ALIGN tested against such masks.
    """
    table = human(table)
    if table.empty or "masker_iou" not in table:
        return absent("learned masks against masks drawn by people")
    table = table[table["masker_iou"].notna()]
    compared = {
        "masker_iou": ("learned mask", "*", "#0066cc"),
        "centre_iou": ("disc in the middle", "+", INK),
        "shifted_iou": ("the same mask elsewhere", "x", MUTED),
        "random_iou": ("random pixels", "|", MUTED),
    }
    groups = list(table.groupby(["label", "photographs"], sort=False))
    fig, ax = plotting.figure(size=(5.6, 1.5 + 0.5 * len(groups)))
    said = []
    for row, ((_, key), part) in enumerate(groups):
        for metric, (name, marker, color) in compared.items():
            shown = name if row == 0 else None
            edge = PAPER if marker == "*" else color
            jitter = [row + 0.12 * (seed - 1) for seed in part["seed"]]
            style = {"markersize": 12 if marker == "*" else 8, "markeredgecolor": edge}
            ax.plot(part[metric], jitter, marker, color=color, label=shown, **style)
        means = {name: part[metric].mean() for metric, (name, *_) in compared.items()}
        listed = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
        said.append(f"{words(key)}: {listed}")
    ax.set(
        yticks=range(len(groups)),
        yticklabels=[words(key) for (_, key), _ in groups],
        xlabel="IoU with the mask drawn by a person",
        xlim=(0, None),
        ylim=(len(groups) - 0.5, -0.5),
    )
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside lower center", ncols=2, fontsize=9)
    return Drawn(fig, "A dot a seed, a row for each set of photographs. " + "; ".join(said) + ".")


COMPOSITE_STYLES: dict[str, tuple[str, str, str]] = {
    "ERM": (plotting.METHODS["erm"].color, "o", "-"),
    **{f"true masks, {form}": style for form, style in FORM_STYLES.items()},
    "ALIGN, energy": (plotting.METHODS["align"].color, "*", "-"),
    "ALIGN, the paper's terms": (plotting.METHODS["align"].color, "x", ":"),
}
"""Colour, marker and line of ERM, ALIGN and each form of alignment in the composite worlds."""


def composite(table: pd.DataFrame, metric: str = "accuracy") -> Drawn:
    """A metric in composite worlds as scene and class correlate, one panel a test domain.

    Shown are plain training, ALIGN, and guidance by true masks in each form of alignment.

    Args:
        table: what `results.frame` returns of the grid "composite".
        metric: a metric's name.
    """
    name = words(metric)
    if table.empty or metric not in table:
        return absent(f"{name} in composite worlds")
    domains = [name for name in DOMAINS if name in set(table["domain"])]
    fig, axes = plotting.figure(1, len(domains), size=(7.0, 4.2), sharey=True, squeeze=False)
    for ax, domain in zip(axes[0], domains, strict=True):
        _lines(ax, table[table["domain"] == domain], metric)
        ax.set_title(domain + (" (held out)" if domain == "paired" else ""), fontsize=11)
        ax.set(xlabel="ρ", xticks=sorted(table["rho"].unique()))
    axes[0, 0].set_ylabel(name)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    hardest = table[(table["domain"] == domains[-1]) & (table["rho"] == table["rho"].max())]
    means = hardest.groupby("label", sort=False)[metric].mean().reindex(labels)
    listed = ", ".join(f"{label} {mean:.2f}" for label, mean in means.items())
    return Drawn(
        fig,
        f"{len(domains)} panels of lines over ρ, one a way of training. At the largest ρ, "
        f"{name} on the domain {domains[-1]}: {listed}.",
    )


def composite_masks(table: pd.DataFrame) -> Drawn:
    """What guidance by true, spoilt and uninformed masks gains where scene and class part.

    Shown is all that aligns the energy of the contrastive evidence, at the strongest correlation,
    over both domains not trained on: accuracy gained against plain training, and the share of the
    evidence inside the object.

    Args:
        table: what `results.frame` returns of the grid "composite".
    """
    away = tested(table, "evidence_inside", "out")
    if away.empty:
        return absent("sources of masks in composite worlds")
    away = away[away["rho"] == away["rho"].max()]
    away = away[away["label"].str.endswith(", energy") | (away["method"] == "erm")]
    labels = list(away["label"].drop_duplicates())
    fig, axes = plotting.figure(1, 2, size=(7.0, 0.9 + 0.29 * len(labels)), sharey=True)
    gained = _gains(axes[0], away)
    dots(axes[1], away.assign(label=away["label"].map(_short)), "evidence_inside", [*gained])
    axes[1].axvline(away["object_area"].mean(), color=MUTED, linestyle=":", linewidth=1.5)
    inside = away.groupby("label")["evidence_inside"].mean()
    listed = (
        f"{gained[_short(name)]}, with {inside[name]:.2f} of the evidence inside" for name in labels
    )
    for ax, title in zip(axes, ("accuracy gained", "evidence inside the object"), strict=True):
        ax.set_title(title, fontsize=11)
    alt = "Two panels of dots with intervals, a row for each way of training. Accuracy gained: "
    return Drawn(fig, alt + "; ".join(listed) + ".")


def _gains(ax: Axes, away: pd.DataFrame) -> dict[str, str]:
    """A row for each label with its accuracy against plain training's; says each in words."""
    said = {}
    methods = away.drop_duplicates("label").set_index("label")["method"]
    for row, (label, method) in enumerate(methods.items()):
        style, name = plotting.method_style(method), _short(label)
        gain = estimates.compare(away, label, "ERM", shift="out")
        if gain is None:
            not_run(ax, row)
            said[name] = f"{name} {NOT_RUN}"
            continue
        estimate(ax, row, gain, style.color, style.marker)
        said[name] = f"{name} {gain.mean:+.3f}"
    ax.axvline(0, color=INK, linewidth=1)
    ax.locator_params(axis="x", nbins=4)
    return said


def _lines(ax: Axes, table: pd.DataFrame, metric: str) -> None:
    """A line through each way's means, and a small dot a run."""
    for label, (color, marker, line) in COMPOSITE_STYLES.items():
        part = table[table["label"] == label]
        if part.empty:
            continue
        means = part.groupby("rho")[metric].mean()
        ax.plot(part["rho"], part[metric], ".", color=color, alpha=0.35, markersize=4)
        ax.plot(means.index, means, color=color, marker=marker, linestyle=line, label=label)
