"""Silhouettes of the toy worlds and their surfaces, drawn with signed-distance functions.

A signed-distance function gives each point its distance to a shape's edge, negative inside. The
union of two shapes is the minimum of their distances, and an anti-aliased picture of a shape is
one clamp of its distance, so every animal and thing here is a few lines of arithmetic.

Coordinates: x to the right and y downwards, both in [-1, 1] over the drawing's square.
Source of the primitives' formulas: I. Quilez, "2D distance functions" (facts, not code).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

Field = NDArray[np.float32]
Part = tuple[Field, float, float]  # distance, share of the first colour, brightness

VARIANTS = 12
"""How many poses of each silhouette there are."""
BRIGHT = 180
"""The byte that stands for brightness 1 in an atlas."""


def circle(x: Field, y: Field, cx: float, cy: float, radius: float) -> Field:
    """Distance to a disc."""
    return np.hypot(x - cx, y - cy) - radius


def ellipse(x: Field, y: Field, cx: float, cy: float, rx: float, ry: float, turn=0.0) -> Field:
    """Approximate distance to an ellipse turned by `turn` radians (exact on the edge)."""
    c, s = np.cos(turn), np.sin(turn)
    u, v = c * (x - cx) + s * (y - cy), -s * (x - cx) + c * (y - cy)
    scaled = np.hypot(u / rx, v / ry)
    slope = np.hypot(u / rx**2, v / ry**2) + 1e-6
    return scaled * (scaled - 1) / slope


def box(x: Field, y: Field, cx: float, cy: float, hx: float, hy: float, corner=0.0) -> Field:
    """Distance to an axis-aligned box of half sizes `hx`, `hy` with rounded corners."""
    dx, dy = np.abs(x - cx) - hx + corner, np.abs(y - cy) - hy + corner
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return outside + np.minimum(np.maximum(dx, dy), 0) - corner


def capsule(x: Field, y: Field, ax: float, ay: float, bx: float, by: float, r0, r1=None) -> Field:
    """Distance to a stroke from a to b whose radius runs from `r0` to `r1`."""
    r1 = r0 if r1 is None else r1
    dx, dy = bx - ax, by - ay
    t = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
    return np.hypot(x - ax - t * dx, y - ay - t * dy) - (r0 + (r1 - r0) * t)


def polygon(x: Field, y: Field, corners: list[tuple[float, float]]) -> Field:
    """Distance to a convex polygon, corners listed clockwise on the page."""
    distance = np.full_like(x, -np.inf)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = np.hypot(bx - ax, by - ay)
        distance = np.maximum(distance, ((x - ax) * (by - ay) - (y - ay) * (bx - ax)) / length)
    return distance


def bird(x: Field, y: Field, rng: Generator) -> list[Part]:
    """A perched songbird, looking right."""
    lift, tail = rng.uniform(-0.15, 0.35), rng.uniform(-0.2, 0.25)
    tip_x, tip_y = -0.32 - 0.25 * rng.random(), -0.05 - lift
    return [
        (capsule(x, y, -0.02, 0.35, -0.08, 0.78, 0.045), 0.0, 0.7),
        (capsule(x, y, 0.12, 0.35, 0.1, 0.78, 0.045), 0.0, 0.7),
        (capsule(x, y, -0.35, 0.12, -0.92, 0.2 + tail, 0.13, 0.07), 0.75, 0.75),
        (ellipse(x, y, 0.0, 0.08, 0.52, 0.34, -0.25), 1.0, 1.0),
        (circle(x, y, 0.42, -0.3, 0.25), 1.0, 1.05),
        (polygon(x, y, [(0.62, -0.4), (0.95, -0.25), (0.62, -0.18)]), 0.0, 1.1),
        (capsule(x, y, 0.08, 0.05, tip_x, tip_y, 0.22, 0.07), 0.35, 0.85),
        (circle(x, y, 0.49, -0.35, 0.05), 0.0, 0.25),
    ]


def car(x: Field, y: Field, rng: Generator) -> list[Part]:
    """A small car, seen from the side."""
    roof, cabin = rng.uniform(-0.48, -0.34), rng.uniform(-0.12, 0.06)
    length = rng.uniform(0.84, 0.95)
    top = [(cabin - 0.46, roof), (cabin + 0.36, roof)]
    glass = [(cabin - 0.38, roof + 0.08), (cabin + 0.3, roof + 0.08)]
    return [
        (box(x, y, 0, 0.12, length, 0.23, 0.14), 1.0, 1.0),
        (polygon(x, y, [*top, (cabin + 0.62, -0.05), (cabin - 0.64, -0.05)]), 1.0, 0.95),
        (polygon(x, y, [*glass, (cabin + 0.48, -0.08), (cabin - 0.5, -0.08)]), 0.0, 1.25),
        (box(x, y, cabin - 0.04, -0.22, 0.035, 0.2), 1.0, 0.95),
        (box(x, y, 0, 0.16, length, 0.035), 0.6, 0.8),
        (circle(x, y, -0.52, 0.33, 0.21), 0.0, 0.3),
        (circle(x, y, 0.52, 0.33, 0.21), 0.0, 0.3),
        (circle(x, y, -0.52, 0.33, 0.09), 0.0, 1.2),
        (circle(x, y, 0.52, 0.33, 0.09), 0.0, 1.2),
    ]


def chair(x: Field, y: Field, rng: Generator) -> list[Part]:
    """A kitchen chair, turned a little."""
    top, lean = rng.uniform(-0.95, -0.75), rng.uniform(0.0, 0.12)
    slats = [(capsule(x, y, -0.42, h, 0.2, h, 0.055), 0.5, 0.9) for h in (top + 0.08, -0.5, -0.28)]
    posts = [
        (capsule(x, y, -0.42, 0.1, -0.42 - lean, top, 0.07), 1.0, 0.9),
        (capsule(x, y, 0.22, 0.1, 0.22 - lean, top, 0.07), 1.0, 0.9),
    ]
    legs = [
        (capsule(x, y, ax, 0.15, bx, 0.93, 0.07, 0.05), 1.0, shade)
        for ax, bx, shade in ((-0.4, -0.45, 0.65), (0.25, 0.3, 0.65), (-0.22, -0.2, 0.9))
    ]
    legs.append((capsule(x, y, 0.46, 0.22, 0.52, 0.95, 0.075, 0.055), 1.0, 0.9))
    seat = [(-0.46, 0.02), (0.28, 0.02), (0.56, 0.26), (-0.26, 0.26)]
    return [*legs, *slats, *posts, (polygon(x, y, seat), 0.15, 1.1)]


def person(x: Field, y: Field, rng: Generator) -> list[Part]:
    """A standing or walking person, seen from the front."""
    left, right = rng.uniform(-0.1, 0.3), rng.uniform(-0.1, 0.3)
    stride = rng.uniform(0.1, 0.24)
    raised = rng.uniform(-0.75, 0.2)
    return [
        (capsule(x, y, -0.1, 0.2, -stride, 0.93, 0.12, 0.08), 0.0, 0.8),
        (capsule(x, y, 0.1, 0.2, stride, 0.93, 0.12, 0.08), 0.0, 0.8),
        (capsule(x, y, -0.22, -0.38, -0.4 - left, 0.16, 0.085, 0.065), 0.8, 0.9),
        (capsule(x, y, 0.22, -0.38, 0.4 + right, 0.1 + raised, 0.085, 0.065), 0.8, 0.9),
        (box(x, y, 0, -0.13, 0.26, 0.38, 0.13), 1.0, 1.0),
        (capsule(x, y, 0, -0.5, 0, -0.6, 0.08), 0.3, 1.2),
        (circle(x, y, 0, -0.74, 0.185), 0.3, 1.25),
        (ellipse(x, y, 0, -0.83, 0.2, 0.12), 0.0, 0.45),
    ]


def quadruped(
    x: Field,
    y: Field,
    rng: Generator,
    *,
    body: float,
    leg: float,
    snout: float,
    ear: tuple[float, float],
    tail: tuple[float, float, float],
) -> list[Part]:
    """A four-legged animal looking right.

    `body`, `leg` and `snout` are sizes, `ear` is height and lean, `tail` is length, angle and
    radius.
    """
    stride, nod = rng.uniform(-0.13, 0.13), rng.uniform(-0.1, 0.06)
    length, angle, radius = tail
    angle = angle + rng.uniform(-0.3, 0.3)
    hip, shoulder, head = -0.45, 0.34, (0.6, -0.36 + nod)
    legs = [
        (capsule(x, y, at, 0.15, at + step, 0.2 + leg, 0.1, 0.07), 1.0, shade)
        for at, step, shade in (
            (hip + 0.14, stride, 0.65),
            (shoulder - 0.1, -stride, 0.65),
            (hip, -stride, 0.9),
            (shoulder + 0.06, stride, 0.9),
        )
    ]
    end = (hip - length * np.cos(angle), -0.02 - length * np.sin(angle))
    ears = [
        (capsule(x, y, hx, head[1] - 0.12, hx - ear[1], head[1] - 0.14 - ear[0], 0.07), c, 0.8)
        for hx, c in ((head[0] - 0.1, 0.6), (head[0] + 0.04, 0.3))
    ]
    return [
        *legs,
        (capsule(x, y, hip, -0.02, *end, radius * 0.7, radius), 0.7, 0.9),
        (capsule(x, y, hip + 0.02, 0.03, shoulder, 0.0, body, body * 1.05), 1.0, 1.0),
        (capsule(x, y, shoulder + 0.05, -0.08, head[0], head[1], 0.2, 0.16), 1.0, 1.0),
        *ears,
        (circle(x, y, head[0], head[1], 0.2), 1.0, 1.05),
        (capsule(x, y, *head, head[0] + snout, head[1] + 0.08, 0.13, 0.08), 0.75, 1.05),
        (circle(x, y, head[0] + snout + 0.03, head[1] + 0.05, 0.055), 0.0, 0.3),
        (circle(x, y, head[0] + 0.05, head[1] - 0.05, 0.04), 0.0, 0.25),
    ]


def rabbit(x: Field, y: Field, rng: Generator) -> list[Part]:
    """A sitting rabbit with long ears."""
    lean = rng.uniform(-0.05, 0.2)
    return [
        (circle(x, y, -0.62, 0.38, 0.16), 0.0, 1.35),
        (ellipse(x, y, -0.15, 0.25, 0.48, 0.4), 1.0, 1.0),
        (ellipse(x, y, -0.3, 0.45, 0.28, 0.24), 1.0, 0.85),
        (capsule(x, y, -0.35, 0.66, 0.05, 0.68, 0.09), 1.0, 0.8),
        (capsule(x, y, 0.2, 0.3, 0.28, 0.68, 0.09, 0.07), 1.0, 0.9),
        (capsule(x, y, 0.3, -0.2, 0.24 - lean, -0.8, 0.09, 0.06), 0.7, 0.8),
        (capsule(x, y, 0.42, -0.2, 0.45 - lean, -0.82, 0.09, 0.06), 1.0, 0.95),
        (ellipse(x, y, 0.4, -0.08, 0.26, 0.22), 1.0, 1.05),
        (circle(x, y, 0.47, -0.13, 0.045), 0.0, 0.25),
    ]


def squirrel(x: Field, y: Field, rng: Generator) -> list[Part]:
    """A squirrel sitting up, its tail curled behind."""
    curl = rng.uniform(-0.1, 0.12)
    return [
        (capsule(x, y, -0.25, 0.6, -0.65, 0.1 + curl, 0.12, 0.2), 0.6, 0.85),
        (capsule(x, y, -0.65, 0.1 + curl, -0.42, -0.5 + curl, 0.2, 0.24), 0.6, 0.95),
        (ellipse(x, y, 0.08, 0.28, 0.32, 0.42, 0.2), 1.0, 1.0),
        (ellipse(x, y, -0.02, 0.5, 0.27, 0.22), 1.0, 0.85),
        (capsule(x, y, 0.0, 0.7, 0.35, 0.72, 0.08), 1.0, 0.8),
        (capsule(x, y, 0.25, 0.15, 0.5, 0.2, 0.07, 0.06), 1.0, 0.9),
        (polygon(x, y, [(0.2, -0.62), (0.3, -0.4), (0.14, -0.4)]), 1.0, 0.8),
        (ellipse(x, y, 0.33, -0.25, 0.26, 0.2, 0.15), 1.0, 1.05),
        (circle(x, y, 0.4, -0.3, 0.045), 0.0, 0.25),
    ]


dog = partial(quadruped, body=0.22, leg=0.6, snout=0.24, ear=(-0.2, 0.12), tail=(0.42, 0.9, 0.07))
cat = partial(quadruped, body=0.2, leg=0.45, snout=0.08, ear=(0.16, 0.03), tail=(0.55, 1.2, 0.08))
coyote = partial(
    quadruped, body=0.19, leg=0.7, snout=0.28, ear=(0.14, 0.06), tail=(0.5, -0.7, 0.11)
)
DRAWINGS: dict[str, Callable[[Field, Field, Generator], list[Part]]] = {
    **{draw.__name__: draw for draw in (bird, car, chair, person, rabbit, squirrel)},
    **{"cat": cat, "coyote": coyote, "dog": dog},
}


# What objects are covered with, between -1 and 1: it belongs to the class, so that a patch of an
# object tells its class without the outline.


def feathers(x: Field, y: Field, rng: Generator) -> Field:
    """Rows of zigzags."""
    row, column = rng.uniform(0, 2 * np.pi, 2)
    return np.sign(np.sin(26 * y + 1.5 * np.sin(20 * x + column) + row))


def varnish(x: Field, y: Field, rng: Generator) -> Field:
    """Light from above on something smooth."""
    return np.clip(-1.6 * y, -1, 1) + 0 * x


def grain(x: Field, y: Field, rng: Generator) -> Field:
    """Upright lines that waver."""
    wave, line = rng.uniform(0, 2 * np.pi, 2)
    return np.sign(np.sin(34 * x + 2 * np.sin(3 * y + wave) + line))


def brindle(x: Field, y: Field, rng: Generator) -> Field:
    """Dark streaks that branch and break, as in a tiger's coat."""
    a, b, c = rng.uniform(0, 2 * np.pi, 3)
    across = np.sin(13 * x + 3 * np.sin(5 * y + a) + b)
    down = np.sin(13 * y + 3 * np.sin(6 * x + c))
    return np.sign(across * down - 0.1)


