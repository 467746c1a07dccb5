"""Points in a plane: axes as large as what they hold, and a number beside each, hiding nothing."""

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

MARKER, BAR, SIZE = 11, 3, 10
"""In points on paper: a marker's width, a bar's with some room, and a number's size of type."""


class Point(NamedTuple):
    """A mean and its interval, across and upwards, and the colour that they are drawn in."""

    across: Interval
    up: Interval
    color: str


def frame(
    ax: Axes, points: Sequence[Point], upright: Sequence[float], level: Sequence[float]
) -> None:
    """Set limits that hold every mean and every line; an interval that goes on ends in an arrow.

    Args:
        ax: where the points are drawn.
        points: what is drawn.
        upright: where lines cross the axes from below to above.
        level: where lines cross them from left to right.
    """
    left, right = _limits([point.across.mean for point in points] + [*upright])
    bottom, top = _limits([point.up.mean for point in points] + [*level])
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


def number(ax: Axes, points: Sequence[Point]) -> None:
    """Write 1, 2, 3, ... beside the points, where no marker, bar, line or other number stands.

    Args:
        ax: where the points are drawn, with its final limits and its figure's legend.
        points: what is drawn.
    """
    figure = ax.figure
    figure.draw_without_rendering()  # the layout moves the axes, and with them the points
    unit = figure.dpi / 72
    taken = [box for point in points for box in _boxes(ax, point, unit)]
    taken += [_thick(line.get_window_extent(), unit) for line in ax.lines if _crosses(ax, line)]
    marks = ax.transData.transform([(point.across.mean, point.up.mean) for point in points])
    for count, point in enumerate(points, start=1):
        mean, others = (point.across.mean, point.up.mean), np.delete(marks, count - 1, 0)
        look = {"ha": "center", "va": "center", "fontsize": SIZE}
        text = ax.annotate(str(count), mean, (0, 0), textcoords="offset points", **look)
        there = text.get_window_extent()
        places = {o: there.translated(o[0] * unit, o[1] * unit) for o in _offsets()}
        costs = {
            o: (_covered(box, taken, ax.bbox), _misleads(box, unit * np.hypot(*o), others))
            for o, box in places.items()
        }
        text.xyann = min(costs, key=costs.get)
        taken.append(places[text.xyann])


def _limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = MARGIN * (high - low) or MARGIN
    return low - room, high + room


def _offsets() -> Iterator[tuple[float, float]]:
    """Places around a point, in points on paper, from near to far."""
    for far, angle in product((11, 14, 18, 23, 29), np.deg2rad(np.arange(45, 405, 15))):
        yield far * np.cos(angle), far * np.sin(angle)


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
    """Whether a number stands nearer to another point's marker, `(n, 2)`, than to its own."""
    middle = np.array([box.x0 + box.x1, box.y0 + box.y1]) / 2
    return bool((np.hypot(*(others - middle).T) < 1.2 * own).any())


def _covered(box: Bbox, taken: Sequence[Bbox], whole: Bbox) -> float:
    """How much of a box lies on others or outside of the whole, in square pixels."""
    shared = filter(None, (Bbox.intersection(box, other) for other in taken))
    within = Bbox.intersection(box, whole)
    outside = box.width * box.height - (within.width * within.height if within else 0)
    return outside + sum(part.width * part.height for part in shared)
