"""Figures from the records made on photographs: masks drawn by people, and composite worlds."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from alignbook import plotting
from alignbook.drawing import BEHIND, FORM_STYLES, Drawn, absent, dots, ends, gains, name_lines
from alignbook.measures import words
from alignbook.plotting import INK, MUTED, PAPER
from alignbook.results import tested
from alignbook.worlds.composite import DOMAINS


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


NAMED = 0.5
"""A map of a class is an explanation where plain training names the class at least so often."""


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Of the tests against masks drawn by people, those on classes that the networks name.

    A map of a class that is never answered explains no answer.

    Args:
        table: what `human` returns.
    """
    if table.empty:
        return table
    right = table[table["method"] == "erm"].groupby("photographs")["accuracy"].mean()
    return table[table["photographs"].isin(right[right >= NAMED].index)]


def _short(label: str) -> str:
    """A label without what all rows of a figure share, so that the panels have room."""
    for long, brief in (
        (", energy", ""),
        ("a segmenter's masks", "segmenter"),
        ("50% missed, 50% leaked", "both"),
        ("50%", "half"),
        ("centre as masks", "disc"),
        (" as masks", ""),
        (" masks", ""),
    ):
        label = label.replace(long, brief)
    return label


def _rows(labels: pd.Series) -> list[str]:
    """Short labels in the order of all figures: ours, then masks from whole to blind."""
    kinds = ("ERM", "ALIGN", "true|segmenter", "GrabCut's", ".*, half (missed|leaked)", ".*, both")
    found = labels.drop_duplicates()
    ranks = [
        next((n for n, kind in enumerate(kinds) if re.fullmatch(kind, one)), 99) for one in found
    ]
    return list(found.iloc[np.argsort(ranks, kind="stable")])


def guidance(table: pd.DataFrame) -> Drawn:
    """What guidance by a segmenter's masks, spoilt ones and learned ones does on photographs.

    Panels: accuracy against plain training's on held-out images, and on the other domains where
    there are any; and the share of the positive evidence inside masks drawn by people, for those
    photographs whose class the networks name.

    Args:
        table: what `results.frame` returns of the grid "pacs" or "caltech".
    """
    if human(table).empty:
        return absent("guidance on photographs")
    table = table.assign(label=table["label"].map(_short))
    against = named(human(table))
    names = _rows(table["label"])
    where = {"in": "held out", "out": "other domains"}
    shifts = [shift for shift in where if (table["shift"] == shift).any()]
    sets = list(against["photographs"].drop_duplicates())
    panels = len(shifts + sets)
    size = (4.8, 0.4 + panels * (0.6 + 0.25 * len(names)))
    fig, axes = plotting.figure(panels, 1, size=size, squeeze=False)
    said = []
    for ax, shift in zip(axes[:, 0], shifts, strict=False):
        gained = gains(ax, table, names, shift)
        ax.set_title(f"accuracy gained, {where[shift]}", fontsize=11)
        said.append(f"Accuracy gained, {where[shift]}: " + ", ".join(gained.values()) + ".")
    for ax, key in zip(axes[len(shifts) :, 0], sets, strict=True):
        part = against[against["photographs"] == key]
        dots(ax, part, "energy_inside", names)
        ax.set_title(f"evidence inside, {words(key)}", fontsize=11)
        _constant(ax, part["object_area"].mean())
        said.append(f"Evidence inside, {words(key)}: {ends(part, 'energy_inside')}")
    alt = f"{panels} panels of dots with intervals, a row for each way of training. "
    return Drawn(fig, alt + " ".join(said))


def _constant(ax: Axes, area: float) -> None:
    """The share inside of a map that is the same everywhere: the object's area."""
    ax.axvline(area, color=MUTED, linestyle=":", linewidth=1.5, zorder=BEHIND)


FITS = {
    "masker_iou": ("learned mask", "*", "#0066cc"),
    "centre_iou": ("disc in the middle", "p", INK),
    "shifted_iou": ("the same mask elsewhere", "x", MUTED),
    "random_iou": ("random pixels", "|", MUTED),
}
"""What is compared with a mask drawn by a person: name, marker and colour."""


def mask_quality(table: pd.DataFrame) -> Drawn:
    """How well learned masks fit masks drawn by people, beside masks of the same area.

    Args:
        table: what `results.frame` returns, with runs of ALIGN tested against such masks.
    """
    table = human(table)
    if table.empty or "masker_iou" not in table:
        return absent("learned masks against masks drawn by people")
    table = table[table["masker_iou"].notna()]
    groups = list(table.groupby("photographs", sort=False))
    size = (5.2, 0.5 + 1.6 * len(groups))
    fig, axes = plotting.figure(len(groups), 1, size=size, squeeze=False, sharex=True)
    said = []
    for ax, (key, part) in zip(axes[:, 0], groups, strict=True):
        for row, (metric, (_, marker, color)) in enumerate(FITS.items()):
            edge = PAPER if marker in "*p" else color
            style = {"color": color, "markeredgecolor": edge, "alpha": 0.7, "markersize": 11}
            ax.plot(part[metric], [row] * len(part), marker, **style)
        means = {name: part[metric].mean() for metric, (name, *_) in FITS.items()}
        listed = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
        said.append(f"{words(key)}: {listed}")
        names = [name for name, *_ in FITS.values()]
        ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
        ax.set_title(words(key), fontsize=11)
        ax.grid(axis="y", visible=False)
    axes[0, 0].set_xlim(0, None)
    fig.supxlabel("IoU with the mask drawn by a person, one mark a seed", fontsize=11)
    return Drawn(fig, "Two panels, a row for each kind of mask. " + "; ".join(said) + ".")


