"""Figures from the records made on photographs: masks drawn by people, and composite worlds."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from align.data.composite import DOMAINS
from alignbook import plotting, tables
from alignbook.drawing import (
    FORM_STYLES,
    NAMES,
    Drawn,
    absent,
    dots,
    ends,
    estimate,
    not_run,
)
from alignbook.plotting import INK, MUTED, PAPER
from alignbook.published import NOT_RUN

HUMAN = {"weizmann_horse": "horses", "pennfudan_person": "pedestrians"}
"""Photographs with masks drawn by people."""


def human(recorded: list[dict]) -> pd.DataFrame:
    """What was measured of each run against masks drawn by people.

    Args:
        recorded: records with the key "human".

    Returns:
        What `tables.runs` returns, one row a run and set of photographs; the column domain is named
        photographs. Empty where nothing was measured.
    """
    against = [record | {"metrics": record["human"]} for record in recorded if record.get("human")]
    return tables.runs(against).rename(columns={"domain": "photographs"})


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


def guidance(recorded: list[dict]) -> Drawn:
    """What guidance by a segmenter's masks, spoilt ones and learned ones does on photographs.

    Panels: accuracy on held-out images, accuracy on the other domains where there are any, and the
    share of the positive evidence inside masks drawn by people.

    Args:
        recorded: records of the grid "pacs" or "caltech".
    """
    table = tables.runs(recorded)
    against = human(recorded)
    if table.empty or against.empty:
        return absent("guidance on photographs")
    table["label"], against["label"] = table["label"].map(_short), against["label"].map(_short)
    names = list(table["label"].drop_duplicates())
    panels = [(table[table["shift"] == "in"], "accuracy", "accuracy, held out", None)]
    if (table["shift"] == "out").any():
        other = table[table["shift"] == "out"]
        panels.append((other, "accuracy", "accuracy, other domains", None))
    for key in against["photographs"].drop_duplicates():
        part = against[against["photographs"] == key]
        title = f"evidence inside, {HUMAN[key]}"
        panels.append((part, "energy_inside", title, part["object_area"].mean()))
    rows = -(-len(panels) // 2)
    size = (7.0, rows * (0.9 + 0.29 * len(names)))
    fig, axes = plotting.figure(rows, 2, size=size, squeeze=False, sharey=True)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    words = []
    for ax, (part, metric, title, chance) in zip(axes.flat, panels, strict=False):
        dots(ax, part, metric, names)
        ax.set_title(title, fontsize=11)
        ax.locator_params(axis="x", nbins=4)
        if chance is not None:
            ax.axvline(chance, color=MUTED, linestyle=":", linewidth=1.5)
        words.append(f"{title}: {ends(part, metric)}")
    alt = f"{len(panels)} panels of dots with intervals, a row for each way of training. "
    return Drawn(fig, alt + " ".join(words))


def mask_quality(recorded: list[dict]) -> Drawn:
    """How well learned masks fit masks drawn by people, beside masks of the same area.

    Args:
        recorded: records of ALIGN with the key "human".
    """
    table = human(recorded)
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
    words = []
    for row, ((_, key), part) in enumerate(groups):
        for metric, (name, marker, color) in compared.items():
            shown = name if row == 0 else None
            edge = PAPER if marker == "*" else color
            jitter = [row + 0.12 * (seed - 1) for seed in part["seed"]]
            style = {"markersize": 12 if marker == "*" else 8, "markeredgecolor": edge}
            ax.plot(part[metric], jitter, marker, color=color, label=shown, **style)
        means = {name: part[metric].mean() for metric, (name, *_) in compared.items()}
        listed = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
        words.append(f"{HUMAN[key]}: {listed}")
    ax.set(
        yticks=range(len(groups)),
        yticklabels=[HUMAN[key] for (_, key), _ in groups],
        xlabel="IoU with the mask drawn by a person",
        xlim=(0, None),
        ylim=(len(groups) - 0.5, -0.5),
    )
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside lower center", ncols=2, fontsize=9)
    return Drawn(fig, "A dot a seed, a row for each set of photographs. " + "; ".join(words) + ".")


COMPOSITE_STYLES: dict[str, tuple[str, str, str]] = {
    "ERM": (plotting.METHODS["erm"].color, "o", "-"),
    **{f"true masks, {form}": style for form, style in FORM_STYLES.items()},
    "ALIGN, energy": (plotting.METHODS["align"].color, "*", "-"),
    "ALIGN, the paper's terms": (plotting.METHODS["align"].color, "x", ":"),
}
"""Colour, marker and line of ERM, ALIGN and each form of alignment in the composite worlds."""


def composite(recorded: list[dict], metric: str = "accuracy") -> Drawn:
    """A metric in composite worlds as scene and class correlate, one panel a test domain.

    Shown are plain training, ALIGN, and guidance by true masks in each form of alignment.

    Args:
        recorded: records of the grid "composite".
        metric: a metric's name.
    """
    table = by_rho(recorded)
    name = NAMES.get(metric, metric)
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
    words = ", ".join(f"{label} {mean:.2f}" for label, mean in means.items())
    return Drawn(
        fig,
        f"{len(domains)} panels of lines over ρ, one a way of training. At the largest ρ, "
        f"{name} on the domain {domains[-1]}: {words}.",
    )


def composite_masks(recorded: list[dict]) -> Drawn:
    """What guidance by true, spoilt and uninformed masks gains where scene and class part.

    Shown is all that aligns the energy of the contrastive evidence, at the strongest correlation,
    over both domains not trained on: accuracy gained against plain training, paired as in
    `tables.compare`, and the share of the evidence inside the object.

    Args:
        recorded: records of the grid "composite".
    """
    strongest = max((one["options"]["rho"] for one in recorded), default=0)
    recorded = [one for one in recorded if one["options"]["rho"] == strongest]
    table = tables.tested(recorded, "evidence_inside", "out")
    if table.empty:
        return absent("sources of masks in composite worlds")
    table = table[table["label"].str.endswith(", energy") | (table["method"] == "erm")]
    labels = list(table["label"].drop_duplicates())
    fig, axes = plotting.figure(1, 2, size=(7.0, 0.9 + 0.29 * len(labels)), sharey=True)
    words = _gains(axes[0], recorded, {name: table[table["label"] == name] for name in labels})
    dots(axes[1], table.assign(label=table["label"].map(_short)), "evidence_inside", [*words])
    axes[1].axvline(table["object_area"].mean(), color=MUTED, linestyle=":", linewidth=1.5)
    inside = table.groupby("label")["evidence_inside"].mean()
    listed = (
        f"{words[_short(name)]}, with {inside[name]:.2f} of the evidence inside" for name in labels
    )
    for ax, title in zip(axes, ("accuracy gained", "evidence inside the object"), strict=True):
        ax.set_title(title, fontsize=11)
    alt = "Two panels of dots with intervals, a row for each way of training. Accuracy gained: "
    return Drawn(fig, alt + "; ".join(listed) + ".")


def _gains(ax: Axes, recorded: list[dict], parts: dict[str, pd.DataFrame]) -> dict[str, str]:
    """A row for each label with its accuracy against plain training's; says each in words."""
    words = {}
    for row, (label, part) in enumerate(parts.items()):
        style, name = plotting.method_style(part["method"].iloc[0]), _short(label)
        try:
            gain = tables.compare(recorded, label, "ERM", shift="out")[0]
        except ValueError:  # fewer than two seeds in common yet
            not_run(ax, row)
            words[name] = f"{name} {NOT_RUN}"
            continue
        estimate(ax, row, gain, style.color, style.marker)
        words[name] = f"{name} {gain.mean:+.3f}"
    ax.axvline(0, color=INK, linewidth=1)
    ax.locator_params(axis="x", nbins=4)
    return words


def by_rho(recorded: list[dict]) -> pd.DataFrame:
    """The rows of `tables.runs` with the correlation that each run's world had, as column rho.

    Args:
        recorded: records of the grid "composite".
    """
    parts = [tables.runs([one]).assign(rho=one["options"]["rho"]) for one in recorded]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _lines(ax: Axes, table: pd.DataFrame, metric: str) -> None:
    """A line through each way's means, and a small dot a run."""
    for label, (color, marker, line) in COMPOSITE_STYLES.items():
        part = table[table["label"] == label]
        if part.empty:
            continue
        means = part.groupby("rho")[metric].mean()
        ax.plot(part["rho"], part[metric], ".", color=color, alpha=0.35, markersize=4)
        ax.plot(means.index, means, color=color, marker=marker, linestyle=line, label=label)
