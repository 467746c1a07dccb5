"""Where the evidence lies against what the answer hangs on: every method in one plane."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from align.checks import check_choice
from alignbook import labels, plotting, results
from alignbook.campaign.statistics import Interval, interval
from alignbook.drawing import Drawn, absent, look
from alignbook.plotting import MUTED, PAPER

WAYS = {
    "logits": "reliance on the background, logits",
    "probability": "reliance on the background, probability moved",
    "decisions": "decisions that change with the background",
}
"""The three ways to measure reliance, `align.metrics.reliance`, as an axis calls them."""

WHERE = "evidence_inside"


def plane_table(
    table: pd.DataFrame,
    way: str = "logits",
    shift: str = "out",
    domains: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Evidence inside and reliance of every run that was measured for both.

    Args:
        table: what `results.frame` returns.
        way: one of `WAYS`.
        shift: tests "in" or "out" of distribution.
        domains: the domains tested on; None means all of that shift.

    Returns:
        One row a label and seed, means over domains: columns label, method, seed,
        `evidence_inside`, the reliance and, where they were measured, the control's reliance and
        `object_area`. Empty where nothing was measured.

    Raises:
        ValueError: if there is no such way.
    """
    check_choice("way", way, tuple(WAYS))
    how = f"reliance_{way}"
    table = results.tested(table, how, shift)
    if table.empty or WHERE not in table:
        return pd.DataFrame()
    table = table[table[WHERE].notna()]
    if domains is not None:
        table = table[table["domain"].isin(domains)]
    columns = [c for c in (WHERE, how, f"control_{how}", "object_area") if c in table]
    keys = ["label", "method", "seed"]
    return table.groupby(keys, sort=False)[columns].mean().reset_index()


def plane(
    table: pd.DataFrame,
    way: str = "logits",
    shift: str = "out",
    domains: Sequence[str] | None = None,
    named: Sequence[str] | None = None,
    region: str = "object",
) -> Drawn:
    """Every method at its evidence inside the object and its reliance on the background.

    A method that moves evidence alone goes to the right, one that moves reliance alone goes down.
    Dotted lines: the share of evidence that a constant map has inside, and the reliance on the
    rest of the picture when a region of the object's shape is kept elsewhere (over all runs).
    Intervals are of three runs or more. The axes hold every mean and the share of a constant map.
    An interval that goes on beyond them ends in an arrow; a control that lies above is named.

    Args:
        table: what `results.frame` returns; runs without either number are left out, and their
            labels said.
        way: one of `WAYS`.
        shift: tests "in" or "out" of distribution.
        domains: the domains tested on; None means all of that shift.
        named: the labels that stand beside their points; the others are grey dots without
            intervals, named in the alt text alone. None names all.
        region: what the masks mark, "object" or "box".
    """
    how = f"reliance_{way}"
    everything, table = table, plane_table(table, way, shift, domains)
    if table.empty:
        return absent("evidence inside the object and reliance on the background")
    names = list(table["label"].drop_duplicates())
    shown = [name for name in names if named is None or name in named]
    fig, ax = plotting.figure(size=(5.0, 4.6))
    words, points, others = [], [], []
    for name in names:
        part = table[table["label"] == name]
        across = _interval(part[WHERE]).within(0, 1)
        up = _interval(part[how]).within(0, math.inf)
        words.append(f"{name} {across.mean:.2f} inside, reliance {up.mean:.2f}")
        if name not in shown:
            ax.plot(across.mean, up.mean, "o", color=MUTED, markersize=5, zorder=1)
            others.append(labels.Point(*(Interval(*[at.mean] * 3) for at in (across, up)), MUTED))
            continue
        color, marker = look(name, part["method"].iloc[0])
        points.append(labels.Point(across, up, color))
        _point(ax, points[-1], marker, name)
    known = _means(table, "object_area"), _means(table, f"control_{how}")
    rest = "the background" if region == "object" else "the outside"
    relied = WAYS[way].replace("the background", rest)
    ax.set(xlabel=f"evidence inside the {region}", ylabel=relied)
    labels.frame(ax, points + others, known[0])
    words += _lines(ax, *known)
    labels.name(ax, points + others, shown)
    left = _left_out(everything, names)
    text = f"A point for each of {len(names)} ways of training: {'; '.join(words)}."
    return Drawn(fig, text + (f" Not measured for: {', '.join(left)}." if left else ""))


def _interval(values: pd.Series) -> Interval:
    if len(values) > 2:  # that of two runs would cover the whole plane
        return interval(values.tolist())
    return Interval(*[values.mean()] * 3)


def _point(ax: Axes, point: labels.Point, marker: str, name: str) -> None:
    across, up, color = point
    ax.hlines(up.mean, across.low, across.high, color=color, linewidth=1.5)
    ax.vlines(across.mean, up.low, up.high, color=color, linewidth=1.5)
    ax.plot(
        across.mean,
        up.mean,
        marker,
        color=color,
        markeredgecolor=PAPER,
        markersize=13 if marker == "*" else 9,
        linestyle="",
        label=name,
    )


def _means(table: pd.DataFrame, column: str) -> list[float]:
    """The mean of a column over all runs, if it was measured."""
    known = table[column].dropna() if column in table else ()
    return [known.mean()] if len(known) else []


def _lines(ax: Axes, upright: Sequence[float], level: Sequence[float]) -> list[str]:
    """What knows nothing of the object, as lines and in words."""
    look = {"color": MUTED, "linestyle": ":", "linewidth": 1.5}
    text = {"va": "bottom", "ha": "right", "fontsize": labels.SIZE, "color": MUTED}
    for mean in upright:
        ax.axvline(mean, **look)
        place = {"transform": ax.get_xaxis_transform(), "rotation": 90}
        ax.text(mean, 0.02, "a map of one value ", **place, **text)
    for mean in level:
        if mean > ax.get_ylim()[1]:  # a control far above would press the points together
            beyond = f"another region kept: {mean:.2f} ↑"
            ax.text(0.98, 0.99, beyond, transform=ax.transAxes, **text | {"va": "top"})
            continue
        ax.axhline(mean, **look)
        ax.text(0.98, mean, "another region kept", transform=ax.get_yaxis_transform(), **text)
    return [f"a constant map has inside {mean:.2f}" for mean in upright] + [
        f"the control's reliance is {mean:.2f}" for mean in level
    ]


def _left_out(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [label for label in table["label"].drop_duplicates() if label not in names]