def checks(x: Field, y: Field, rng: Generator) -> Field:
    """A woven shirt: bands both ways."""
    column, row = rng.uniform(0, 2 * np.pi, 2)
    return (np.sign(np.sin(24 * x + column)) + np.sign(np.sin(24 * y + row))) / 2


SURFACES: dict[str, Callable[[Field, Field, Generator], Field]] = {
    "bird": feathers,
    "car": varnish,
    "chair": grain,
    "dog": brindle,
    "person": checks,
}
"""The surface of each class that has one."""


@lru_cache(maxsize=16)
def atlas(
    names: tuple[str, ...], resolution: int, pattern: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw every pose of some silhouettes once, ready to be sampled at any smaller scale.

    Args:
        names: keys of `DRAWINGS`, or "empty" for a drawing of nothing.
        resolution: pixels R along a drawing's side.
        pattern: contrast of the class's surface, in [0, 1]; 0 leaves every object plain.

    Returns:
        `(planes, areas, boxes)`: uint8 `(3, K, R, R)`, K `VARIANTS` a name, the planes opacity (255
        is solid), share of the first colour (255 is all) and brightness (`BRIGHT` is 1); the
        covered share of the square `(K,)`; and bounding boxes `(K, 4)` as half width, half height,
        centre.
    """
    line = (np.arange(resolution, dtype=np.float32) + 0.5) * (2 / resolution) - 1
    x, y = np.meshgrid(line, line)
    drawings = []
    for name in names:
        for variant in range(VARIANTS):
            # The pose depends on the name and the variant alone, never on the caller's seed.
            rng = np.random.default_rng([variant, *name.encode()])
            parts = [] if name == "empty" else DRAWINGS[name](x, y, rng)
            picture = _paint(parts, resolution)
            if pattern and name in SURFACES:
                picture[2] *= 1 + pattern * SURFACES[name](x, y, rng)
            drawings.append(picture)
    stack = np.stack(drawings, 1) * np.array([255, 255, BRIGHT], np.float32)[:, None, None, None]
    planes = torch.from_numpy(np.clip(stack + 0.5, 0, 255).astype(np.uint8))
    opacity = planes[0].float() / 255
    return planes, opacity.mean((1, 2)), _boxes(opacity, torch.from_numpy(line))


def _paint(parts: list[Part], resolution: int) -> Field:
    """Lay the parts over each other, edges as soft as a pixel of the image is wide."""
    picture = np.zeros((3, resolution, resolution), np.float32)
    for distance, share, brightness in parts:
        inside = np.clip(0.5 - distance * resolution / 6, 0, 1).astype(np.float32)
        # Where nothing was painted yet the part's colour reaches past its soft edge.
        weight = np.where(picture[0] > 0, inside, 1)
        picture[0] = np.maximum(picture[0], inside)
        picture[1] += (share - picture[1]) * weight
        picture[2] += (brightness - picture[2]) * weight
    return picture


def _boxes(opacity: Tensor, line: Tensor) -> Tensor:
    boxes = torch.zeros(len(opacity), 4)
    for i, picture in enumerate(opacity > 0.02):
        if picture.any():
            xs, ys = line[picture.any(0)], line[picture.any(1)]
            boxes[i, 0], boxes[i, 2] = (xs[-1] - xs[0]) / 2, (xs[-1] + xs[0]) / 2
            boxes[i, 1], boxes[i, 3] = (ys[-1] - ys[0]) / 2, (ys[-1] + ys[0]) / 2
    return boxes