COMPOSITE_STYLES: dict[str, tuple[str, str, str]] = {
    "ERM": (plotting.METHODS["erm"].color, "o", "-"),
    **{f"true masks, {form}": style for form, style in FORM_STYLES.items()},
    "ALIGN, energy": (plotting.METHODS["align"].color, "*", "-"),
    "ALIGN, the paper's terms": (plotting.METHODS["align"].color, "x", ":"),
}
"""Colour, marker and line of ERM, ALIGN and each form of alignment in the composite worlds."""


def composite(table: pd.DataFrame, metric: str = "accuracy") -> Drawn:
    """A metric in composite worlds as scene and class correlate, one panel a test domain.

    Shown are ALIGN, and guidance by true masks in each form of alignment: accuracy as the
    difference to plain training, with which all ways rise and fall; another metric as it is.

    Args:
        table: what `results.frame` returns of the grid "composite".
        metric: a metric's name.
    """
    name = words(metric)
    if table.empty or metric not in table:
        return absent(f"{name} in composite worlds")
    if gained := metric == "accuracy":
        table, name = _against_plain(table), "accuracy − ERM's"
    domains = [name for name in DOMAINS if name in set(table["domain"])]
    size = (5.6, 0.4 + 2.6 * len(domains))
    fig, axes = plotting.figure(len(domains), 1, size=size, sharex=True, sharey=True, squeeze=False)
    named = []
    for ax, domain in zip(axes[:, 0], domains, strict=True):
        ends = _lines(ax, table[table["domain"] == domain], metric)
        named.append((ax, ends))
        if gained:
            ax.axhline(0, color=INK, linewidth=1, zorder=BEHIND)
        elif metric == "evidence_inside":  # the share of a map that is the same everywhere
            flat = {"color": MUTED, "linestyle": ":", "linewidth": 1.5, "zorder": BEHIND}
            ax.axhline(table["object_area"].mean(), **flat)
        ax.set_title(domain + (" (held out)" if domain == "paired" else ""), fontsize=11)
        ax.set_xticks(sorted(table["rho"].unique()))
    # Named once. Gains in accuracy end together where scenes are as in training, and far apart
    # only where they mislead.
    name_lines(*named[-1 if gained else 0])
    axes[-1, 0].set_xlabel("ρ")
    fig.supylabel(name, fontsize=11)
    listed = ", ".join(
        f"{label} {mean:{'+' if gained else ''}.2f}" for label, (_, mean, _) in ends.items()
    )
    return Drawn(
        fig,
        f"{len(domains)} panels of lines over ρ, one a way of training. At the largest ρ, "
        f"{name} on the domain {domains[-1]}: {listed}.",
    )


def _against_plain(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy as the difference to plain training with the same seed on the same test."""
    same = ["rho", "seed", "domain"]
    plain = table[table["label"] == "ERM"].set_index(same)["accuracy"]
    wanted = pd.MultiIndex.from_frame(table[same])
    gained = table["accuracy"].to_numpy() - plain.reindex(wanted).to_numpy()
    return table.assign(accuracy=gained)[table["label"] != "ERM"]


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
    away = away.assign(label=away["label"].map(_short))
    labels = _rows(away["label"])
    fig, axes = plotting.figure(2, 1, size=(4.8, 1.2 + 0.5 * len(labels)))
    gained = gains(axes[0], away, labels, "out")
    dots(axes[1], away, "evidence_inside", labels)
    _constant(axes[1], away["object_area"].mean())
    inside = away.groupby("label")["evidence_inside"].mean()
    listed = (f"{gained[name]}, with {inside[name]:.2f} of the evidence inside" for name in labels)
    for ax, title in zip(axes, ("accuracy gained", "evidence inside the object"), strict=True):
        ax.set_title(title, fontsize=11)
    alt = "Two panels of dots with intervals, a row for each way of training. Accuracy gained: "
    return Drawn(fig, alt + "; ".join(listed) + ".")


def _lines(ax: Axes, table: pd.DataFrame, metric: str) -> dict[str, tuple[float, float, str]]:
    """A line through each way's means; returns where each line ends."""
    ends = {}
    for label, (color, marker, line) in COMPOSITE_STYLES.items():
        part = table[table["label"] == label]
        if part.empty:
            continue
        means = part.groupby("rho")[metric].mean()
        ax.plot(means.index, means, color=color, marker=marker, linestyle=line, label=label)
        ends[label] = (means.index[-1], means.iloc[-1], color)
    return ends
