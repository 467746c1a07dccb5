"""Points in a plane: axes as large as what they hold, and a name beside each, hiding nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from alignbook.campaign.statistics import Interval

MARGIN = 0.08
"""Room around what the axes hold, as a share of its extent."""

MARKER, BAR, SIZE = 13, 3, 10
"""In points on paper: a marker's width, a bar's with some room, and a name's size of type."""


class Point(NamedTuple):
    """A mean and its interval, across and upwards, and the colour that they are drawn in."""

    across: Interval
    up: Interval
    color: str


def frame(ax: Axes, points: Sequence[Point], upright: Sequence[float]) -> None:
    """Set limits that hold every mean and line; an interval that goes on ends in an arrow.

    Upwards the axis begins at 0 where a mean comes near it.

    Args:
        ax: where the points are drawn.
        points: what is drawn.
        upright: where lines cross the axes from below to above.
    """
    left, right = _limits([point.across.mean for point in points] + [*upright])
    bottom, top = _limits([point.up.mean for point in points])
    bottom = 0.0 if bottom < top / 3 else bottom
    ax.set(xlim=(left, right), ylim=(bottom, top))
    arrows(ax, points)


def arrows(ax: Axes, points: Sequence[Point]) -> None:
    """End each interval that goes on beyond the axes' limits in an arrow.

    Args:
        ax: where the points are drawn, with its final limits.
        points: what is drawn.
    """
    (left, right), (bottom, top) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    for across, up, color in points:
        for beyond, place, mark in (
            (across.low < left, (left, up.mean), "<"),
            (across.high > right, (right, up.mean), ">"),
            (up.low < bottom, (across.mean, bottom), "v"),
            (up.high > top, (across.mean, top), "^"),
        ):
            if beyond:
                ax.plot(*place, mark, color=color, markersize=6, clip_on=False)


def name(ax: Axes, points: Sequence[Point], names: Sequence[str]) -> None:
    """Write each point's name beside it, where no marker, bar, line or other name stands.

    Args:
        ax: where the points are drawn, with its final limits.
        points: what is drawn.
        names: of the first so many points; the others have none and are not written on.
    """
    figure = ax.figure
    figure.draw_without_rendering()  # the layout moves the axes, and with them the points
    unit = figure.dpi / 72
    taken = [box for point in points for box in _boxes(ax, point, unit)]
    taken += [_thick(line.get_window_extent(), unit) for line in ax.lines if _crosses(ax, line)]
    taken += [text.get_window_extent() for text in ax.texts]
    marks = ax.transData.transform([(point.across.mean, point.up.mean) for point in points])
    # From the top down, so that in a crowd names stand in the order of their points.
    for at in sorted(range(len(names)), key=lambda one: -points[one].up.mean):
        point, words = points[at], names[at]
        mean, others = (point.across.mean, point.up.mean), np.delete(marks, at, 0)
        look = {"ha": "center", "va": "center", "fontsize": SIZE, "color": point.color}
        text = ax.annotate(words, mean, (0, 0), textcoords="offset points", **look)
        there = text.get_window_extent()
        places = {
            offset: (there.translated(*np.multiply(offset, unit)), far * unit)
            for far, offset in _offsets(there.width / unit, there.height / unit)
        }
        costs = {
            offset: (_covered(box, taken, ax.bbox), _misleads(box, own, others), own)
            for offset, (box, own) in places.items()
        }
        text.xyann = min(costs, key=costs.get)
        taken.append(places[text.xyann][0])


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = MARGIN * (high - low) or MARGIN
    return low - room, high + room


def _offsets(width: float, height: float) -> Iterator[tuple[float, tuple[float, float]]]:
    """Middles of a text around a point and how far its near edge is, in points on paper."""
    for far, angle in product((8, 11, 15, 20, 26), np.deg2rad(np.arange(0, 360, 15))):
        cos, sin = np.cos(angle), np.sin(angle)
        # Beside the point the text begins at it, above and below it stands in the middle.
        across, up = np.clip(1.5 * cos, -1, 1), np.clip(1.5 * sin, -1, 1)
        yield far, (far * cos + across * width / 2, far * sin + up * height / 2)


def _boxes(ax: Axes, point: Point, unit: float) -> list[Bbox]:
    """What a point takes up on the canvas: its marker and its two bars, as far as they show."""
    (x, left, right), (y, bottom, top) = point.across, point.up
    ends = ax.transData.transform([(x, y), (left, y), (right, y), (x, bottom), (x, top)])
    middle, *ends = np.clip(ends, ax.bbox.min, ax.bbox.max)
    marker = Bbox([middle, middle]).padded(MARKER * unit / 2)
    return [marker, *(_thick(Bbox([ends[i], ends[i + 1]]), unit) for i in (0, 2))]


def _thick(box: Bbox, unit: float) -> Bbox:
    return box.padded(BAR * unit / 2)


def _crosses(ax: Axes, line: object) -> bool:
    """Whether a line goes from edge to edge."""
    return line.get_transform() != ax.transData


def _misleads(box: Bbox, own: float, others: np.ndarray) -> bool:
    """Whether a text stands nearer to another point's marker, `(n, 2)`, than to its own."""
    gaps = np.maximum(box.min - others, others - box.max).clip(0)
    return bool((np.hypot(*gaps.T) < 1.2 * own).any())


def _covered(box: Bbox, taken: Sequence[Bbox], whole: Bbox) -> float:
    """How much of a box lies on others or outside of the whole, in square pixels."""
    shared = filter(None, (Bbox.intersection(box, other) for other in taken))
    within = Bbox.intersection(box, whole)
    outside = box.width * box.height - (within.width * within.height if within else 0)
    return outside + sum(part.width * part.height for part in shared)
